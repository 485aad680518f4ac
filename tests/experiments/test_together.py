"""From the paper to what ships: which rows there are, what a row counts, and how a stopped run goes on."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from codi_minimal.data import load
from codi_minimal.data.world import World
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.statistics import Estimate, average
from codi_minimal.experiments import together as module
from codi_minimal.experiments.together import cost, measure, rows, together
from codi_minimal.recipe import Recipe
from codi_minimal.recipes import CASCADE, PAPER, SHIPPED
from tests.evaluation.conftest import Deaf, Oracle
from tests.models import random_codi

pytestmark = pytest.mark.slow

HURRIED = replace(PAPER, steps=1, steps_beside=1)
FEW = {"paper": {"recipe": HURRIED}, "shipped, apart": {"recipe": SHIPPED, "joint": False}}


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_each_row_of_the_paper_differs_from_it_in_one_thing_and_all_are_different():
    recipes = {title: options["recipe"] for title, options in rows().items()}
    assert (recipes["paper"], recipes["shipped"], recipes["cascade"]) == (PAPER, SHIPPED, CASCADE)
    assert rows()["shipped, each output by itself"] == {"recipe": SHIPPED, "joint": False}
    less = [recipe for title, recipe in recipes.items() if title.startswith("paper, ")]
    assert len(less) == len(rows()) - 4
    differing = [{field for field, value in vars(recipe).items() if value != vars(PAPER)[field]} for recipe in less]
    assert all(fields == {"sampler_beside", "steps_beside"} or len(fields) == 1 for fields in differing)
    assert len({frozenset(fields) for fields in differing}) == len(less)
    few = recipes["paper, 15 steps of DPM-Solver++"]
    assert (few.sampler_of(beside=True), few.steps_of("video", beside=True)) == ("dpm-solver++", 15)
    assert recipes["paper, 20 steps"].steps_of("video", beside=True) == 20
    assert recipes["paper, without restart"].sampler_of(beside=True) == "ddpm"
    assert recipes["paper, without the shift of clips"].shift_of("video") == 1
    assert recipes["paper, with guidance from the first step on"].guidance_start_of("image") == 1
    weak = recipes["paper, with the guidance of one output"]
    assert all(weak.guidance_of(name, beside=True) == PAPER.guidance_of(name) for name in PAPER.guidance)


@pytest.mark.parametrize("title", rows())
def test_every_row_can_be_generated(title):
    made = random_codi().generate({}, ("text", "video"), **rows()[title])  # with the steps that it has
    assert made["video"].isfinite().all()


@pytest.fixture(scope="module")
def world():
    return World(load(split="validation", hub=False))


@pytest.fixture
def free(monkeypatch):
    monkeypatch.setattr(module, "cost", lambda *_: {"denoiser calls": 1.0})


CELLS = ["digit T → I", "digit I → A", "digit I → I", "digit A → V", "onset A → V"]


def test_a_model_that_is_right_scores_high_in_every_column(world, free):
    found = measure(BatchedModel(Oracle(world.source), 0), world, 40)
    assert list(found["agreement"]) == ["digit TIAV", "colour IV", "onset AV", "onset AV ±1", "digit IV"]
    for share in found["agreement"].values():
        assert share.value >= 0.6 and share.n == 40  # the judges misread some voices of the built-in sample
    quality = found["quality"]
    assert list(quality)[:6] == [*CELLS, "mean digit"] and quality["denoiser calls"] == 1
    digits = [quality[cell].value for cell in CELLS[:4]]
    assert min(digits) >= 0.6 and quality["onset A → V"].value >= 0.95
    assert quality["mean digit"].value == pytest.approx(sum(digits) / 4)
    assert quality["mean digit"] == average([quality[cell] for cell in CELLS[:4]], independent=True)
    assert quality["entropy of colours"].value > 0.85
    assert quality["bias of the distance"] == quality["Fréchet distance"].bias


def test_a_model_that_ignores_its_prompts_and_makes_outputs_apart_is_at_chance(world, free):
    model = BatchedModel(Deaf(world.source), 0, {"joint": False})
    found = measure(model, world, 100)
    assert found["agreement"]["digit IV"].value < 0.3
    assert found["agreement"]["colour IV"].value < 0.3 and found["agreement"]["onset AV"].value < 0.5
    assert found["agreement"]["onset AV ±1"].value > found["agreement"]["onset AV"].value
    assert found["quality"]["mean digit"].value < 0.3


def test_the_colours_are_those_of_images_under_no_prompt_and_the_distance_is_of_images_from_text(world, free):
    class Odd(Oracle):
        """Its images are red under no prompt, and lie on their side where they are made from text."""

        def generate(self, prompts, outputs, **options):
            made = super().generate(prompts, outputs, **options)
            if "image" in made:
                image = made["image"]
                made["image"] = image.mT if "text" in prompts else image.amax(1, keepdim=True) * red
            return made

    red = torch.tensor([1.0, 0.1, 0.1])[:, None, None]
    right, odd = (measure(BatchedModel(x(world.source), 0), world, 40) for x in (Oracle, Odd))
    assert odd["quality"]["entropy of colours"].value == 0
    assert odd["quality"]["Fréchet distance"].value > 2 * right["quality"]["Fréchet distance"].value


@pytest.mark.parametrize(("guidance", "calls"), [(1.0, 8), (2.0, 16)])
def test_calls_of_the_denoisers_are_counted_for_a_sample(guidance, calls):
    recipe = Recipe(steps=2, guidance=guidance)
    found = cost(random_codi(), {"recipe": recipe}, n=3)
    assert found["denoiser calls"] == calls and found["seconds"] > 0
    assert not any(m.denoiser._forward_pre_hooks for m in random_codi().modalities.values())


@pytest.fixture
def asked(monkeypatch):
    """Rows that `measure` was called for; it raises where `asked.stop` names one of them."""

    class Asked(list):
        stop = None

    asked = Asked()
    asked.autocast = set()

    def stub(batched, world, n):
        recipe = batched.options["recipe"]
        if recipe.name == asked.stop:
            raise InterruptedError
        asked.append((recipe.name, batched.seed, batched.workers, n))
        asked.autocast.add(recipe.autocast)
        figure = Estimate(0.5, n, (0.4, 0.6))
        quality = {"digit T → I": figure, "seconds": 1.5}
        agreed = {"digit TIAV": figure, "digit IV": figure}
        return {"agreement": agreed, "quality": quality}

    monkeypatch.setattr(module, "measure", stub)
    monkeypatch.setattr(module, "rows", lambda: {title: dict(options) for title, options in FEW.items()})
    return asked


def test_a_stopped_run_goes_on_at_the_row_it_was_in(tmp_path, asked):
    asked.stop = "shipped"
    with pytest.raises(InterruptedError):
        together(random_codi(), None, tmp_path, samples=3, seed=5, workers=2, progress=False)
    asked.stop = None
    report = together(random_codi(), None, tmp_path, samples=3, seed=5, workers=2, progress=False)
    assert asked == [("paper", 5, 2, 3), ("shipped", 5, 2, 3)]
    assert report["rows"]["paper"] == report["rows"]["shipped, apart"]  # also what was read from its file
    assert len(list((tmp_path / "rows").iterdir())) == 2


def test_a_row_is_measured_anew_where_its_recipe_or_the_run_has_changed(tmp_path, asked, monkeypatch):
    together(random_codi(), None, tmp_path, samples=3, progress=False)
    changed = FEW | {"paper": {"recipe": replace(PAPER, steps=2, steps_beside=2)}}
    monkeypatch.setattr(module, "rows", lambda: {title: dict(options) for title, options in changed.items()})
    together(random_codi(), None, tmp_path, samples=3, progress=False)
    assert [name for name, *_ in asked] == ["paper", "shipped", "paper"]
    together(random_codi(), None, tmp_path, samples=4, progress=False)
    assert [name for name, *_ in asked][3:] == ["paper", "shipped"]


def test_the_files_have_every_row_and_chance(tmp_path, asked):
    report = together(random_codi(), None, tmp_path, samples=3, progress=False)
    assert json.loads((tmp_path / "together.json").read_text(encoding="utf-8")) == report
    page = (tmp_path / "together.md").read_text(encoding="utf-8")
    assert report["command"] in page and "validation split" in page
    assert page.count("| paper | 0.500 [0.40, 0.60] |") == page.count("| shipped, apart | 0.500 [0.40, 0.60] |") == 2
    assert "| chance | 0.001 | 0.100 |" in page and "| chance | 0.100 | - |" in page


def test_all_rows_run_in_the_precision_of_the_model_s_recipe_and_the_command_says_so(tmp_path, asked):
    model = copy.deepcopy(random_codi())
    model.recipe = replace(model.recipe, autocast="bf16")
    report = together(model, None, tmp_path, samples=3, progress=False)
    assert asked.autocast == {"bf16"} and report["command"].endswith("--samples 3 --seed 0 --autocast bf16")
