"""Recipes: what they hold, that JSON keeps it, and that each addition changes what it says and nothing else."""

import json
from dataclasses import dataclass, fields, replace

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.ours.guidance_beside import GuidanceBeside
from codi_minimal.ours.late_guidance import LateGuidance
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
    additions = (Stagger(share=0.5), LateGuidance({"video": 0.5}))
    recipe = Recipe("mine", "ddim", {"text": 3}, 2.5, {"image": ["audio"]}, "bf16", additions)
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
        ({"additions": [{"addition": "guidance_beside"}]}, "guidance_beside.g: "),
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


def test_the_modalities_that_it_names():
    recipe = Recipe(steps={"a": 1}, guidance={"b": 1}, wiring={"c": ["d"]}, additions=(GuidanceBeside({"e": 1.0}),))
    assert sorted(recipe.named()) == ["a", "b", "c", "d", "e"]
    assert PAPER.named() == [] and set(SHIPPED.named()) <= set(NAMES)


def test_scales_act_in_their_order_each_on_that_of_the_one_before():
    @dataclass(frozen=True)
    class Times(Addition):
        factor: float

        def scale(self, name, g, t, env):
            asked.append((name, g, t, env))
            return g * self.factor

    asked = []
    recipe = replace(PAPER, sampler="ddim", guidance=0.5, additions=(Times(2.0), Times(3.0)))
    settings = {"prompts": {"text": "seven"}, "outputs": ("image",), "steps": 2}
    z = random_codi().generate_latents(**settings, recipe=recipe)["image"]
    assert asked == [("image", g, t, None) for t in (0.999, 0.499) for g in (0.5, 1.0)]
    assert torch.equal(z, random_codi().generate_latents(**settings, recipe=PAPER, sampler="ddim", guidance=3)["image"])


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
        (lambda saved: saved["inference"]["additions"][2].update(tua=0.1), "caption_memory.tua: "),
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
