"""Exported networks give in ONNX Runtime what the modules give, and what the kit for ports has."""

import contextlib
import copy
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from codi_minimal import CoDi, cli
from codi_minimal import export as onnx_export
from codi_minimal.alignment import Environment
from codi_minimal.tokenizer import BOS, EOS, PAD, UNK
from conformance import check
from tests.models import NAMES, random_codi

ROOT = Path(__file__).parents[1]
FILES = ("prompt", "encoder", "decoder", "environment", "denoiser", "denoiser_with_environment")
CAPTIONS = ["a red seven", "a blue digit that grows", "one"]
TOLERANCE = 1e-5
SIZES = [(1, 1), (3, 7)]  # samples, and tokens of other streams or words so far
KIT = {"prompt": "prompt", "encode": "encoder", "decode": "decoder", "decode_mel": "decoder", "tokens": "environment"}


@pytest.fixture(scope="module")
def runtime():
    pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
    return pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


@pytest.fixture(scope="module")
def tiny(runtime, tmp_path_factory):
    """A model, and the folder that the command line has exported it to without any warning."""
    folder = tmp_path_factory.mktemp("tiny")
    model = copy.deepcopy(random_codi())
    for i, name in enumerate(("text", "image", "audio")):
        model.modalities[name].autoencoder.scale_factor.fill_(0.5 + i)
    model.save_pretrained(folder / "checkpoint")
    to, out, err = folder / "new" / "onnx", io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["export", "--checkpoint", str(folder / "checkpoint"), "--to", str(to)])
    assert (code, out.getvalue(), err.getvalue()) == (0, f"{to / 'manifest.json'}\n", "")
    assert {path.name for path in folder.iterdir()} == {"checkpoint", "new"}
    return CoDi.from_pretrained(folder / "checkpoint", device="cpu"), to


def session(path: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, given: dict[str, torch.Tensor]) -> np.ndarray:
    narrow = {name: x.float() if x.is_floating_point() else x for name, x in given.items()}
    return session(path).run(None, {name: x.numpy() for name, x in narrow.items()})[0]


def cases(model: CoDi, name: str, b: int, n: int):
    """For each of `FILES` its inputs, and what the package gives for them in float64."""
    model, g = copy.deepcopy(model).double(), torch.Generator().manual_seed(b)
    m, c, text = model.modalities[name], model.config.model, name == "text"
    ids = model.modalities["text"].prompt.tokenizer.encode(CAPTIONS)[:b]
    x = CAPTIONS[:b] if text else drawn(g, b, *m.data.shape).clamp(m.data.low, m.data.high)
    z, t, cond = drawn(g, b, *m.latent_shape), torch.randint(c.T, (b,), generator=g), drawn(g, b, c.d)
    cond = F.normalize(cond, dim=-1).float().double()
    streams = [other for o, other in model.modalities.items() if o != name and other.environment.clock]
    tokens = torch.cat([o.environment(drawn(g, b, *o.latent_shape), t) for o in streams], dim=1)[:, :n].float().double()
    data, asked = {"ids": ids} if text else {"x": x}, {"z": z, "t": t, "cond": cond}
    ae = m.autoencoder
    yield "prompt", data, m.prompt(x)
    yield "encoder", data, m.encode(x)
    if text:
        scores = ae.logits(z / ae.scale_factor, ids[:, :n])[:, -1]
        scores[:, [PAD, BOS, UNK]] = -torch.inf
        yield "decoder", {"z": z, "prefix": ids[:, :n]}, scores
    else:
        yield "decoder", {"z": z}, ae.decode_mel(z) if name == "audio" else ae.decode(z)
    yield "environment", {"z": z, "t": t}, m.environment(z, t)
    yield "denoiser", asked, m.denoiser(z, t, cond)
    yield "denoiser_with_environment", asked | {"tokens": tokens}, m.denoiser(z, t, cond, Environment.of([tokens]))


def drawn(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """N(0, 1) in float64, of which float32 holds every digit."""
    return torch.randn(*shape, generator=generator).double()


def error(found: np.ndarray, expected: torch.Tensor) -> float:
    """The largest difference over the largest value; −∞, as of words that may not come, must be at the same places."""
    expected = expected.numpy()
    assert found.shape == expected.shape and (np.isneginf(found) == np.isneginf(expected)).all()
    return check.error(*(np.where(np.isneginf(x), 0, x) for x in (found, expected)))


@pytest.mark.parametrize(("b", "n"), SIZES)
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_every_network_gives_what_its_module_gives(tiny, name, b, n):
    model, folder = tiny
    found = {file: error(run(folder / name / f"{file}.onnx", x), y) for file, x, y in cases(model, name, b, n)}
    assert tuple(found) == FILES
    assert max(found.values()) <= TOLERANCE, found


@torch.no_grad()
def test_tokens_are_seen(tiny):
    """Else the comparison above would show nothing about them."""
    model, _ = tiny
    for name in NAMES:
        *_, (_, _, alone), (_, _, together) = cases(model, name, 3, 7)
        assert check.error(together.numpy(), alone.numpy()) > 100 * TOLERANCE


@torch.no_grad()
def test_words_one_after_the_other_are_a_caption(tiny):
    model, folder = tiny
    z = torch.randn(3, *model.modalities["text"].latent_shape, generator=torch.Generator().manual_seed(0))
    ids, decoder = np.full((3, 1), BOS), session(folder / "text" / "decoder.onnx")
    while ids.shape[1] < model.modalities["text"].prompt.tokenizer.length - 1:
        (scores,) = decoder.run(None, {"z": z.numpy(), "prefix": ids})
        ids = np.concatenate([ids, scores.argmax(-1)[:, None]], axis=1)
    assert model.modalities["text"].prompt.tokenizer.decode(torch.from_numpy(ids)) == model.decode("text", z)
    assert (ids == EOS).any() or ids.shape[1] == 13


@torch.no_grad()
def test_a_wrong_network_is_noticed(tiny, tmp_path):
    model, _ = tiny
    right = next(n for n in onnx_export.networks(model) if n.file == "text/decoder.onnx")
    unscaled = replace(right, call=lambda text, z, prefix: onnx_export.next_word(text, z * text.scale_factor, prefix))
    onnx_export.write(unscaled, tmp_path / "decoder.onnx")
    x, y = next((x, y) for file, x, y in cases(model, "text", 3, 7) if file == "decoder")
    assert error(run(tmp_path / "decoder.onnx", x), y) > 100 * TOLERANCE


def test_the_manifest_names_every_file_and_says_what_goes_in_and_out(tiny):
    model, folder = tiny
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    files = manifest["networks"]
    assert set(files) == {str(path.relative_to(folder).as_posix()) for path in folder.rglob("*.onnx")}
    assert set(files) == {f"{name}/{file}.onnx" for name in NAMES for file in FILES}
    for file, entry in files.items():
        read = session(folder / file)
        for told, real in zip(entry["inputs"] + entry["outputs"], read.get_inputs() + read.get_outputs(), strict=True):
            assert (told["name"], told["shape"]) == (real.name, real.shape) and told["meaning"]
            assert {"float32": "tensor(float)", "int64": "tensor(int64)"}[told["dtype"]] == real.type
            assert told["shape"][0] == "batch"
    others = {x["name"]: x for x in files["image/denoiser_with_environment.onnx"]["inputs"]}
    assert others["tokens"]["shape"] == ["batch", "tokens", model.config.model.d_env]
    constants = manifest["constants"]
    assert constants["T"] == 1000 and len(constants["alpha_bar"]) == 1000 and constants["prediction"] == "v"
    assert constants["latents"]["video"] == list(model.modalities["video"].latent_shape)
    assert constants["words"][constants["special"]["eos"]] == "<eos>" and constants["words"][4:] == model.vocabulary
    assert manifest["config"] == json.loads(json.dumps(model.config.to_dict()))


def test_files_hold_weights_in_float32_and_no_path_of_this_machine(tiny):
    _, folder = tiny
    for path in folder.rglob("*.onnx"):
        content = path.read_bytes()
        assert b".py" not in content and str(ROOT).encode() not in content, path
    size = sum(p.numel() for p in tiny[0].modalities["video"].environment.parameters()) * 4
    assert size < (folder / "video" / "environment.onnx").stat().st_size < 1.3 * size


QUICK = ("text/", "image/prompt", "image/decoder", "audio/prompt", "audio/encoder", "audio/decoder", "video/encoder")


def test_networks_of_the_checkpoint_that_ships_pass_the_kit(runtime, tmp_path, capsys):
    """Those that are exported within seconds."""
    model = CoDi.from_pretrained(device="cpu")
    for network in onnx_export.networks(model):
        if network.file.startswith(QUICK):
            onnx_export.write(network, tmp_path / "onnx" / network.file)
    tried = hand_in(model, tmp_path / "onnx", tmp_path / "out")
    assert check.main(str(tmp_path / "out")) == 0, capsys.readouterr().out
    assert tried == 12 and f"\n{tried} of " in capsys.readouterr().out


def hand_in(model: CoDi, folder: Path, out: Path) -> int:
    """Writes what networks in a folder give for the kit's cases, as check.py reads it; returns how many cases."""
    out.mkdir()
    tokenizer, tried = model.modalities["text"].prompt.tokenizer, 0
    for number, case in enumerate(json.loads((check.FOLDER / "manifest.json").read_text(encoding="utf-8"))):
        file = "denoiser_with_environment" if "env" in case["inputs"] else "denoiser"
        file = file if case["op"] == "denoise" else KIT.get(case["op"], "none")
        path = folder / case["options"].get("modality", "audio") / f"{file}.onnx"
        if not path.exists():
            continue
        stored, network, tried = np.load(check.FOLDER / case["file"]), session(path), tried + 1
        given = {key: stored[f"{case['case']}/in/{key}"] for key in case["inputs"]}
        if "env" in given:
            given["tokens"] = given.pop("env")
        if "in/x" in case["texts"]:
            given["ids"] = tokenizer.encode(case["texts"]["in/x"]).numpy()
        if "out/y" not in case["texts"]:
            np.save(out / f"{number:02d}.y.npy", network.run(None, given)[0])
            continue
        given["prefix"] = np.array([[BOS]])
        while given["prefix"][0, -1] != EOS:
            word = network.run(None, given)[0].argmax(-1)[:, None]
            given["prefix"] = np.concatenate([given["prefix"], word], axis=1)
        captions = tokenizer.decode(torch.from_numpy(given["prefix"]))
        (out / f"{number:02d}.y.json").write_text(json.dumps(captions), encoding="utf-8")
    return tried


@torch.no_grad()
def test_the_example_runs_without_torch_and_draws_what_the_package_draws(tiny, monkeypatch):
    model, folder = tiny
    text = (ROOT / "conformance" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(example.splitlines()) <= 30
    monkeypatch.chdir(folder.parent)
    monkeypatch.setitem(sys.modules, "torch", None)
    made: dict = {}
    exec(compile(example, "README.md", "exec"), made)
    monkeypatch.undo()
    z, m = torch.from_numpy(made["noise"]), model.modalities["image"]
    cond = model.encode_prompt("text", [made["caption"]])
    for t, s in zip(made["times"], made["times"][1:], strict=False):
        v = m.denoiser(z, torch.tensor([t]), cond)
        (alpha, sigma), (alpha_s, sigma_s) = (model.schedule.alpha_sigma(torch.tensor([u]), z) for u in (t, s))
        z = alpha_s * (alpha * z - sigma * v) + sigma_s * (sigma * z + alpha * v)
    assert error(made["z"], z) < 1e-4
    assert error(made["image"], model.decode("image", z)) < 1e-4


def asked(capsys, *arguments) -> str:
    """What is said on stderr, of an export that fails."""
    assert cli.main(["export", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_without_the_packages_it_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    told = asked(capsys, "--to", tmp_path / "onnx", "--checkpoint", tmp_path / "none")
    assert told == "error: an export needs ONNX: pip install 'codi-minimal[onnx]'\n"
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_stays_as_it_is(capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert f"expected a folder that is new or empty, got {str(tmp_path)!r}" in asked(capsys, "--to", tmp_path)
    assert "expected a folder that can be written" in asked(capsys, "--to", tmp_path / "mine.txt")
    assert "required: --to" in asked(capsys)
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["mine"]


def test_an_unknown_checkpoint_is_one_line(runtime, capsys, tmp_path):
    assert "is no folder" in asked(capsys, "--to", tmp_path / "onnx", "--checkpoint", tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_all_is_written_or_nothing_and_the_model_stays(runtime, monkeypatch, tmp_path):
    model = random_codi()
    first = next(onnx_export.networks(model))
    before = {name: (x.data_ptr(), x.clone()) for name, x in model.state_dict().items()}

    def fail(module, *inputs):
        raise OSError("no space left on device")

    monkeypatch.setattr(onnx_export, "networks", lambda model: [first, replace(first, file="b.onnx", call=fail)])
    with pytest.raises(Exception, match="no space left on device"):
        onnx_export.export(model, tmp_path / "new" / "onnx")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(onnx_export, "networks", lambda model: [first])
    (tmp_path / "empty").mkdir()
    assert onnx_export.export(model, tmp_path / "empty") == tmp_path / "empty" / "manifest.json"
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"manifest.json", "text"}
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    for name, x in model.state_dict().items():
        at, value = before[name]
        assert x.data_ptr() == at and torch.equal(x, value)
