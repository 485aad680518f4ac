"""Weights that go to the hub come back as they were, with their card. The hub here is a folder on disk."""

import inspect
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects

from codi_minimal import CoDi
from codi_minimal.codi import SHIPPED_WEIGHTS
from codi_minimal.data import TalkingDigits, load
from codi_minimal.data.sources import HUB
from codi_minimal.hub import metadata
from codi_minimal.training.card import model_card
from codi_minimal.training.run import Run
from tests.models import random_codi

REAL, DOWNLOAD = huggingface_hub.HfApi, huggingface_hub.snapshot_download
COMMIT = "0123456789" * 4
CARD = "# Mine\n\nTrained on my own pictures.\n"


class FolderHub:
    """Two functions of `HfApi`, with its arguments. They write a cache that `snapshot_download` reads offline."""

    cache: Path

    def create_repo(self, *args, **options):
        named = inspect.signature(REAL.create_repo).bind(self, *args, **options).arguments
        repo_id = named["repo_id"]
        (self.folder(repo_id) / "refs").mkdir(parents=True, exist_ok=named["exist_ok"])
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, *args, **options):
        named = inspect.signature(REAL.upload_folder).bind(self, *args, **options).arguments
        to = self.folder(named["repo_id"])
        shutil.copytree(named["folder_path"], to / "snapshots" / COMMIT, dirs_exist_ok=True)
        (to / "refs" / "main").write_text(COMMIT, encoding="utf-8")

    def folder(self, repo_id: str) -> Path:
        return self.cache / f"models--{repo_id.replace('/', '--')}"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub is this folder, and nothing else can be reached."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    api = type("Api", (FolderHub,), {"cache": tmp_path / "hub"})

    def download(repo_id: str, allow_patterns: list[str]) -> str:
        """Offline, patterns are not looked at; so this copies the files that a download would bring."""
        there, to = Path(DOWNLOAD(repo_id, cache_dir=api.cache)), tmp_path / "downloaded" / repo_id
        to.mkdir(parents=True)
        for name in filter_repo_objects((path.name for path in there.iterdir()), allow_patterns=allow_patterns):
            shutil.copy(there / name, to)
        return str(to)

    monkeypatch.setattr(huggingface_hub, "HfApi", api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    return api()


def card_on(hub: FolderHub, repo_id: str) -> tuple[dict, str]:
    """Metadata and text of the card that the hub shows."""
    text = (hub.folder(repo_id) / "snapshots" / COMMIT / "README.md").read_text(encoding="utf-8")
    _, first, rest = text.split("---\n", 2)
    return yaml.safe_load(first), rest


def same(a: CoDi, b: CoDi) -> bool:
    """Whether all tensors of two models are equal."""
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def mine(tmp_path) -> CoDi:
    """A model that was loaded from a folder with a card."""
    random_codi().save_pretrained(tmp_path / "mine")
    (tmp_path / "mine" / "MODEL_CARD.md").write_text(CARD, encoding="utf-8")
    return CoDi.from_pretrained(tmp_path / "mine", device="cpu")


def test_weights_come_back_from_the_hub_as_they_were(hub):
    model = random_codi()
    assert model.push_to_hub("someone/codi") == "https://huggingface.co/someone/codi"
    again = CoDi.from_pretrained("someone/codi", device="cpu")
    assert same(again, model) and again.recipe == model.recipe
    assert again.config == model.config and again.vocabulary == model.vocabulary
    files = sorted(path.name for path in (hub.folder("someone/codi") / "snapshots" / COMMIT).iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]


def test_float16_halves_what_is_uploaded(hub):
    def size() -> int:
        return (hub.folder("someone/codi") / "snapshots" / COMMIT / "model.safetensors").stat().st_size

    random_codi().push_to_hub("someone/codi")
    full = size()
    random_codi().push_to_hub("someone/codi", dtype="float16")  # a second time replaces the first
    assert 0.45 * full < size() < 0.6 * full


def test_the_card_has_metadata_and_says_how_the_model_is_loaded(hub):
    random_codi().push_to_hub("someone/codi")
    data, text = card_on(hub, "someone/codi")
    assert (data["library_name"], data["pipeline_tag"]) == ("codi-minimal", "any-to-any")
    assert "arxiv:2305.11846" in data["tags"] and not {"datasets", "license"} & set(data)  # nothing is known of them
    assert "It is not recorded what these weights were trained on" in text
    code = text.split("```python\n")[1].split("```")[0]
    made = {}
    exec(code.replace("(outputs", "(steps=1, outputs"), made)
    assert same(made["model"], random_codi()) and set(made["out"]) == {"text", "image", "audio", "video"}


def test_the_card_beside_the_weights_goes_along_from_folder_to_hub_to_hub(hub, mine):
    mine.push_to_hub("someone/codi")
    CoDi.from_pretrained("someone/codi", device="cpu").push_to_hub("another/copy")
    for repo_id in ("someone/codi", "another/copy"):
        data, text = card_on(hub, repo_id)
        assert "license" not in data and text.count(CARD) == 1  # whoever has trained the weights chooses it
        assert text.count("from_pretrained(") == text.count(f'CoDi.from_pretrained("{repo_id}")') == 1


def test_the_card_of_other_weights_does_not_go_along(hub, mine):
    with torch.no_grad():
        next(mine.parameters()).add_(1)
    mine.push_to_hub("someone/codi")
    text = card_on(hub, "someone/codi")[1]
    assert "pictures" not in text and "It is not recorded" in text


def test_a_model_whose_folder_is_gone_gets_a_short_card(hub, mine):
    shutil.rmtree(mine.loaded_from)
    mine.push_to_hub("someone/codi")
    assert "It is not recorded" in card_on(hub, "someone/codi")[1]


def test_cards_of_training_name_the_data_sets_that_it_saw():
    shipped = (SHIPPED_WEIGHTS / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert shipped.replace("license: mit\n", "", 1).startswith(metadata(HUB.values()))
    source, done = load(hub=False), SimpleNamespace(steps=1, seconds=1.0, losses={"loss": 1.0})
    for name, datasets in (("hub", list(HUB.values())), ("folder", list(HUB.values())), ("built-in sample", None)):
        run = Run(random_codi(), TalkingDigits(replace(source, name=name)), Path("x"))
        run.done = dict.fromkeys(run.config.train.stages, done)
        _, first, text = model_card(run).split("---\n", 2)
        data = yaml.safe_load(first)
        assert data.get("datasets") == datasets and "license" not in data
        assert ("MNIST" in text) == (datasets is not None) == ("load_digits" not in text)


NO_REPOSITORIES = ("codi", "a/b/c", "a/", "/b", "", "a b/c", "../c", "https://huggingface.co/a/b", 3, None)


@pytest.mark.parametrize("repo_id", NO_REPOSITORIES)
def test_what_is_no_repository_is_refused_before_anything_is_written(hub, repo_id):
    with pytest.raises(ValueError) as error:
        random_codi().push_to_hub(repo_id)
    assert str(error.value) == f'expected a repository of the hub, as "user/name", got {repo_id!r}'
    assert not hub.cache.exists()


def test_other_arguments_and_weights_that_could_not_be_loaded_are_refused_before_anything_is_uploaded(hub, mine):
    with pytest.raises(ValueError, match="expected dtype None or 'float16'; got 'int3'"):
        mine.push_to_hub("someone/codi", dtype="int3")
    with torch.no_grad():
        next(mine.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="expected finite numbers"):
        mine.push_to_hub("someone/codi")
    assert not hub.cache.exists()


@pytest.mark.parametrize("step", ["create_repo", "upload_folder"])
@pytest.mark.parametrize(
    ("error", "came"),
    [(OSError("401 Client Error.\n\nInvalid username or password."), "401 Client Error. Invalid username or password."),
     (TimeoutError(), "TimeoutError")],
)  # fmt: skip
def test_every_error_of_the_hub_is_one_line_that_says_what_was_expected(hub, monkeypatch, step, error, came):
    monkeypatch.setattr(type(hub), step, lambda *_, **__: (_ for _ in ()).throw(error))
    with pytest.raises(ValueError) as raised:
        random_codi().push_to_hub("someone/codi")
    said = "expected a network, and a token that may write to someone/codi (`hf auth login`); got: "
    assert str(raised.value) == said + came


def test_an_error_of_a_download_is_one_line_too(hub, monkeypatch):
    lines = OSError("404 Client Error.\n\nRepository Not Found")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: (_ for _ in ()).throw(lines))
    with pytest.raises(ValueError) as error:
        CoDi.from_pretrained("someone/codi")
    said = "expected a folder or a hub id that can be reached, got 'someone/codi': "
    assert str(error.value) == said + "404 Client Error. Repository Not Found"


def test_without_a_network_the_real_hub_is_an_error_of_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^expected a network, and a token [^\n]*; got: [^\n]+\Z"):
        random_codi().push_to_hub("someone/codi")
    with pytest.raises(ValueError, match=r"^expected a folder or a hub id that can be reached, got '[^\n]+\Z"):
        CoDi.from_pretrained("someone/codi")
    with pytest.raises(ValueError, match="^expected a folder or a hub id, got 3$"):
        CoDi.from_pretrained(3)
