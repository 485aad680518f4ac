"""Training on pairs of one's own: the modalities and stages that they allow, from nothing and further."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.config import preset
from codi_minimal.data import OwnPairs, TalkingDigits, load
from codi_minimal.data.own_pairs import whole_numbers
from codi_minimal.inputs import PromptWarning
from codi_minimal.training import stages
from codi_minimal.training.card import model_card
from codi_minimal.training.run import Run
from codi_minimal.training.stages import fitted_to, in_order, new_run, train, train_further
from codi_minimal.training.streams import build_cache, turns_of
from tests.models import random_codi

SHAPES = {"image": (3, 32, 32), "audio": (8192,), "video": (8, 3, 32, 32)}


def own(*kinds: tuple[str, ...], n: int = 8, say: str = "seven red cats", **changes) -> OwnPairs:
    """n items of each kind, a set of modalities, of noise."""
    generator, items = torch.Generator().manual_seed(0), [kind for kind in kinds for _ in range(n)]
    texts = [(f"{say} {i % 3}",) if "text" in kind else () for i, kind in enumerate(items)]
    names = [name for name in SHAPES if any(name in kind for kind in kinds)]
    has = {name: torch.tensor([name in kind for kind in items]) for name in names}
    rows = {name: torch.where(there, there.cumsum(0) - 1, -1) for name, there in has.items()}
    count = {name: int(there.sum()) for name, there in has.items()}
    data = {name: whole_numbers(name, torch.rand(count[name], *SHAPES[name], generator=generator)) for name in names}
    return OwnPairs(texts, rows, data, **changes)


def config_of(pairs: OwnPairs):
    return fitted_to(in_order("tiny"), pairs)


def test_stages_and_modalities_are_those_that_pairs_allow():
    two = config_of(own(("text", "image")))
    assert two.model.modalities == ("text", "image") and two.model.fit == "plain"
    assert list(two.train.stages) == [
        "autoencoder-image", "autoencoder-text", "prompts-text-image", "denoiser-image", "denoiser-text",
        "environment", "joint", "beside-text", "beside-image",
    ]  # fmt: skip
    three = config_of(own(("text", "audio"), ("audio", "text", "video")).with_stills())
    assert three.model.modalities == ("text", "image", "audio", "video")
    assert list(three.train.stages) == list(in_order("tiny").train.stages)
    digits = TalkingDigits(load(hub=False))
    assert fitted_to(in_order("small"), digits) == in_order("small")


def test_there_is_room_for_long_captions():
    assert config_of(own(("text", "image"), say=" ".join(["many"] * 20))).model.max_words == 21
    assert config_of(own(("text", "image"), say="it's-a-cat " * 5).share("train")).model.max_words == 21
    assert config_of(own(("text", "image"))).model.max_words == preset("tiny").model.max_words


def test_a_modality_without_captions_cannot_be_aligned():
    with pytest.raises(ValueError, match="expected some audio with text"):
        config_of(own(("text", "image"), ("image", "audio")))


def test_turns_are_those_of_the_data_and_pairings_without_text_are_of_joint_stages():
    there = (("text", "image"), ("text", "audio"), ("image", "audio"))
    assert turns_of("joint", there) == (("text", "image"), ("text", "audio"), ("image", "audio"))
    assert turns_of("environment", there) == there and turns_of("beside-image", there) == (("text", "image"),)
    assert turns_of("beside-video", there) == () and turns_of("joint", TalkingDigits.pairings) == stages.TURNS["joint"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    pairs = own(("text", "image")).share("train")
    return train("tiny", pairs, folder, progress=False), folder, pairs


def test_a_model_of_two_modalities_is_trained_saved_and_sampled(trained):
    model, folder, pairs = trained
    again = CoDi.from_pretrained(folder / "model")
    assert list(again.modalities) == ["text", "image"] and again.vocabulary == list(pairs.vocabulary)
    assert [a.name for a in again.recipe.additions] == ["whole_captions", "reading", "prompt_clocks"]
    made = again.generate({"text": "seven cats"}, ("text", "image"), steps=2)
    assert made["image"].shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="audio"):
        again.generate(outputs=("audio",))
    for recipe in ("paper", "cascade"):  # which name modalities that it lacks
        again.generate(outputs=("image",), steps=2, recipe=again.recipe if recipe == "cascade" else recipe)
    card = (folder / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "--preset tiny --pairs FOLDER" in card and "7 of text and image" in card and "MNIST" not in card
    run = new_run(in_order("tiny"), pairs, folder, "cpu", 0, False)
    run.done = dict.fromkeys(run.config.train.stages, SimpleNamespace(steps=1, seconds=1.0, losses={"loss": 1.0}))
    assert "MNIST" in model_card(going_on(run, ""))  # the checkpoint that ships has learned from it
    assert "the card of runs/x says" in model_card(going_on(run, "runs/x")).lower()


def going_on(run: Run, further: str) -> Run:
    """A run that goes on from a checkpoint, finished."""
    other = replace(run, further=further)
    other.done = run.done
    return other


def test_articles_are_spelt_in_talking_digits_alone():
    own_words, digits = (
        new_run(in_order("tiny"), own(("text", "image")).share("train"), "x", "cpu", 0, False).model,
        random_codi(),
    )
    for model, spelt in ((own_words, "voy a américa"), (digits, "voy an américa")):
        assert model.modalities["text"].autoencoder.tokenizer.spell("voy a américa") == spelt


def test_all_pairs_are_encoded_once(trained):
    _, folder, pairs = trained
    run = new_run(in_order("tiny"), pairs, folder, "cpu", 0, False)
    cache = build_cache(replace(run, folder=folder / "other"), ("text", "image"))
    assert len(cache.drawn) == 7 == len(cache.latents["image"])


def test_only_the_share_to_train_on_is_trained_on(tmp_path):
    pairs = own(("text", "image"))
    with pytest.raises(ValueError, match="expected data of the split train"):
        train("tiny", pairs, tmp_path, progress=False)
    with pytest.raises(ValueError, match="expected data of the split train with split_seed 0, got train with 5"):
        train("tiny", pairs.share("train", 5), tmp_path, progress=False)


@pytest.fixture
def further(monkeypatch, tmp_path):
    """Names of the stages that `train_further` would go through, for pairs."""
    gone = []
    monkeypatch.setattr(stages, "_go_through", lambda run, names, whole: gone.extend(names))
    monkeypatch.setattr(CoDi, "from_pretrained", lambda *_: random_codi())

    def ask(pairs, some=None):
        train_further(some, data=pairs.share("train"), out=tmp_path, steps=1, progress=False)
        return gone

    return ask


def test_a_checkpoint_goes_on_in_all_stages_that_pairs_allow(further):
    said = own(("audio", "video"))
    assert further(said) == ["environment", "joint", "beside-audio", "beside-video"]


def test_a_stage_without_pairs_is_refused_by_name(further):
    with pytest.raises(ValueError, match="expected stages out of .*, got .'prompts-text-image'.") as error:
        further(own(("audio", "video")), ["prompts-text-image"])
    assert "denoiser" not in str(error.value)


def test_words_that_a_checkpoint_lacks_are_named_once(further):
    with pytest.warns(PromptWarning, match="the checkpoint does not know '0', '1', '2', 'cats'$"):
        further(own(("text", "image")))
    with pytest.raises(ValueError, match="expected captions with words that the checkpoint knows, got 'many cats 0'"):
        further(own(("text", "image"), say="many cats"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        further(own(("audio", "video")))
