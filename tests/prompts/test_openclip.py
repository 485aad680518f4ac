import ast
import inspect
import json

import pytest
import torch

from codi_minimal.prompts import OpenClipImage, OpenClipText, clip_loss, openclip

open_clip = pytest.importorskip("open_clip")
from safetensors.torch import save_file  # noqa: E402

MODEL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"size": [48, 48], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
PICTURES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
CAPTIONS = ["a red seven", "something green", "nine"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return open_clip.CLIP(**MODEL).eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("tower")
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (path / "open_clip_config.json").write_text(json.dumps(config))
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, path / "open_clip_model.safetensors")
    return path


def test_a_folder_gives_the_towers_that_were_saved(model, folder):
    text, image = OpenClipText.from_pretrained(folder).eval(), OpenClipImage.from_pretrained(folder).eval()
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    big = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(PREPROCESS[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    normalised = (big - mean) / std
    with torch.no_grad():
        spoken = model.encode_text(tokenizer(CAPTIONS), normalize=True)
        assert torch.allclose(text(CAPTIONS), spoken, atol=1e-6)
        assert torch.allclose(image(big), model.encode_image(normalised, normalize=True), atol=1e-6)


def test_pictures_of_any_size_are_resized_as_open_clip_does(model):
    image = OpenClipImage(model)
    with torch.no_grad():
        assert torch.allclose(image(PICTURES).norm(dim=-1), torch.ones(3), atol=1e-6)
        flat = torch.full((1, 3, 7, 90), 0.25)
        assert torch.allclose(image(flat), image(torch.full((1, 3, 48, 48), 0.25)), atol=1e-5)


def test_a_projection_is_made_shared_and_trained_with_the_towers_frozen(model):
    model.requires_grad_(False)
    text = OpenClipText(model, open_clip.SimpleTokenizer(context_length=16), d=8)
    image = OpenClipImage(model, d=8)
    assert text(CAPTIONS).shape == image(PICTURES).shape == (3, 8)
    image.project = text.project
    clip_loss(text(CAPTIONS), image(PICTURES), 10.0).backward()
    assert text.project.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in model.parameters())


def test_bad_input_is_refused(model):
    text, image = OpenClipText(model, open_clip.SimpleTokenizer(context_length=16)), OpenClipImage(model)
    for captions in ("seven", [], ["seven", 7]):
        with pytest.raises(ValueError, match="list of captions"):
            text(captions)
    for pictures in (2 * PICTURES, PICTURES[:, :1], PICTURES[0], PICTURES.byte()):
        with pytest.raises(ValueError, match="OpenClipImage: expected"):
            image(pictures)
    with pytest.raises(ValueError, match="pretrained"):
        OpenClipImage.from_pretrained("ViT-B-32")  # an architecture without weights would be noise


def test_it_is_imported_only_when_asked_for():
    tree = ast.parse(inspect.getsource(openclip))
    at_import = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in at_import for alias in node.names}
    assert "torch" in names and "open_clip" not in names
