"""Recipes: what they hold, that JSON keeps it, and that each addition changes what it says and nothing else."""

import json
from dataclasses import dataclass, fields, replace

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.ours.caption_memory import CaptionMemory
from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.ours.stagger import Stagger
from codi_minimal.recipe import ADDITIONS, Addition, Recipe, find_recipe
from codi_minimal.recipes import CASCADE, PAPER, RECIPES, SHIPPED
from tests.models import AUDIO, IMAGE, NAMES, random_codi


def through_json(recipe: Recipe) -> Recipe:
    return Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))


# ---- the three that there are


def test_there_are_three_by_name():
    assert RECIPES == {"paper": PAPER, "shipped": SHIPPED, "cascade": CASCADE}
    assert all(find_recipe(name) is recipe and recipe.name == name for name, recipe in RECIPES.items())
    assert find_recipe(SHIPPED) is SHIPPED


def test_the_paper_adds_nothing():
    assert Recipe() == PAPER and PAPER.additions == () and PAPER.wiring == "others"


def test_all_additions_ship_and_each_has_the_name_of_its_file():
    ours = {name for name, kind in ADDITIONS.items() if kind.__module__ == f"codi_minimal.ours.{name}"}
    assert {a.name for a in SHIPPED.additions} == ours
    assert Stagger.name == "stagger" and ADDITIONS["stagger"] is Stagger


def test_an_addition_that_replaces_nothing_changes_nothing():
    class Idle(Addition):
        pass

    for recipe in (PAPER, SHIPPED):
        for prompts, outputs in (({"audio": AUDIO}, ("text", "image")), ({}, ("image", "audio"))):
            settings = {"prompts": prompts, "outputs": outputs, "steps": 2}
            idle = replace(recipe, additions=(*recipe.additions, Idle()))
            z, same = (random_codi().generate_latents(**settings, recipe=r) for r in (recipe, idle))
            assert all(torch.equal(z[name], same[name]) for name in outputs)


def test_the_cascade_is_one_call_after_the_other():
    """The second output is that of a call with the first one as a prompt, and no stream under way is seen."""
    model, recipe = random_codi(), replace(CASCADE, steps=3)
    seen = []
    handles = [
        m.denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[3])) for m in model.modalities.values()
    ]
    together = model.generate({"text": "seven"}, ("image", "audio"), recipe=recipe)
    image = model.generate({"text": "seven"}, ("image",), recipe=recipe)["image"]
    audio = model.generate({"text": "seven", "image": image}, ("audio",), recipe=recipe)["audio"]
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(together["image"], image, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together["audio"], audio, rtol=1e-3, atol=1e-3)
    assert len(seen) == 12 and all(env is None or not env.present.numel() for env in seen)
    alone = model.generate({"text": "seven"}, ("audio",), recipe=recipe)["audio"]
    assert (together["audio"] - alone).abs().max() > 1e-3


def test_in_the_cascade_a_finished_output_is_seen_by_its_clock_alone():
    model, seen = random_codi(), []
    handle = model.modalities["video"].denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[3]))
    z = model.generate_latents({}, ("audio", "video"), recipe=replace(CASCADE, steps=2))
    handle.remove()
    clock = model.modalities["audio"].environment.clock_tokens(z["audio"])
    assert len(seen) == 2
    for env in seen:
        torch.testing.assert_close(env.tokens[-1:], clock, rtol=1e-4, atol=1e-5)


def test_only_additions_that_exist_can_be_taken_away():
    assert PAPER.without("stagger") == PAPER
    with pytest.raises(ValueError, match=r"expected names of additions out of .*stagger.*; got \['staggr'\]"):
        SHIPPED.without("staggr")


@pytest.mark.parametrize("sampler", ["euler", None, ["ddpm"]])
def test_a_recipe_has_a_sampler_that_exists(sampler):
    with pytest.raises(ValueError, match=r"recipe 'mine': expected a sampler out of \['ddim', "):
        Recipe(name="mine", sampler=sampler)


# ---- JSON


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_json_keeps_a_recipe(recipe):
    assert through_json(recipe) == recipe
    for name in (a.name for a in recipe.additions):
        assert through_json(recipe.without(name)) == recipe.without(name) != recipe


def test_json_keeps_values_of_ones_own():
    additions = (Stagger(share=0.5), CaptionMemory(tau=0.1))
    guidance = (2.5, {"text": 3.5}, {"video": 0.5})
    recipe = Recipe("mine", "ddim", {"text": 3}, *guidance, {"image": ["audio"]}, "bf16", additions)
    assert through_json(recipe) == recipe
    assert through_json(replace(PAPER, given="t = 0")).given == "t = 0"
    assert Recipe.from_dict({}) == PAPER and Recipe.from_dict({"guidance": 2.0}) == replace(PAPER, guidance=2.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (3, "recipe: expected an object with the keys name, .*; got 3"),
        ([], "recipe: expected an object with the keys"),
        ({"stagger": 0.5}, r"recipe: expected an object with the keys name, .*; got \['stagger'\]"),
        ({"additions": 3}, "recipe: expected a list of additions; got 3"),
        ({"additions": ["stagger"]}, "recipe: expected an addition out of .*stagger.*; got 'stagger'"),
        ({"additions": [{"share": 0.5}]}, "recipe: expected an addition out of"),
        ({"additions": [{"addition": "staggr"}]}, "recipe: expected an addition out of .*; got {'addition': 'staggr'}"),
        ({"additions": [{"addition": ["stagger"]}]}, "recipe: expected an addition out of"),
        ({"additions": [{"addition": "stagger", "shar": 0.5}]}, "stagger.shar: .*got 0.5"),
        ({"additions": [{"addition": "stagger", "share": 2}]}, "stagger.share: expected .*got 2"),
        ({"additions": [{"addition": "stagger", "share": None}]}, "stagger.share: expected .*got None"),
        ({"additions": [{"addition": "late_guidance"}]}, r"guidance_start: expected a number in \[0, 1\], got None"),
        ({"guidance_start": 2.0}, r"guidance_start: expected a number in \[0, 1\], got 2.0"),
        ({"guidance_start": {"image": "0.9"}}, "guidance_start of image: expected a number in"),
        ({"guidance_beside": "2"}, "guidance_beside: expected a finite number"),
        ({"guidance_beside": {"video": None}}, "guidance_beside of video: expected a finite number"),
        ({"shift": 0}, r"shift: expected a number in \[0.01, 100\], got 0"),
        ({"shift": {"video": "2"}}, "shift of video: expected a number"),
        ({"steps": 0}, "steps: expected an integer from 1"),
        ({"steps": {"image": 1.5}}, "steps of image: expected an integer from 1"),
        ({"guidance": "3"}, "guidance: expected a finite number, got '3'"),
        ({"guidance": {"image": None}}, "guidance of image: expected a finite number, got None"),
        ({"wiring": "all"}, "expected a wiring out of others, own, pooled, off, or a mapping, got 'all'"),
        ({"wiring": {"image": "audio"}}, "wiring: expected a sequence of names for each stream, got"),
        ({"given": "t=0"}, r"given: expected one of \('same t', 't = 0'\), got 't=0'"),
        ({"given": None}, "given: expected one of .*, got None"),
        ({"given": ["t = 0"]}, "given: expected one of"),
        ({"autocast": "fp8"}, r"autocast: expected one of \(None, 'bf16'\), got 'fp8'"),
    ],
)
def test_wrong_json_is_named_in_one_line(values, message):
    with pytest.raises(ValueError, match=message) as error:
        Recipe.from_dict(values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("additions", [Stagger(), [Stagger()], ("stagger",), None])
def test_additions_are_a_tuple_of_instances(additions):
    with pytest.raises(ValueError, match="additions: expected a tuple of instances of Addition, got"):
        Recipe(additions=additions)


def test_it_cannot_be_changed_in_place():
    for thing, name in ((PAPER, "steps"), (Stagger(), "share")):
        with pytest.raises(AttributeError):
            setattr(thing, name, 1)


# ---- parts


def test_without_removes_by_the_name_of_the_file_and_keeps_the_order():
    fewer = SHIPPED.without("stagger", "arrivals")
    names = [a.name for a in SHIPPED.additions]
    assert [a.name for a in fewer.additions] == [n for n in names if n not in ("stagger", "arrivals")]
    assert replace(fewer, additions=SHIPPED.additions) == SHIPPED


def test_what_a_mapping_lacks_is_the_papers():
    recipe = Recipe(steps={"text": 5}, guidance={"text": 1.5})
    assert (recipe.steps_of("text"), recipe.guidance_of("text")) == (5, 1.5)
    assert (recipe.steps_of("image"), recipe.guidance_of("image")) == (PAPER.steps, PAPER.guidance)
    assert [Recipe(shift={"video": 2.0}).shift_of(name) for name in ("video", "image")] == [2.0, 1.0]
    assert (PAPER.steps_of("image"), PAPER.guidance_of("video")) == (PAPER.steps, PAPER.guidance)


def test_beside_others_a_modality_has_the_guidance_of_its_own_or_that_for_all_or_the_usual_one():
    usual = Recipe(guidance={"image": 1.5})
    own, for_all = (replace(usual, guidance_beside=g) for g in ({"image": 3.0}, 5.0))
    assert [r.guidance_of("image", beside=True) for r in (usual, own, for_all)] == [1.5, 3.0, 5.0]
    assert [r.guidance_of("text", beside=True) for r in (usual, own, for_all)] == [4.5, 4.5, 5.0]
    assert [r.guidance_of("image") for r in (usual, own, for_all)] == [1.5, 1.5, 1.5]


def test_what_was_an_addition_in_earlier_recipes_is_read():
    earlier = SHIPPED.to_dict()
    earlier["additions"] += [
        {"addition": "guidance_beside", "g": earlier.pop("guidance_beside")},
        {"addition": "late_guidance", "start": earlier.pop("guidance_start")},
    ]
    assert Recipe.from_dict(earlier) == SHIPPED and SHIPPED.guidance_beside and SHIPPED.guidance_start


ALONE, BESIDE = 1.5, 4.0
PLAIN = Recipe(sampler="ddim", guidance=ALONE, additions=(PromptClocks(),))
STRONGER = replace(PLAIN, guidance_beside={"image": BESIDE, "audio": BESIDE})


@pytest.mark.parametrize(
    ("prompts", "outputs", "joint", "changed", "g"),
    [
        ({"text": "seven"}, ("audio",), True, lambda r: r, ALONE),
        ({"image": IMAGE}, ("audio",), True, lambda r: r, ALONE),
        ({"text": "seven"}, ("audio", "image"), False, lambda r: r, ALONE),
        ({"text": "seven"}, ("audio", "image"), True, lambda r: replace(r, wiring="off"), ALONE),
        ({"text": "seven"}, ("audio", "image"), True, lambda r: r, BESIDE),
        ({"audio": AUDIO}, ("audio",), True, lambda r: r, BESIDE),  # the clock of the prompt
        ({"audio": AUDIO}, ("audio",), True, lambda r: r.without("prompt_clocks"), ALONE),
    ],
)
def test_guidance_is_another_where_there_is_an_environment(prompts, outputs, joint, changed, g):
    settings = {"prompts": prompts, "outputs": outputs, "steps": 2, "joint": joint}
    z = random_codi().generate_latents(**settings, recipe=changed(STRONGER))
    same = random_codi().generate_latents(**settings, recipe=changed(PLAIN), guidance=g)
    assert all(torch.equal(z[name], same[name]) for name in outputs)


def test_an_explicit_guidance_overrules_both():
    settings = {"prompts": {"text": "seven"}, "outputs": ("audio", "image"), "steps": 2}
    with_it, without, own = (
        random_codi().generate_latents(**settings, recipe=recipe, guidance=g)["image"]
        for recipe, g in ((STRONGER, 2.0), (PLAIN, 2.0), (STRONGER, None))
    )
    assert torch.equal(with_it, without) and not torch.equal(own, without)
    by_output = random_codi().generate_latents(**settings, recipe=STRONGER, guidance={"image": 2.0, "audio": 2.0})
    assert torch.equal(by_output["image"], with_it)


def late(start) -> Recipe:
    return replace(PLAIN, guidance=4.0, guidance_start=start)


def image(recipe: Recipe, **settings) -> torch.Tensor:
    """Four steps, at t = 999, 749, 499, 249."""
    return random_codi().generate_latents({"text": "seven"}, ("image",), steps=4, recipe=recipe, **settings)["image"]


def test_guidance_starts_where_it_is_told():
    never, half, always = (image(late({"image": start, "text": 0.1})) for start in (0.0, 0.5, 1.0))
    assert torch.equal(never, image(PLAIN, guidance=1)) and torch.equal(always, image(PLAIN, guidance=4))
    assert not torch.equal(half, never) and not torch.equal(half, always)
    assert torch.equal(half, image(late(0.5))) and torch.equal(half, image(late(0.5), guidance=4))
    assert torch.equal(always, image(late({"text": 0.1})))


@pytest.mark.parametrize(("start", "sizes"), [(0.749, [1, 1, 2, 2]), (0.75, [1, 2, 2, 2]), (1, [2, 2, 2, 2])])
def test_steps_without_guidance_take_half_the_batch(start, sizes):
    seen = []
    net = random_codi().modalities["image"].denoiser
    handle = net.register_forward_hook(lambda _m, args, _o: seen.append(len(args[0])))
    image(late(start))
    handle.remove()
    assert seen == sizes


@dataclass(frozen=True)
class Named(Addition):
    of: dict


def test_the_modalities_that_it_names():
    fields = ("steps", "guidance", "guidance_beside", "guidance_start", "shift")
    recipe = Recipe(**{field: {field: 1} for field in fields}, wiring={"a": ["b"]}, additions=(Named({"c": 1}),))
    assert sorted(recipe.named()) == sorted(("a", "b", "c", *fields))
    assert PAPER.named() == [] and set(SHIPPED.named()) <= set(NAMES)


def test_prompts_pass_through_the_additions_in_their_order():
    class Plus(Addition):
        def prompt(self, model, c):
            return c + 1

    class Doubled(Addition):
        def prompt(self, model, c):
            return 2 * c

    c = random_codi().encode_prompt("image", IMAGE)
    recipe = replace(PAPER, additions=(Plus(), Doubled()))
    torch.testing.assert_close(random_codi().read_prompt("image", IMAGE, recipe), 2 * (c + 1))
    torch.testing.assert_close(random_codi().condition({"image": IMAGE}, recipe=recipe), 2 * (c + 1))


# ---- checkpoints


def edited(folder, edit) -> CoDi:
    """A checkpoint whose config.json is changed before it is loaded."""
    random_codi().save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    edit(content["config"])
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return CoDi.from_pretrained(folder, device="cpu")


def test_a_checkpoint_keeps_its_recipe(tmp_path):
    recipe = replace(SHIPPED.without("stagger"), name="mine", steps=2, guidance={"text": 1.5})
    model = CoDi(random_codi().config, random_codi().vocabulary, recipe)
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["config"]
    assert set(saved) == {"config", "inference", "vocabulary"} and saved["inference"]["steps"] == 2
    assert CoDi.from_pretrained(tmp_path, device="cpu").recipe == recipe


def test_a_checkpoint_of_before_given_streams_loads(tmp_path):
    assert edited(tmp_path, lambda saved: saved["inference"].pop("given")).recipe == SHIPPED
    assert SHIPPED.given == PAPER.given == "same t"


def test_a_checkpoint_without_a_recipe_is_sampled_as_the_shipped_one_says(tmp_path):
    assert edited(tmp_path, lambda saved: saved.pop("inference")).recipe == SHIPPED


def test_weights_of_an_addition_that_config_json_leaves_out_are_not_loaded(tmp_path):
    def without_memory(saved):
        entries = saved["inference"]["additions"]
        saved["inference"]["additions"] = [entry for entry in entries if entry["addition"] != "caption_memory"]

    model = edited(tmp_path, without_memory)
    assert model.recipe == SHIPPED.without("caption_memory") and "caption_memory" not in model.additions
    model.generate_latents({"text": "seven"}, steps=1)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda saved: saved.update(sampling={}),
            "config.json: expected the keys config, inference and vocabulary, got",
        ),
        (lambda saved: saved["inference"].update(bridge=True), r"recipe: expected .*; got \['bridge'\]"),
        (lambda saved: saved["inference"]["additions"].append({"addition": "magic"}), "expected an addition out of"),
        (lambda saved: saved["inference"]["additions"][-1].update(tua=0.1), f"{SHIPPED.additions[-1].name}.tua: "),
        (lambda saved: saved.update(inference=None), "recipe: expected an object"),
    ],
)
def test_unknown_keys_of_config_json_are_refused_in_one_line(tmp_path, edit, message):
    with pytest.raises(ValueError, match=message) as error:
        edited(tmp_path, edit)
    assert "\n" not in str(error.value)


def test_the_shipped_checkpoint_has_the_shipped_recipe():
    model = CoDi.from_pretrained(device="cpu")
    assert model.recipe == SHIPPED == through_json(model.recipe)
    assert {field.name for field in fields(Recipe)} == set(model.recipe.to_dict())
    assert model.additions["caption_memory"].captions.any(dim=1).sum() > 600  # it came with the weights
