"""Given streams: real ones that are held while others are generated around them (a tiny model, random weights)."""

from dataclasses import replace

import pytest
import torch

from codi_minimal import inputs
from codi_minimal.diffusion import make_sampler, q_sample
from codi_minimal.recipe import Recipe
from codi_minimal.recipes import CASCADE, PAPER, SHIPPED
from codi_minimal.sample import Shared, Stream, joint_sample
from tests.models import AUDIO, IMAGE, NAMES, PROMPTS, VIDEO, random_codi
from tests.streams import given_stream

PLAIN = Recipe()  # DDPM, all modalities at the same timesteps
SAME_T, STILL = (replace(PAPER, name=at, given=at) for at in ("same t", "t = 0"))
RECIPES = [SAME_T, STILL, SHIPPED, CASCADE]
FAST = {"steps": 2, "guidance": 2.0}
OTHER = {
    "text": "a green two",
    "image": 1 - IMAGE,
    "audio": torch.rand(8192, generator=torch.Generator().manual_seed(5)) - 0.5,
    "video": 1 - VIDEO,
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)


def latents(**settings) -> dict[str, torch.Tensor]:
    return random_codi().generate_latents(**{**FAST, **settings})


def encoded(name: str, value) -> torch.Tensor:
    m = random_codi().modalities[name]
    return m.encode(m.data.batch(value))


def recorded(module: str, **settings) -> list[tuple]:
    """(modality, *inputs, output) of every call of all modules of this kind: "environment", "denoiser" or "prompt"."""
    seen, handles = [], []
    for name, m in random_codi().modalities.items():

        def look(_module, args, output, name=name):
            seen.append((name, *args, output))

        handles.append(getattr(m, module).register_forward_hook(look))
    try:
        latents(**settings)
    finally:
        for handle in handles:
            handle.remove()
    return seen


# ---- what the others get of it


@every_recipe
@pytest.mark.parametrize("name", NAMES)
def test_all_outputs_depend_on_what_is_given_and_it_is_not_returned(recipe, name):
    outputs = tuple(other for other in NAMES if other != name)
    one, other, none = (
        latents(outputs=outputs, recipe=recipe, given=given)
        for given in ({name: PROMPTS[name]}, {name: OTHER[name]}, None)
    )
    assert list(one) == list(other) == list(outputs)
    for output in outputs:
        assert not torch.equal(one[output], other[output]), output
        assert not torch.equal(one[output], none[output]), output


@pytest.mark.parametrize("name", ["text", "video"])
def test_at_each_step_it_is_the_forward_process_at_the_t_of_the_others(name):
    settings = {"outputs": ("image", "audio"), "steps": 4, "seed": 7, "recipe": PLAIN, "guidance": 1.0}
    settings["given"] = {name: PROMPTS[name]}
    seen = [(z_t, t) for m, z_t, t, _ in recorded("environment", **settings) if m == name]
    times = [t for m, _, t, *_ in recorded("denoiser", **settings) if m == "audio"]
    z0, eps = encoded(name, PROMPTS[name]), random_codi().noise_of(7)[name]
    assert [t.tolist() for t in times] == [[999], [749], [499], [249]] and len(seen) == 4
    for (z_t, t), expected in zip(seen, times, strict=True):
        assert torch.equal(t, expected)
        torch.testing.assert_close(z_t, q_sample(random_codi().schedule, z0, t, eps))


def test_at_zero_it_is_its_latent_from_the_first_step_on():
    settings = {"outputs": ("image", "audio"), "steps": 3, "guidance": 1.0, "given": {"video": VIDEO}, "recipe": STILL}
    v = [(z_t, t) for m, z_t, t, _ in recorded("environment", **settings) if m == "video"]
    assert len(v) == 3
    for z_t, t in v:
        assert t.tolist() == [0]
        torch.testing.assert_close(z_t, encoded("video", VIDEO))
    tokens = random_codi().modalities["video"].environment(encoded("video", VIDEO), torch.zeros(1, dtype=torch.long))
    for name, *_, env, _ in recorded("denoiser", **settings):
        assert env.tokens.shape[1] >= tokens.shape[1], name
        torch.testing.assert_close(env.tokens[:, -tokens.shape[1] :], tokens)  # in the order of names


def test_its_latent_has_the_precision_of_latents_under_the_caller_s_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert encoded("video", VIDEO).dtype == torch.bfloat16
        seen = recorded("environment", outputs=("audio",), given={"video": VIDEO}, recipe=STILL)
    assert {z_t.dtype for _, z_t, *_ in seen} == {torch.float32}


def test_the_two_ways_to_hold_it_differ():
    same, still = (
        latents(outputs=("audio",), given={"video": VIDEO}, recipe=recipe)["audio"] for recipe in (SAME_T, STILL)
    )
    assert not torch.equal(same, still)


@pytest.mark.parametrize("recipe", [SAME_T, STILL, SHIPPED], ids=lambda recipe: recipe.name)
def test_no_prompt_encoder_reads_it(recipe):
    assert not recorded("prompt", outputs=("audio",), given={"video": VIDEO, "text": "seven"}, recipe=recipe)
    conditions = [
        cond for *_, cond, _, _ in recorded("denoiser", outputs=("audio",), given={"video": VIDEO}, recipe=recipe)
    ]
    assert conditions and all(cond is None for cond in conditions)


@every_recipe
def test_its_denoiser_is_never_called(recipe):
    settings = {"outputs": ("image", "audio"), "given": {"video": VIDEO, "text": "seven"}, "recipe": recipe}
    assert {name for name, *_ in recorded("denoiser", **settings)} == {"image", "audio"}


def test_under_the_cascade_it_is_a_prompt():
    settings = {"outputs": ("audio",), "recipe": CASCADE}
    given, prompted = (latents(**{how: {"image": IMAGE}}, **settings) for how in ("given", "prompts"))
    torch.testing.assert_close(given["audio"], prompted["audio"], rtol=1e-4, atol=1e-4)
    for _, *_, env, _ in recorded("denoiser", given={"image": IMAGE}, **settings):
        assert not env.present.numel()  # no stream is seen


def test_it_is_seen_as_the_wiring_says():
    for wiring, seen in ({"audio": ("video",)}, True), ("pooled", True), ({"audio": ("image",)}, False), ("own", False):
        settings = {"outputs": ("audio", "image"), "recipe": replace(SAME_T, wiring=wiring)}
        one, other = (latents(given={"video": x}, **settings)["audio"] for x in (VIDEO, 1 - VIDEO))
        assert torch.equal(one, other) != seen, wiring


# ---- noise, batches


@pytest.mark.parametrize("recipe", [SAME_T, STILL], ids=lambda recipe: recipe.name)
def test_the_noise_of_the_others_is_as_without_it(recipe):
    unseen = {"outputs": ("audio", "image"), "seed": 3, "recipe": replace(recipe, wiring="off")}
    with_it, without = latents(given={"video": VIDEO}, **unseen), latents(**unseen)
    assert all(torch.equal(with_it[name], without[name]) for name in without)


def test_its_noise_is_that_of_the_seed_or_the_callers():
    settings = {"outputs": ("audio",), "given": {"video": VIDEO}, "seed": 3, "recipe": SAME_T}
    own = random_codi().noise_of(3)["video"]
    z, same, other = (latents(noise=n, **settings)["audio"] for n in (None, {"video": own}, {"video": -own}))
    assert torch.equal(z, same) and not torch.equal(z, other)


@every_recipe
def test_sample_k_alone_is_as_in_a_batch_beside_its_own_item(recipe, monkeypatch):
    videos = torch.stack([VIDEO, 1 - VIDEO, VIDEO.flip(0)])
    settings = {"outputs": ("audio", "image"), "recipe": recipe, "guidance": 1.0}
    monkeypatch.setattr(inputs, "BATCH", 4)
    batch = latents(given={"video": videos, "text": "seven"}, num_samples=2, seed=range(6), **settings)
    for k in range(6):
        alone = latents(given={"video": videos[k // 2], "text": "seven"}, seed=[k], **settings)
        for name, z in alone.items():
            torch.testing.assert_close(batch[name][k : k + 1], z, rtol=0, atol=5e-2)  # as in test_reproducible


@pytest.mark.parametrize(
    ("prompts", "given", "count"),
    [
        ({}, {"text": "seven"}, 2),
        ({}, {"text": ["seven", "two", "six"]}, 6),
        ({"image": IMAGE}, {"text": ["seven", "two", "six"]}, 6),
        ({"image": torch.stack([IMAGE] * 3)}, {"text": "seven"}, 6),
        ({"image": torch.stack([IMAGE] * 3)}, {"text": ["seven", "two", "six"]}, 6),
        ({}, {"text": ["seven", "two", "six"], "video": VIDEO}, 6),
    ],
)
def test_the_number_of_samples_is_that_of_each_item(prompts, given, count):
    for recipe in ("paper", "shipped"):
        z = latents(prompts=prompts, given=given, outputs=("audio",), num_samples=2, recipe=recipe)
        assert len(z["audio"]) == count


def test_what_has_the_same_modality_may_be_a_prompt_too():
    settings = {"outputs": ("audio",), "given": {"video": VIDEO}, "recipe": "paper"}
    one, both = (latents(prompts=prompts, **settings)["audio"] for prompts in ({}, {"video": 1 - VIDEO}))
    assert not torch.equal(one, both)


def test_it_can_be_of_another_type_of_float_and_under_the_callers_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        for recipe in RECIPES:
            z = latents(outputs=("audio",), given={"image": IMAGE.double(), "text": "two"}, recipe=recipe)["audio"]
            assert z.dtype == torch.float32 and z.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"given": {"smell": "roses"}}, "given: expected a modality out of text, image, audio, video, got 'smell'"),
        (
            {"given": {"audio": AUDIO}},
            "given: expected modalities that are not generated, got 'audio', which is an out",
        ),
        ({"given": VIDEO}, "given: expected a dict with the names of modalities as keys, got Tensor"),
        ({"given": {"video": VIDEO}, "joint": False}, "joint: expected True where streams are given, got False"),
        ({"given": {"video": [VIDEO, VIDEO]}}, r"video: expected a float tensor \(b, 8, 3, 32, 32\).*, got list"),
        ({"given": {"text": [["seven"], ["two"]]}}, "text: expected a string or a non-empty list of strings, got"),
        ({"given": {"text": "xyzzy plugh"}}, "text: expected a digit, a colour or a motion, got 'xyzzy plugh'"),
        ({"given": {"video": VIDEO[:7]}}, r"video: .*got shape \(7, 3, 32, 32\)"),
        ({"given": {"image": 2 + IMAGE}}, r"image: .* in \[0, 1\], got values in"),
        ({"given": {"video": None}}, "video: expected a float tensor .*, got NoneType"),
        (
            {"given": {"text": ["seven", "two"], "video": torch.stack([VIDEO] * 3)}},
            "given: expected batches of 3 items, or of 1, got text 2, video 3",
        ),
        (
            {"given": {"video": torch.stack([VIDEO] * 3)}, "prompts": {"text": ["seven", "two"]}},
            "given: expected batches of 3 items, or of 1, got video 3, prompts 2",
        ),
        ({"given": {"text": "two"}, "noise": {"text": torch.zeros(1, 3)}}, r"noise of text: expected a .*\(1, 8, 8\)"),
        ({"given": {"text": "two"}, "steps": {"audio": 2, "text": 2}}, "steps: expected a modality out of audio, got"),
        ({"given": {"text": "two"}, "seed": [1, 2]}, "seed: expected an integer, or one for each of 1 samples, got 2"),
    ],
)
def test_bad_input_is_named(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        latents(**{"outputs": ("audio",), **settings})
    assert "\n" not in str(error.value)


# ---- the stream by itself, and what is as it was without one


def test_its_steps_end_at_its_own_latent_and_hold_skips_them():
    one, seen = given_stream(steps=3), []
    z0 = one.modality.encode(one.data())
    for _ in range(3):
        assert not one.done
        seen.append((one.t.tolist(), one.z))
        one.step()
    assert [t for t, _ in seen] == [[999] * 2, [666] * 2, [332] * 2]
    distances = [(z - z0).abs().mean() for _, z in seen]
    assert distances == sorted(distances, reverse=True)
    skipped = given_stream(steps=3)
    skipped.hold()
    for each in (one, skipped, given_stream(held=True)):
        each.step()  # which does nothing any more
        assert each.done and each.t.tolist() == [0, 0] and torch.equal(each.z, z0)


@pytest.mark.parametrize("outputs", [("image",), ("image", "audio"), NAMES])
def test_without_it_the_papers_way_is_as_it_was(outputs):
    """The same bits as streams that are put together by hand."""
    model, c = random_codi(), random_codi().encode_prompt("text", "seven")
    streams = {}
    for name in outputs:
        m, sampler = model.modalities[name], make_sampler("ddpm", model.schedule, 3)
        streams[name] = Stream(m, model.noise_of(9)[name], m.denoiser, sampler, m.generators([9], "steps"))
    joint_sample(Shared(model, SAME_T, torch.nn.functional.normalize(c, dim=-1)), streams)
    for given in (None, {}):
        settings = {"prompts": {"text": "seven"}, "outputs": outputs, "steps": 3, "guidance": 1.0, "seed": 9}
        z = model.generate_latents(**settings, given=given, recipe=PLAIN)
        assert all(torch.equal(z[name], stream.z) for name, stream in streams.items())
