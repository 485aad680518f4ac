"""Recipes: what they hold, that JSON keeps it, and that each addition changes what it says and nothing else."""

import json
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.ours.cascade import Cascade
from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.ours.whole_captions import WholeCaptions
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
    assert [a.name for a in CASCADE.additions] == ["plain_english", "prompt_clocks", "cascade"]


def test_the_paper_adds_nothing():
    assert Recipe().additions == PAPER.additions == () and PAPER.wiring == "others"
    assert replace(SHIPPED, name="paper", additions=()) == PAPER


def test_all_additions_are_in_a_recipe_and_each_has_the_name_of_its_file():
    ours = {name for name, kind in ADDITIONS.items() if kind.__module__ == f"codi_minimal.ours.{name}"}
    assert {a.name for recipe in RECIPES.values() for a in recipe.additions} == ours
    assert Cascade.name == "cascade" and ADDITIONS["cascade"] is Cascade


def test_an_addition_that_replaces_nothing_changes_nothing():
    class Idle(Addition):
        pass

    for recipe in (PAPER, SHIPPED):
        for prompts, outputs in (({"audio": AUDIO}, ("text", "image")), ({}, ("image", "audio"))):
            settings = {"prompts": prompts, "outputs": outputs, "steps": 2}
            idle = replace(recipe, additions=(*recipe.additions, Idle()))
            z, same = (random_codi().generate_latents(**settings, recipe=r) for r in (recipe, idle))
            assert all(torch.equal(z[name], same[name]) for name in outputs)


def test_only_additions_that_exist_can_be_taken_away():
    assert PAPER.without("cascade") == PAPER
    with pytest.raises(ValueError, match=r"expected names of additions out of .*cascade.*; got \['cascad'\]"):
        SHIPPED.without("cascad")
    with pytest.raises(ValueError, match=r"expected names of additions out of .*; got \[3, \['x'\]\]"):
        SHIPPED.without(3, ["x"])


@pytest.mark.parametrize("sampler", ["euler", None, ["ddpm"]])
def test_a_recipe_has_a_sampler_that_exists(sampler):
    with pytest.raises(ValueError, match=r"recipe 'mine': expected a sampler out of \['ddim', "):
        Recipe(name="mine", sampler=sampler)


def test_its_name_is_a_string():
    with pytest.raises(ValueError, match="recipe 3: expected a name"):
        Recipe(name=3)


# ---- JSON


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_json_keeps_a_recipe(recipe):
    assert through_json(recipe) == recipe
    for name in (a.name for a in recipe.additions):
        assert through_json(recipe.without(name)) == recipe.without(name) != recipe


def test_json_keeps_values_of_ones_own():
    additions = (WholeCaptions(weight=0.5), PromptClocks())
    guidance = {"guidance": 2.5, "guidance_beside": {"text": 3.5}, "guidance_start": {"video": 0.5}}
    steps = {"steps": {"text": 3}, "steps_beside": 7, "sampler_beside": "restart"}
    others = {"wiring": {"image": ["audio"]}, "autocast": "bf16", "additions": additions}
    recipe = Recipe("mine", "ddim", **steps, **guidance, **others)
    assert through_json(recipe) == recipe
    assert through_json(PAPER).given == "t = 0"
    assert Recipe.from_dict({}) == Recipe() and Recipe.from_dict({"guidance": 2.0}) == Recipe(guidance=2.0)


def test_json_keeps_numbers_of_numpy():
    steps, shift = {"text": np.int64(3)}, np.float32(2.5)
    assert through_json(Recipe(steps=steps, shift=shift)) == Recipe(steps={"text": 3}, shift=2.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (3, "recipe: expected an object with the keys name, .*; got 3"),
        ([], "recipe: expected an object with the keys"),
        ({1: 2, "x": 3}, r"recipe: expected an object with the keys name, .*; got \['1', 'x'\]"),
        ({"stagger": 0.5}, r"recipe: expected an object with the keys name, .*; got \['stagger'\]"),
        ({"additions": 3}, "recipe: expected a list of additions; got 3"),
        ({"additions": ["reading"]}, "recipe: expected an addition out of .*reading.*; got 'reading'"),
        ({"additions": [{"weight": 0.5}]}, "recipe: expected an addition out of"),
        ({"additions": [{"addition": "readin"}]}, "recipe: expected an addition out of .*; got {'addition': 'readin'}"),
        ({"additions": [{"addition": ["reading"]}]}, "recipe: expected an addition out of"),
        ({"additions": [{"addition": "whole_captions", "weigh": 0.5}]}, "whole_captions.weigh: .*got 0.5"),
        ({"additions": [{"addition": "whole_captions", "weight": -2}]}, "whole_captions.weight: expected .*got -2"),
        ({"additions": [{"addition": "whole_captions", "weight": None}]}, "whole_captions.weight: expected .*got None"),
        ({"guidance_start": None}, r"guidance_start: expected a number in \[0, 1\], got None"),
        ({"guidance_start": 2.0}, r"guidance_start: expected a number in \[0, 1\], got 2.0"),
        ({"guidance_start": {"image": "0.9"}}, "guidance_start of image: expected a number in"),
        ({"guidance_beside": "2"}, "guidance_beside: expected a finite number"),
        ({"guidance_beside": {"video": None}}, "guidance_beside of video: expected a finite number"),
        ({"steps_beside": 0}, "steps_beside: expected an integer from 1"),
        ({"sampler_beside": "euler"}, "expected a sampler out of"),
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


@pytest.mark.parametrize("additions", [Cascade(), [Cascade()], ("cascade",), None])
def test_additions_are_a_tuple_of_instances(additions):
    with pytest.raises(ValueError, match="additions: expected a tuple of instances of Addition, got"):
        Recipe(additions=additions)


def test_it_has_mappings_of_its_own():
    steps = {"text": 3}
    recipe = Recipe(steps=steps)
    steps["text"] = 0
    assert recipe.steps_of("text") == 3 and replace(recipe).steps is not recipe.steps
    assert PAPER.steps is not SHIPPED.steps and PAPER.steps == SHIPPED.steps
    tuples, lists = (Recipe(wiring={"image": seen}) for seen in (("audio",), ["audio"]))
    assert tuples == lists == through_json(tuples)


def test_it_cannot_be_changed_in_place():
    for thing, name in ((PAPER, "steps"), (WholeCaptions(), "weight")):
        with pytest.raises(AttributeError):
            setattr(thing, name, 1)


# ---- parts


def test_without_removes_by_the_name_of_the_file_and_keeps_the_order():
    fewer, gone = SHIPPED.without("reading"), ("reading",)
    names = [a.name for a in SHIPPED.additions]
    assert [a.name for a in fewer.additions] == [n for n in names if n not in gone] != names
    assert replace(fewer, additions=SHIPPED.additions) == SHIPPED


def test_what_a_mapping_lacks_is_the_default():
    recipe = Recipe(steps={"text": 5}, guidance={"text": 1.5})
    assert (recipe.steps_of("text"), recipe.guidance_of("text")) == (5, 1.5)
    assert (recipe.steps_of("image"), recipe.guidance_of("image")) == (Recipe.steps, Recipe.guidance)
    assert [Recipe(shift={"video": 2.0}).shift_of(name) for name in ("video", "image")] == [2.0, 1.0]
    assert (Recipe().steps_of("image"), Recipe().guidance_of("video")) == (Recipe.steps, Recipe.guidance)


def test_beside_others_a_modality_has_values_of_its_own_or_those_for_all_or_the_usual_ones():
    usual = Recipe(guidance={"image": 1.5}, steps={"image": 7})
    own = replace(usual, guidance_beside={"image": 3.0}, steps_beside={"image": 9}, sampler_beside="ddim")
    for_all = replace(usual, guidance_beside=5.0, steps_beside=8)
    recipes = (usual, own, for_all)
    assert [r.guidance_of("image", beside=True) for r in recipes] == [1.5, 3.0, 5.0]
    assert [r.guidance_of("text", beside=True) for r in recipes] == [4.5, 4.5, 5.0]
    assert [r.guidance_of("image") for r in recipes] == [1.5, 1.5, 1.5]
    assert [r.steps_of("image", beside=True) for r in recipes] == [7, 9, 8]
    assert [r.steps_of("text", beside=True) for r in recipes] == [30, 30, 8]
    assert [r.steps_of("image") for r in recipes] == [7, 7, 7]
    assert [r.sampler_of(beside) for r in recipes for beside in (True, False)] == [
        "ddpm",
        "ddpm",
        "ddim",
        *["ddpm"] * 3,
    ]


ALONE, BESIDE = 1.5, 4.0
PLAIN = Recipe(sampler="ddim", guidance=ALONE, additions=(PromptClocks(),))
STRONGER = replace(PLAIN, guidance_beside={"image": BESIDE, "audio": BESIDE}, sampler_beside="ddpm")


@pytest.mark.parametrize(
    ("settings", "beside"),
    [
        ({"outputs": ("audio",)}, False),
        ({"outputs": ("audio",), "prompts": {"audio": AUDIO}}, False),  # its clock is no stream
        ({"outputs": ("audio", "image"), "joint": False}, False),
        ({"outputs": ("audio", "image")}, True),
        ({"outputs": ("audio",), "given": {"image": IMAGE}}, True),
    ],
)
def test_outputs_that_are_generated_together_are_sampled_in_another_way(settings, beside):
    settings = {"prompts": {"text": "seven"}, "seed": 1} | settings
    way = {"steps": 3, "sampler": "ddpm", "guidance": BESIDE} if beside else {"steps": 2, "guidance": ALONE}
    z = random_codi().generate_latents(**settings, recipe=replace(STRONGER, steps=2, steps_beside=3))
    same = random_codi().generate_latents(**settings, recipe=PLAIN, **way)
    assert all(torch.equal(z[name], same[name]) for name in settings["outputs"])


def test_an_explicit_guidance_overrules_both():
    settings = {"prompts": {"text": "seven"}, "outputs": ("audio", "image"), "steps": 2, "sampler": "ddim"}
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


def test_each_output_has_a_start_of_its_own():
    def guided_ones(**start):
        recipe = replace(PLAIN, guidance=4.0, guidance_start=start)
        return random_codi().generate_latents({"text": "seven"}, ("text", "image"), steps=2, recipe=recipe, joint=False)

    neither, both = guided_ones(text=0.0, image=0.0), guided_ones(text=1.0, image=1.0)
    for one, other in (("text", "image"), ("image", "text")):
        z = guided_ones(**{one: 0.0, other: 1.0})
        assert torch.equal(z[one], neither[one]) and torch.equal(z[other], both[other])
        assert not torch.equal(neither[one], both[one])


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
    fields = ("steps", "steps_beside", "guidance", "guidance_beside", "guidance_start", "shift")
    recipe = Recipe(**{field: {field: 1} for field in fields}, wiring={"a": ["b"]}, additions=(Named({"c": 1}),))
    assert sorted(recipe.named()) == sorted(("a", "b", "c", *fields))
    assert Recipe().named() == [] and set(SHIPPED.named()) <= set(NAMES)


# ---- checkpoints


def edited(folder, edit) -> CoDi:
    """A checkpoint whose config.json is changed before it is loaded."""
    random_codi().save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    edit(content["config"])
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return CoDi.from_pretrained(folder, device="cpu")


def test_a_checkpoint_keeps_its_recipe(tmp_path):
    recipe = replace(SHIPPED.without("reading"), name="mine", steps=2, guidance={"text": 1.5})
    model = CoDi(random_codi().config, random_codi().vocabulary, recipe)
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["config"]
    assert set(saved) == {"config", "inference", "vocabulary"} and saved["inference"]["steps"] == 2
    assert CoDi.from_pretrained(tmp_path, device="cpu").recipe == recipe


def test_what_a_recipe_in_a_checkpoint_lacks_has_its_default(tmp_path):
    assert edited(tmp_path, lambda saved: saved["inference"].pop("given")).recipe == replace(SHIPPED, given="same t")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda saved: saved.update(sampling={}),
            "config.json: expected the keys config, inference and vocabulary, got",
        ),
        (lambda saved: saved.pop("inference"), r"expected the keys .*, got \['config', 'vocabulary'\]"),
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
