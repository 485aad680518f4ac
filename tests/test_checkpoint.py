import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from codi_minimal.checkpoint import (
    MAX_JSON,
    atomic_write,
    copy_named,
    digest,
    load_folder,
    load_into,
    local_folder,
    read_tensors,
    save_folder,
    write_tensors,
)
from tests.models import random_codi

TENSORS = {"a": torch.linspace(-3, 3, 12).reshape(3, 4), "n": torch.tensor(2**40)}
CONFIG = {"name": "é", "sizes": [1, 2], "nested": {"x": None}}


def test_a_mistyped_folder_does_not_ask_the_hub(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # an import would fail
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert local_folder("runs/smal") == Path("runs/smal")
    with pytest.raises(ImportError):
        local_folder("someone/codi")


def test_folder_comes_back_as_it_was(tmp_path):
    save_folder(tmp_path / "new" / "deep", TENSORS, CONFIG)
    tensors, config = load_folder(tmp_path / "new" / "deep")
    assert config == CONFIG and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], TENSORS[k]) and tensors[k].dtype == TENSORS[k].dtype for k in TENSORS)
    names = sorted(p.name for p in (tmp_path / "new" / "deep").iterdir())
    assert names == ["config.json", "model.safetensors"]


def test_float16_halves_the_file_and_reads_as_float32(tmp_path):
    tensors = {"w": torch.linspace(-1, 1, 4096), "n": torch.tensor(2**40)}
    save_folder(tmp_path / "full", tensors, {})
    save_folder(tmp_path / "half", tensors, {}, dtype="float16")
    full, half = ((tmp_path / f / "model.safetensors").stat().st_size for f in ("full", "half"))
    assert full - half == pytest.approx(2 * 4096, abs=8)  # the header is padded to 8 bytes
    loaded, _ = load_folder(tmp_path / "half")
    assert loaded["w"].dtype == torch.float32 and torch.equal(loaded["n"], tensors["n"])
    assert torch.equal(loaded["w"], tensors["w"].half().float())


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="big"):
        save_folder(tmp_path, {"big": torch.tensor([7e4])}, {}, dtype="float16")
    for value, dtype in ((float("nan"), None), (float("inf"), None), (1e300, None), (float("nan"), "float16")):
        odd = torch.tensor([0.0, value], dtype=torch.float64)
        with pytest.raises(ValueError, match=r"expected finite numbers within ±\S+; odd has others$"):
            save_folder(tmp_path, {"fine": torch.zeros(2), "odd": odd}, {}, dtype)
    with pytest.raises(ValueError, match="'int3'"):
        save_folder(tmp_path, TENSORS, {}, dtype="int3")
    assert list(tmp_path.iterdir()) == []


def test_views_shared_and_permuted_tensors_can_be_written(tmp_path):
    base = torch.arange(24.0).reshape(2, 3, 2, 2)
    last = base.to(memory_format=torch.channels_last)
    tensors = {"base": base, "view": base[1], "t": base.mT, "last": last}
    write_tensors(tmp_path / "x.safetensors", tensors, {"meta": "m"})
    loaded, metadata = read_tensors(tmp_path / "x.safetensors")
    assert metadata == {"meta": "m"} and all(torch.equal(loaded[k], tensors[k]) for k in tensors)


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "f"
    atomic_write(path, b"old")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(full))
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        atomic_write(path, b"new and longer")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_share_a_temporary_one(tmp_path, monkeypatch):
    path, fsync = tmp_path / "f", os.fsync

    def meanwhile(number):
        monkeypatch.setattr(os, "fsync", fsync)
        atomic_write(path, b"the other's")
        fsync(number)

    monkeypatch.setattr(os, "fsync", meanwhile)
    atomic_write(path, b"mine")
    assert path.read_bytes() == b"mine" and list(tmp_path.iterdir()) == [path]


def break_weights(edit):
    def broken(folder):
        path = folder / "model.safetensors"
        path.write_bytes(edit(path.read_bytes()))

    return broken


def pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save(TENSORS, folder / "pytorch_model.bin")


def disguised(folder):
    torch.save(TENSORS, folder / "model.safetensors")


def replaced(name, make):
    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def set_config(text):
    return lambda folder: (folder / "config.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors.*does not exist"),
        (lambda folder: (folder / "config.json").unlink(), "config.json does not exist"),
        (break_weights(lambda data: data[:-5]), "cut short or corrupt"),
        (break_weights(lambda data: data[:6]), "cut short or corrupt"),
        (break_weights(lambda data: b""), "cut short or corrupt"),
        (break_weights(lambda data: data[:8] + b"#" + data[9:]), "cut short or corrupt"),
        (pickled, "pytorch_model.bin is a pickle"),
        (disguised, "model.safetensors is a pickle"),
        (break_weights(lambda data: pickle.dumps([1, 2])), "model.safetensors is a pickle"),
        (set_config('{"format_version": 2, "config"'), "is broken"),
        (set_config("[1]"), "got a list"),
        (set_config(json.dumps({"format_version": 1, "config": {}})), "format_version 2 .* got 1"),
        (set_config("{}"), "format_version 2 .* got None"),
        (set_config("[" * 100_000), "config.json is broken"),
        (set_config('{"format_version": ' + "1" * 5000), "config.json is broken"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff{}"), "config.json is broken"),
        (lambda folder: os.truncate(folder / "config.json", MAX_JSON + 1), "at most 67,108,864 bytes; .*config.json"),
        (replaced("config.json", os.mkdir), "config.json is no ordinary file"),
        (replaced("config.json", lambda path: os.mkfifo(path)), "config.json is no ordinary file"),
        (replaced("model.safetensors", lambda path: os.mkfifo(path)), "model.safetensors is no ordinary file"),
        (replaced("config.json", lambda path: os.symlink("/dev/zero", path)), "config.json is no ordinary file"),
        (set_config('{"format_version": 2, "config": 3}'), "got 3"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, damage, message):
    save_folder(tmp_path, TENSORS, CONFIG)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        load_folder(tmp_path / "none")
    torch.save(TENSORS, tmp_path / "m.ckpt")
    with pytest.raises(ValueError, match="m.ckpt is a pickle"):
        load_folder(tmp_path / "m.ckpt")


def test_load_into_copies_parameters_and_buffers_in_place():
    source, target = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    source(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    weight = target.weight
    load_into(target, source.state_dict())
    assert target.weight is weight and target.num_batches_tracked == 1
    assert torch.equal(target.running_mean, source.running_mean)


def test_load_into_lists_every_disagreement_and_changes_nothing():
    layer = nn.Linear(2, 3)
    before = layer.weight.detach().clone()
    with pytest.raises(ValueError, match="Linear") as error:
        load_into(layer, {"weight": torch.zeros(3, 5), "extra": torch.zeros(1)})
    for part in ("missing: bias", "unexpected: extra", "weight (expected (3, 2), got (3, 5))"):
        assert part in str(error.value)
    with pytest.raises(ValueError, match="unexpected: extra"):
        load_into(layer, {"weight": torch.zeros(3, 2), "bias": torch.zeros(3), "extra": torch.zeros(1)})
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_and_nothing_is_changed(value):
    layer = nn.Linear(2, 3)
    before = layer.bias.detach().clone()
    weight = torch.zeros(3, 2)
    weight[1, 1] = value
    with pytest.raises(ValueError, match="expected the tensors of Linear; not finite: weight$"):
        load_into(layer, {"bias": torch.ones(3), "weight": weight})
    assert torch.equal(layer.bias, before)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.uint16, torch.int64, torch.complex64])
def test_numbers_of_another_kind_are_refused_and_nothing_is_changed(dtype):
    layer = nn.BatchNorm1d(3)
    before, state = layer.state_dict(), layer.state_dict()
    message = rf"of another kind: weight \(expected torch.float32, got {dtype}\)$"
    with pytest.raises(ValueError, match=message):
        load_into(layer, {**state, "bias": torch.ones(3), "weight": state["weight"].to(dtype)})
    if dtype != torch.int64:
        with pytest.raises(ValueError, match=r"of another kind: num_batches_tracked \(expected torch.int64"):
            load_into(layer, {**state, "bias": torch.ones(3), "num_batches_tracked": torch.zeros((), dtype=dtype)})
    assert torch.equal(layer.bias, torch.zeros(3)) and torch.equal(layer.weight, before["weight"])


def test_numbers_of_other_bits_are_converted_if_they_stay_finite():
    layer = nn.Linear(2, 1)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        load_into(layer, {"weight": torch.full((1, 2), 0.5, dtype=dtype), "bias": torch.ones(1)})
        assert layer.weight.tolist() == [[0.5, 0.5]] and layer.weight.dtype == torch.float32
    with pytest.raises(ValueError, match="not finite: weight$"):
        load_into(layer, {"weight": torch.full((1, 2), 1e300, dtype=torch.float64), "bias": torch.ones(1)})


@pytest.mark.parametrize(("dtype", "shape"), [("F8_E4M3", [4]), ("F4", [8])])
def test_floats_of_eight_bits_or_fewer_are_refused(tmp_path, dtype, shape):
    header = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, 4]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    # older safetensors do not know all of them
    with pytest.raises(ValueError, match="expected numbers of at least 16 bits in .*w.safetensors; w has|is cut short"):
        read_tensors(tmp_path / "w.safetensors")


def test_what_is_copied_keeps_the_layout_of_its_place():
    target = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    source = torch.arange(96.0).reshape(2, 3, 4, 4)
    strides = target.stride()
    copy_named({"x": target}, {"x": source})
    assert torch.equal(target, source) and target.stride() == strides != source.stride()


def test_a_digest_tells_values_and_names_and_nothing_else():
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    tensors = {"a": x, "b": torch.tensor(3), "c": x[0].bfloat16()}
    same = {"c": tensors["c"].clone(), "b": torch.tensor(3), "a": x.to(memory_format=torch.channels_last)}
    assert digest(tensors) == digest(same) and len(digest(tensors)) == 8
    near = x.clone()
    near[1, 2, 3, 3] += 1e-6
    assert len({digest(t) for t in (tensors, {**tensors, "a": near}, {"d": x}, {"e": x})}) == 4


def test_a_config_that_asks_for_huge_weights_is_refused_with_little_memory(tmp_path):
    """The tiny checkpoint with the widest and deepest U-Net that a config may ask for: 4 billion numbers."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of one process is read from Linux's /proc")
    random_codi().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["config"]["config"]["model"]["image_unet"] = {"widths": [1024] * 4, "depth": 16, "embed": 4096, "tokens": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    code = f"""
from codi_minimal import CoDi

try:
    CoDi.from_pretrained({str(tmp_path)!r}, device="cpu")
except ValueError as error:
    assert "expected the tensors of the model of config.json" in str(error) and len(str(error)) < 10_000
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""  # getrusage's ru_maxrss would count the memory of the process that started this one, too
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 2**30 * 1.5
