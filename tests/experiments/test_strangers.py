"""Strangers, at the tiny scale: what is brought, what counts as right, and who is left out."""

import json
import random
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.data import DIGITS, WORDS, espeak, load
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.experiments import imitations
from codi_minimal.experiments import strangers as module
from codi_minimal.experiments.strangers import FOLDS, JUDGE, LEARNING, phrases, right, strangers
from codi_minimal.recipes import SHIPPED
from tests.models import random_codi

pytestmark = pytest.mark.slow

needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="espeak-ng is not installed")


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_handwriting_is_all_of_load_digits_in_white_on_black(monkeypatch):
    data = imitations.load_digits()
    assert len(data.images) == 1797
    few = SimpleNamespace(images=data.images[:50], target=data.target[:50])
    monkeypatch.setattr(imitations, "load_digits", lambda: few)
    images, digits = imitations.handwriting()
    assert images.shape == (50, 3, 32, 32) and digits.tolist() == data.target[:50].tolist()
    assert (images[:, :, 0].abs() < 0.1).all() and (images.amax((1, 2, 3)) > 0.99).all()
    assert torch.equal(images[:, 0], images[:, 2])


def test_photographs_show_every_digit_and_differ():
    images, digits = imitations.photographs(20, seed=0)
    assert digits.tolist() == [*range(10)] * 2 and images.flatten(1).unique(dim=0).shape[0] == 20
    assert torch.equal(images, imitations.photographs(20, seed=0)[0])
    page = imitations.photograph(4, random.Random(0))
    lightness = torch.tensor(list(page.convert("L").resize((8, 8)).tobytes())).float()
    assert page.size == (imitations.SHEET, imitations.SHEET) and lightness.max() > 1.2 * lightness.min()


@needs_espeak
def test_no_voice_is_one_that_training_hears(monkeypatch):
    variants = {name.partition("+")[2] for name, _ in imitations.STRANGE_VOICES}
    assert variants <= {"", *espeak.HELD_OUT_VARIANTS} and len(set(imitations.STRANGE_VOICES)) == 12
    monkeypatch.setattr(imitations, "STRANGE_VOICES", imitations.STRANGE_VOICES[:2])
    waves, digits, speakers = imitations.voices()
    assert waves.shape == (40, 8192)
    assert digits.bincount().tolist() == [4] * 10 and speakers.bincount().tolist() == [20] * 2
    wet = imitations.roomy(waves, torch.Generator().manual_seed(0))
    assert torch.allclose(wet.abs().amax(1), torch.tensor(0.8)) and wet[:, -500:].std() > 4 * waves[:, -500:].std()


def test_phrases_are_of_this_world():
    asked = imitations.phrases()
    assert len(asked) == 240
    assert all(phrase[name] in (None, *WORDS[name]) for phrase in asked for name in WORDS)


def test_a_caption_is_right_if_it_says_the_digit():
    said = [{"digit": "two"}, {"digit": "three"}, {}, {"colour": "red", "digit": "five"}]
    assert right(said, torch.tensor([2, 2, 2, 5])).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("caption", "is_right"),
    [
        ("a red seven", True), ("a seven", True), ("a red seven that moves left", True), ("a blue seven", False),
        ("something red", False), ("a red one", False), ("red red seven a", False),
    ],
)  # fmt: skip
def test_a_phrase_is_right_if_its_caption_contradicts_nothing_and_says_the_digit(monkeypatch, caption, is_right):
    nothing = {"digit": None, "colour": None, "motion": None}
    asked = [nothing | {"text": "a crimson 7", "digit": "seven", "colour": "red"}, nothing | {"text": "hello there"}]
    monkeypatch.setattr(imitations, "phrases", lambda: asked)
    made = []

    def generate(prompts, outputs, **options):
        made.append((prompts, outputs))
        return {"text": [caption]}

    model = BatchedModel(SimpleNamespace(generate=generate, recipe=SHIPPED))
    (figure,) = phrases(model).values()
    assert made == [({"text": ["a crimson 7"]}, ("text",))]
    assert figure.value == (is_right + 1) / 2 and figure.n == 2


def test_nobody_who_is_left_out_is_heard_and_all_are_left_out_once(monkeypatch, tmp_path):
    heard, asked = [], []

    def training(run, name, voices):
        heard.append(set(run.corpus.source.speakers.tolist()))
        assert name == "audio" and run.config.train.synthetic_voices == (len(heard) > 6)
        assert [a.name for a in run.model.recipe.additions].count("other_voices") == (len(heard) > 3)

    def nearest(model, waves):
        asked.append(waves)
        return torch.zeros(len(waves), dtype=torch.long)

    def judged(source, folder, *_):
        heard.append(set(source.speakers.tolist()))
        return SimpleNamespace(look=lambda name, waves: (F.one_hot(nearest(name, waves), 10),))

    monkeypatch.setattr(module, "train_bridge", training)
    monkeypatch.setattr(module, "nearest_digit", nearest)
    monkeypatch.setattr(module, "train_classifiers", judged)
    monkeypatch.setattr(module.espeak, "installed", lambda: True)
    for kind in ("voices", "handwriting", "photographs", "phrases"):
        monkeypatch.setattr(module, kind, lambda model, **samples: {})
    report = strangers(random_codi(), None, tmp_path, steps=1, samples=2, progress=False)
    everybody = set(load().speakers.tolist())
    assert heard == [everybody - set(fold) for fold in FOLDS] * 4
    assert sorted(speaker for fold in FOLDS for speaker in fold) == sorted(everybody)
    n, spoken = len(load().spoken), load().speakers.bincount().tolist()
    assert [len(waves) for waves in asked[::2]] == [sum(spoken[i] for i in fold) for fold in FOLDS] * 4
    assert list(report["speakers"]) == [*LEARNING, JUDGE]
    assert all(figure["n"] == n for row in report["speakers"].values() for figure in row.values())


def test_it_runs_from_end_to_end_and_goes_on_where_it_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(module.espeak, "installed", lambda: False)
    monkeypatch.setattr(imitations, "handwriting", lambda: (torch.rand(3, 3, 32, 32), torch.tensor([1, 2, 3])))
    asked = imitations.phrases()[:3]
    monkeypatch.setattr(imitations, "phrases", lambda: asked)
    model = random_codi()
    report = strangers(model, None, tmp_path, steps=1, samples=2, progress=False)
    assert report == json.loads((tmp_path / "strangers.json").read_text(encoding="utf-8"))
    titles = ["handwriting (load_digits)", "photographed type", "photographed type, no wrong colour"]
    assert list(report["brought"]) == [*titles, "a phrase in everyday English"]
    assert list(report["speakers"]) == [*list(LEARNING)[:2], JUDGE]  # without espeak-ng there are no voices of it
    page = (tmp_path / "strangers.md").read_text(encoding="utf-8")
    assert "the recordings alone" in page and "for 1 steps" in page
    monkeypatch.setattr(BatchedModel, "__call__", None)
    monkeypatch.setattr(module, "train_bridge", None)
    monkeypatch.setattr(module, "train_classifiers", None)
    assert strangers(model, None, tmp_path, steps=1, samples=2, progress=False) == report


def test_the_nearest_caption_names_the_digit():
    model = random_codi()
    waves = torch.rand(3, 8192) - 0.5
    captions = model.modalities["text"].prompt(list(DIGITS))
    expected = (model.modalities["audio"].prompt(waves) @ captions.T).argmax(1)
    assert torch.equal(module.nearest_digit(model, waves), expected)
