"""The kit is that of the checkpoint, the NumPy port passes it, and wrong guesses do not."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from codi_minimal.codi import SHIPPED_WEIGHTS
from conformance import check, make
from conformance.numpy_port import autoencoders, environment, kit, layers, noise, prompts, sampling, spectrogram, unet

FILES = make.FILES


def test_the_kit_is_what_the_checkpoint_gives(tmp_path):
    make.make(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == (make.FOLDER / "manifest.json").read_text(), (
        "run conformance.make"
    )
    for name in FILES:
        again, kept = np.load(tmp_path / name), np.load(make.FOLDER / name)
        assert set(again) == set(kept)
        for key in kept:
            difference = np.abs(again[key].astype(float) - kept[key]).max()
            bound = 1 if kept[key].dtype == np.uint8 else 2e-5 * max(1, np.abs(kept[key]).max())
            # a wave of several rounds multiplies another machine's rounding
            assert difference <= (1e-3 if key.startswith("wave") else bound), key


def test_the_numpy_port_passes(tmp_path, capsys):
    kit.run(SHIPPED_WEIGHTS, tmp_path, most=2)
    assert check.main(str(tmp_path)) == 0, capsys.readouterr().out
    assert " 0 were not tried" in capsys.readouterr().out


KEPT = SimpleNamespace(
    time_embedding=layers.time_embedding,
    patches=environment.patches,
    attend=layers.attend,
    clock_code=environment.clock_code,
    posterior=sampling.posterior,
    mix=prompts.mix,
    filters=spectrogram.filters,
)


def gelu_by_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def sines_first(t, width, dtype):
    cosines, sines = np.split(KEPT.time_embedding(t, width, dtype), 2, axis=-1)
    return np.concatenate([sines, cosines], axis=-1)


def bands_first(name, h):
    return KEPT.patches({"audio": "image"}.get(name, name), h)


def unscaled(q, k, v, hidden=None, scale=None):
    return KEPT.attend(q, k, v, hidden, 1.0)


def still(z):
    return np.concatenate([0 * z, z, 0 * z], axis=2)


def faint_clocks(n, dtype):
    return KEPT.clock_code(n, dtype) / 2


def certain(a_t, a_s):
    return (*KEPT.posterior(a_t, a_s)[:2], 0.0)


def htk_alone(scale):
    return KEPT.filters("htk")


def prompts_weigh_the_same(found, weights=None):
    return KEPT.mix(found)


WRONG = {  # title → (where, what, instead, operations or cases that must fail)
    "GELU by tanh": (layers, "gelu", gelu_by_tanh, ("transformer",)),
    "32 groups": (layers, "GROUPS", 32, ("res_block",)),
    "sines first": (unet, "time_embedding", sines_first, ("denoise",)),
    "heads of 64": (layers, "HEAD", 64, ("block",)),
    "no pixel shuffle": (autoencoders, "pixel_shuffle", lambda x: x, ("decode",)),
    "50 decades": (prompts, "DECADES", 50.0, ("prompt",)),
    "another floor of the log-mel": (spectrogram, "FLOOR", 1e-5, ("log_mel",)),
    "patches of sounds, bands first": (environment, "patches", bands_first, ("tokens",)),
    "no scale in attention": (layers, "attend", unscaled, ("transformer",)),
    "no latent shift": (unet, "latent_shift", lambda x: x, ("block",)),
    "frames without motion": (environment, "with_motion", still, ("tokens",)),
    "faint clocks": (environment, "clock_code", faint_clocks, ("attention_to_others",)),
    "the posterior without its variance": (sampling, "posterior", certain, ("nothing to audio and video",)),
    "one seed for all samples": (noise, "sample_seed", lambda seed, k: seed, ("text to two images and captions",)),
    "prompts of the same weight": (
        prompts,
        "mix",
        prompts_weigh_the_same,
        ("image and audio of unequal weight to text",),
    ),
    "HTK's filters for Slaney's": (spectrogram, "filters", htk_alone, ("log_mel",)),
}


@pytest.mark.parametrize("title", WRONG)
def test_a_wrong_guess_fails(monkeypatch, tmp_path, capsys, title):
    where, what, instead, ops = WRONG[title]
    monkeypatch.setattr(where, what, instead)
    try:
        kit.run(SHIPPED_WEIGHTS, tmp_path, most=1, only=ops)
    except (ValueError, IndexError):
        return  # shapes do not fit
    assert check.main(str(tmp_path)) > 0
    told = capsys.readouterr().out
    assert "(SPEC.md, " in told and "Often it is: " in told


def test_the_checker_names_what_is_wrong(tmp_path, capsys):
    cases = json.loads((make.FOLDER / "manifest.json").read_text(encoding="utf-8"))
    number = next(n for n, case in enumerate(cases) if case["case"] == "D_text")
    (tmp_path / f"{number:02d}.y.json").write_text('["a blue one"]')
    image = next(n for n, case in enumerate(cases) if case["case"] == "C_image")
    np.save(tmp_path / f"{image:02d}.y.npy", np.zeros((1, 7)))
    assert check.main(str(tmp_path)) == 2
    told = capsys.readouterr().out
    assert "D_text: y: ['a blue one'], not" in told and "C_image: y: its shape is (1, 7), not (1, 128)" in told
    assert "The first that fails is 'D_text'" in told and "Try these before it: E_text" in told
    assert "\n0 of " in told and " pass, 2 fail" in told


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("0.y.npy", b"", "expected files such as 00.y.npy, got 0.y.npy"),
        ("training.json", b"[1]", "expected a dictionary whose keys are names of cases"),
        ("training.json", b'{"L_D of smells": {}}', "got ['L_D of smells']"),
        ("training.json", b'{"L_D of image": {}}', "expected results in"),
    ],
)
def test_what_belongs_to_no_case_is_an_error(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(told)):
        check.main(tmp_path)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="expected a folder with results"):
        check.main(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"words"])
def test_a_file_that_cannot_be_read_fails_its_case(tmp_path, capsys, content):
    (tmp_path / "00.y.npy").write_bytes(content)
    assert check.main(tmp_path) == 1
    assert "00 C_text: cannot be read" in capsys.readouterr().out


def test_steps_that_are_all_nan_were_not_tried(tmp_path, capsys):
    cases = json.loads((make.FOLDER / "manifest.json").read_text(encoding="utf-8"))
    number = next(n for n, case in enumerate(cases) if case["case"] == "text to image")
    z = np.load(make.FOLDER / "2-steps.npz")["text to image/in/z.image"]
    np.save(tmp_path / f"{number:02d}.z.image.npy", np.full_like(z[1:], np.nan))
    np.save(tmp_path / "00.y.npy", np.load(make.FOLDER / "1-modules.npz")["C_text/out/y"])
    assert check.main(tmp_path) == 0
    assert f"{number:02d} text to image: not tried" in capsys.readouterr().out
