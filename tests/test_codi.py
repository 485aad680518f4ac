"""CoDi's contract with its callers (a tiny model, random weights)."""

import copy
import inspect
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.config import preset
from codi_minimal.diffusion import SAMPLERS
from codi_minimal.recipe import Recipe, find_recipe
from codi_minimal.recipes import PAPER, SHIPPED
from tests.models import AUDIO, IMAGE, NAMES, PROMPTS, VIDEO, random_codi

SUBSETS = [s for n in range(1, 5) for s in combinations(NAMES, n)]
FAST = {"steps": 2, "guidance": 2.0}


def latents(**settings) -> dict[str, torch.Tensor]:
    return random_codi().generate_latents(**{**FAST, **settings})


def test_every_subset_in_gives_every_output_and_more_outputs_include_fewer():
    for prompts in [(), *SUBSETS]:
        out = random_codi().generate({name: PROMPTS[name] for name in prompts}, NAMES, steps=1)
        assert out["image"].shape == (1, 3, 32, 32) and out["image"].min() >= 0 and out["image"].max() <= 1
        assert out["video"].shape == (1, 8, 3, 32, 32) and out["video"].min() >= 0 and out["video"].max() <= 1
        assert out["audio"].shape == (1, 8192) and out["audio"].abs().max() <= 1
        assert len(out["text"]) == 1 and isinstance(out["text"][0], str)


@pytest.mark.parametrize("outputs", SUBSETS)
def test_every_subset_out(outputs):
    assert list(latents(prompts={"text": "seven"}, outputs=outputs)) == list(outputs)


@pytest.mark.parametrize("recipe", [PAPER, SHIPPED], ids=lambda recipe: recipe.name)
def test_jointly_generated_streams_see_each_other_and_only_then(recipe):
    noise = torch.randn(1, 8, 8, 8)

    def image(joint=True, **changes):
        how = {"outputs": ("image", "audio"), "steps": 4, "recipe": replace(recipe, **changes), "joint": joint}
        return (latents(**how, **more)["image"] for more in ({}, {"noise": {"audio": noise}}))

    cases = [({}, True), ({"wiring": "pooled"}, True)]
    cases += [({"wiring": {"image": ("audio",)}}, True), ({"wiring": {"audio": ("image",)}}, False)]
    cases += [({"wiring": "own"}, False), ({"wiring": "off"}, False), ({"joint": False}, False)]
    for settings, seen in cases:
        one, other = image(**settings)
        assert torch.equal(one, other) != seen, settings


def test_what_is_generated_together_depends_on_it_and_apart_does_not():
    pair = {"outputs": ("image", "audio"), "sampler": "ddim"}
    alone = {name: latents(outputs=(name,), sampler="ddim", recipe="paper")[name] for name in pair["outputs"]}
    apart, together = (latents(**pair, recipe="paper", joint=joint) for joint in (False, True))
    for name, z in alone.items():
        torch.testing.assert_close(apart[name], z, rtol=1e-4, atol=1e-5)
        assert (together[name] - z).abs().max() > 1e-4


def test_one_output_more_leaves_the_noise_of_the_others_alone():
    alone = latents(outputs=("image",))
    torch.testing.assert_close(
        alone["image"], latents(outputs=("image", "video"), joint=False)["image"], rtol=1e-4, atol=1e-5
    )
    assert not torch.equal(alone["image"], latents(outputs=("image",), seed=1)["image"])


def test_the_order_of_outputs_does_not_matter():
    one, other = latents(outputs=NAMES), latents(outputs=NAMES[::-1])
    assert all(torch.equal(one[name], other[name]) for name in NAMES)


def test_the_same_seed_is_the_same_sample_and_given_noise_is_used():
    assert torch.equal(latents(outputs=("image",))["image"], latents(outputs="image")["image"])
    z_T = torch.randn(2, 4, 8, 8)
    settings = {"outputs": ("image",), "noise": {"image": z_T}, "num_samples": 2, "sampler": "ddim"}
    assert torch.equal(latents(**settings)["image"], latents(**settings, seed=9)["image"])


def test_condition_is_the_weighted_sum_of_the_prompts():
    model = random_codi()
    c = {name: model.encode_prompt(name, PROMPTS[name]) for name in NAMES}
    torch.testing.assert_close(model.condition({"text": "a red seven", "audio": AUDIO}), (c["text"] + c["audio"]) / 2)
    mixed = model.condition({"text": "a red seven", "image": IMAGE}, {"text": 3.0, "image": 1.0})
    torch.testing.assert_close(mixed, 0.75 * c["text"] + 0.25 * c["image"])
    two = model.condition({"text": [["a red seven"], ["seven"]], "video": VIDEO})
    torch.testing.assert_close(two, c["text"] / 4 + model.encode_prompt("text", "seven") / 4 + c["video"] / 2)
    assert model.condition({}) is None


def test_a_prompt_that_weighs_nothing_is_no_prompt():
    z = latents(prompts={"text": "seven", "audio": AUDIO}, outputs=("video",), weights={"audio": 0.0})["video"]
    torch.testing.assert_close(z, latents(prompts={"text": "seven"}, outputs=("video",))["video"], rtol=1e-4, atol=1e-5)


def test_the_order_of_prompts_does_not_matter():
    prompts = {name: PROMPTS[name] for name in NAMES}
    c, same = (random_codi().condition(dict(items)) for items in (prompts.items(), reversed(prompts.items())))
    assert torch.equal(c, same)


def test_samples_are_counted_over_all_prompts(monkeypatch):
    monkeypatch.setattr("codi_minimal.inputs.MOST", 5 * 3072)  # numbers, of which an image has 3072
    settings = {"prompts": {"text": ["seven", "two"]}, "outputs": ("image",)}
    assert len(latents(**settings, num_samples=2)["image"]) == 4
    with pytest.raises(ValueError, match="num_samples: expected at most 5 samples of these outputs .*, got 6"):
        latents(**settings, num_samples=3)


def test_a_mixture_is_brought_to_unit_length_before_it_is_followed():
    prompts, seen = {"text": [["a red seven"], ["two"]], "audio": AUDIO}, []
    model = random_codi()
    denoiser = model.modalities["image"].denoiser
    handle = denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[2]))
    model.generate(prompts, ("image",), steps=2, guidance=2.0)
    handle.remove()
    first, (nothing, cond) = seen  # the first step is not guided
    assert len(first) == 1
    c = model.condition(prompts)[0]
    assert not nothing.any() and c.norm() < 0.99
    torch.testing.assert_close(cond, c / c.norm())


def test_batches_are_broadcast_and_repeated():
    texts = ["seven", "a red two", "eight"]
    out = latents(prompts={"text": texts, "image": IMAGE}, outputs=("image",), num_samples=2)["image"]
    assert out.shape == (6, 4, 8, 8)
    one = latents(prompts={"text": texts[1:2], "image": IMAGE}, outputs=("image",), num_samples=1, sampler="ddim",
                  noise={"image": torch.ones(1, 4, 8, 8)})["image"]  # fmt: skip
    all_ = latents(prompts={"text": texts, "image": IMAGE}, outputs=("image",), num_samples=2, sampler="ddim",
                   noise={"image": torch.ones(6, 4, 8, 8)})["image"]  # fmt: skip
    torch.testing.assert_close(all_[2:4], one.expand(2, -1, -1, -1), rtol=1e-4, atol=1e-5)


def test_guidance_one_is_one_forward_and_a_dict_gives_one_per_output(monkeypatch):
    calls = []
    net = random_codi().modalities["image"].denoiser
    handle = net.register_forward_hook(lambda _m, args, _o: calls.append(len(args[0])))
    latents(
        prompts={"text": "seven"},
        outputs=("image", "text"),
        guidance={"image": 1, "text": 5},
        steps={"image": 3, "text": 7},
        joint=False,
        sampler="ddim",
    )
    handle.remove()
    assert calls == [1, 1, 1]
    with pytest.raises(ValueError, match="guidance: expected a value for each output, got none for"):
        latents(outputs=("image", "text"), guidance={"image": 1})


def test_what_the_call_leaves_open_is_the_recipes():
    outputs, named = ("text", "video"), {"guidance": {"text": 2.5, "video": 2.7}, "steps": {"text": 3, "video": 2}}
    recipe = replace(SHIPPED, **named, guidance_beside=None)
    settings = {"prompts": {"text": "seven"}, "outputs": outputs, "recipe": recipe, "joint": False}
    z, same = (latents(**settings, **how) for how in (dict.fromkeys(named), named))
    assert all(torch.equal(z[name], same[name]) for name in outputs)
    for other in ({"guidance": 9.0}, {"steps": {"text": 4, "video": 4}}, {"sampler": "ddim"}):
        changed = latents(**settings, **{**named, **other})
        assert not any(torch.equal(z[name], changed[name]) for name in outputs), other


def test_what_a_recipe_does_not_name_is_the_default():
    recipe = replace(PAPER, steps={"text": 2}, guidance={"text": 2.0}, sampler="ddim")
    z = latents(prompts={"text": "seven"}, outputs=("image",), recipe=recipe, steps=None, guidance=None)
    same = latents(
        prompts={"text": "seven"},
        outputs=("image",),
        sampler="ddim",
        recipe="paper",
        steps=Recipe.steps,
        guidance=Recipe.guidance,
    )
    assert torch.equal(z["image"], same["image"])


def test_without_a_recipe_it_is_the_models_own():
    model = copy.deepcopy(random_codi())
    pair = {"outputs": ("image", "audio"), "steps": 2}
    by_name = {recipe: model.generate_latents(**pair, recipe=recipe)["image"] for recipe in ("paper", "cascade")}
    assert not torch.equal(by_name["paper"], by_name["cascade"])
    for name, expected in by_name.items():
        model.recipe = find_recipe(name)
        assert torch.equal(model.generate_latents(**pair)["image"], expected)


def test_generate_decodes_what_generate_latents_gives():
    model = random_codi()
    z, out = (make({}, NAMES, num_samples=2, **FAST) for make in (model.generate_latents, model.generate))
    for name in NAMES:
        decoded = model.modalities[name].autoencoder.decode(z[name])
        same = decoded == out[name] if name == "text" else torch.allclose(decoded, out[name], rtol=1e-4, atol=1e-5)
        assert same, name


def test_the_two_take_the_same_arguments_at_most_thirteen():
    generate, with_latents = (inspect.signature(f).parameters for f in (CoDi.generate, CoDi.generate_latents))
    assert generate == with_latents and len(generate) - 1 <= 13  # without self


def test_an_option_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'step'"):
        random_codi().generate({}, step=3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_are_repeatable_and_finite(sampler):
    z = latents(outputs=("image", "text"), sampler=sampler, steps=4)
    assert all(torch.isfinite(x).all() for x in z.values())
    assert torch.equal(z["image"], latents(outputs=("image", "text"), sampler=sampler, steps=4)["image"])


def test_in_bfloat16_it_is_nearly_the_same():
    recipes = (replace(SHIPPED, autocast=how) for how in (None, "bf16"))
    exact, near = (latents(outputs=("image", "text"), recipe=recipe) for recipe in recipes)
    for name, z in near.items():
        error = (z - exact[name]).std() / exact[name].std()
        assert z.dtype == torch.float32 and 0 < error < 0.05


@pytest.mark.parametrize("vocoder", ["network", "griffin-lim"])
def test_everything_is_made_and_generated_under_the_callers_own_autocast(vocoder):
    config = preset("tiny")
    with torch.autocast("cpu", torch.bfloat16):
        model = CoDi(replace(config, model=replace(config.model, vocoder=vocoder)), random_codi().vocabulary).eval()
        assert all(x.dtype == torch.float32 for x in (*model.parameters(), *model.buffers()) if x.is_floating_point())
        out = model.generate({"text": "seven"}, NAMES, **FAST)
    assert out["audio"].dtype == torch.float32
    assert all(out[name].isfinite().all() for name in NAMES if name != "text")


def test_saved_and_loaded_it_is_the_same_model(tmp_path):
    random_codi().save_pretrained(tmp_path)
    model = CoDi.from_pretrained(tmp_path, device="cpu")
    out = model.generate_latents({"image": IMAGE}, NAMES, **FAST)
    expected = latents(prompts={"image": IMAGE}, outputs=NAMES)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": {"smell": "roses"}}, "expected a modality out of text, image, audio, video, got 'smell'"),
        ({"outputs": ()}, "outputs: expected at least one modality"),
        ({"outputs": ("image", "image")}, "each modality once"),
        ({"outputs": ("taste",)}, "expected a modality out of"),
        ({"prompts": {"text": ""}}, "text: expected some words, got an empty text"),
        ({"prompts": {"text": []}}, "text: expected"),
        ({"prompts": {"text": "xyzzy plugh"}, "recipe": "paper"}, "known word"),
        ({"prompts": {"text": "xyzzy plugh"}}, "text: expected a digit, a colour or a motion, got 'xyzzy plugh'"),
        ({"prompts": {"text": "one " * 13}, "recipe": "paper"}, "12 words"),
        (
            {"prompts": {"image": torch.zeros(3, 16, 16)}},
            r"image: expected a float tensor \(b, 3, 32, 32\).*got shape \(3, 16, 16\)",
        ),
        ({"prompts": {"image": torch.full((3, 32, 32), 2.0)}}, r"image: .*in \[0, 1\], got values in \[2, 2\]"),
        ({"prompts": {"image": torch.full((3, 32, 32), float("nan"))}}, "image: .*NaN"),
        ({"prompts": {"audio": torch.zeros(8192, dtype=torch.long)}}, "audio: .*got torch.int64"),
        ({"prompts": {"audio": "me.wav"}}, "audio: .*got str"),
        ({"prompts": {"text": "seven"}, "weights": {"image": 1.0}}, "weights only for prompts"),
        (
            {"prompts": {"text": "seven"}, "weights": {"text": -1.0}},
            "weights: text: expected a finite number of at least 0, got -1.0",
        ),
        ({"prompts": {"text": ["one", "two"], "image": torch.zeros(3, 3, 32, 32)}}, "expected"),
        ({"steps": 0}, "steps"),
        ({"sampler": "magic"}, "sampler: expected one of"),
        ({"recipe": "papr"}, "recipe: expected one of paper, shipped, cascade, or a Recipe, got 'papr'"),
        ({"recipe": {"name": "paper"}}, "recipe: expected one of paper, shipped, cascade, or a Recipe, got {'name"),
        (
            {"recipe": replace(PAPER, wiring={"image": ("smell",)})},
            "recipe: expected a modality out of .*, got 'smell'",
        ),
        ({"recipe": replace(PAPER, steps={"imgae": 3})}, "recipe: expected a modality out of .*, got 'imgae'"),
        ({"guidance": float("nan")}, "guidance"),
        ({"num_samples": 0}, "num_samples: expected an integer from 1 to 2..63 - 1, got 0"),
        ({"num_samples": True}, "num_samples: expected an integer from 1 to 2..63 - 1, got True"),
        ({"seed": None}, "seed: expected an integer from 0 to 2..63 - 1, got None"),
        ({"seed": 1.5}, "seed: expected an integer from 0 to 2..63 - 1, got 1.5"),
        ({"guidance": "3"}, "guidance: expected a finite number, got '3'"),
        ({"guidance": {"image": 3, "imgae": 4}}, "guidance: expected a modality out of image, got 'imgae'"),
        ({"noise": {"audio": torch.zeros(1, 8, 8, 8)}}, "noise: expected a modality out of image, got 'audio'"),
        ({"noise": {"image": torch.zeros(2, 4, 8, 8)}}, r"noise of image: expected a float tensor \(1, 4, 8, 8\), got"),
        ({"noise": {"image": torch.full((1, 4, 8, 8), float("nan"))}}, "noise of image: .*, got NaN"),
        ({"noise": {"image": [0.0]}}, "noise of image: .*, got list"),
    ],
)
def test_bad_input_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        latents(**settings)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected"):
        CoDi.from_pretrained(tmp_path / "nowhere")
    random_codi().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.safetensors"):
        CoDi.from_pretrained(tmp_path)
    weights.unlink()
    torch.save({"evil": 1}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="safetensors"):
        CoDi.from_pretrained(tmp_path)


def test_a_sample_needs_neither_scikit_learn_nor_the_compiler():
    """Their imports would take half of the time of the first sample of a process."""
    code = """
import sys
from codi_minimal import CoDi
CoDi.from_pretrained(device="cpu").generate({"text": "a red seven"}, "image", steps=1)
assert not {"sklearn", "torch._dynamo", "matplotlib", "datasets"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
