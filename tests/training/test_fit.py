import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from codi_minimal.checkpoint import read_tensors, write_tensors
from codi_minimal.training import fit as fit_room
from codi_minimal.training.fit import deferred_signals, fit
from codi_minimal.training.optimizer import EMA, learning_rate
from codi_minimal.training.state import load_state


def toy():
    """Modules with dropout, batch statistics, a bias without decay, a kernel in channels_last as all models have, and
    a frozen part; made from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        hidden = nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2)
        net = nn.Sequential(nn.Linear(4, 16), *hidden, nn.Linear(16, 4))
        kernel = nn.Conv2d(2, 4, (1, 2)).to(memory_format=torch.channels_last)
        modules = nn.ModuleDict({"net": net, "kernel": kernel, "frozen": nn.Linear(4, 4)})
    assert not kernel.weight.is_contiguous()
    modules["frozen"].requires_grad_(False)
    return modules


def stepper(modules, seen=None, before=lambda i: None):
    """Regression of the frozen layer's outputs; `before` is called after the forward pass, in mid-step."""

    def step(i, generator):
        x = torch.randn(16, 4, generator=generator)
        scale = random.Random(generator.initial_seed()).uniform(0.9, 1.1)
        out = modules["net"](x) + modules["kernel"](x.reshape(16, 2, 1, 2)).flatten(1)
        error = (out - scale * modules["frozen"](x)).square().mean()
        if seen is not None:
            seen.append((i, float(error.detach())))
        before(i)
        return {"loss": error, "scale": scale}

    return step


SETTINGS = {"steps": 30, "lr": 1e-2, "name": "toy", "log_every": 4, "progress": False, "ema": 0.9}


def train(folder, seen=None, before=lambda i: None, modules=None, **settings):
    modules = toy() if modules is None else modules
    return modules, fit(modules, stepper(modules, seen, before), folder=folder, **{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """One run that nothing interrupted."""
    folder, seen = tmp_path_factory.mktemp("reference"), []
    modules, result = train(folder, seen)
    return folder, modules, result, seen


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch, request):
    """Its import takes a second, and one test is enough to see it."""
    if "tensorboard" not in request.node.name:
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def log_lines(folder, without=("seconds",)):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in without} for line in lines]


def assert_same(folder, modules, reference):
    ref_folder, ref_modules, ref_result, _ = reference
    state, expected = modules.state_dict(), ref_modules.state_dict()
    assert all(torch.equal(state[k], expected[k]) for k in expected)
    saved, ref_saved = (load_file(f / "toy.safetensors") for f in (folder, ref_folder))
    assert saved.keys() == ref_saved.keys() and all(torch.equal(saved[k], ref_saved[k]) for k in saved)
    assert log_lines(folder) == log_lines(ref_folder)
    assert json.loads((folder / "toy.json").read_text())["losses"] == ref_result.losses


def test_two_runs_agree_whatever_the_global_generator_was(tmp_path, reference):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        before = torch.get_rng_state()
        modules, _ = train(tmp_path)
        assert torch.equal(before, torch.get_rng_state())
    assert_same(tmp_path, modules, reference)


def test_another_seed_is_another_run(tmp_path, reference):
    modules, _ = train(tmp_path, seed=1)
    assert not torch.equal(modules["net"][0].weight, reference[1]["net"][0].weight)


CHILD = """
import os, signal, sys
sys.path[:0] = [sys.argv[1]]
sys.modules["torch.utils.tensorboard"] = None
import test_fit
from pathlib import Path
from codi_minimal import checkpoint

saves, replace = [], os.replace
def die(source, target):
    saves.append(target)
    if "state" in str(target) and len(saves) == 14:
        os.kill(os.getpid(), signal.SIGKILL)  # the new file is written, the old one not yet replaced
    replace(source, target)
def before(i):
    if i == 13 and sys.argv[3] == "step":
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "save":
    os.replace = die
test_fit.train(Path(sys.argv[2]), before=before, save_seconds=0)
"""


@pytest.mark.parametrize("moment", ["step", "save"])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, reference, moment):
    here = Path(__file__)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(here.parent), str(tmp_path), moment],
        env={**os.environ, "PYTHONPATH": str(here.parents[2])},
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    with open(tmp_path / "log.jsonl", "a") as file:
        # a line logged after the last save, and one cut short
        file.write('{"stage": "toy", "step": 16, "loss": 9}\n{"stage": "toy", "st')
    seen = []
    modules, result = train(tmp_path, seen)
    assert seen == reference[3][13:]
    assert_same(tmp_path, modules, reference)
    assert not (tmp_path / "toy.state.safetensors").exists()
    assert result.steps == 30 and result.losses == reference[2].losses


@pytest.mark.parametrize(("signum", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 2)])
def test_a_signal_lets_the_step_end_and_saves(tmp_path, reference, signum, times):
    class Terminated(Exception):
        pass

    def handler(*_):
        raise Terminated

    seen, previous = [], signal.signal(signal.SIGTERM, handler)
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises((KeyboardInterrupt, Terminated)) as raised:
            train(tmp_path, seen, before=lambda i: [signal.raise_signal(signum) for _ in range(times * (i == 7))])
        assert raised.type is (KeyboardInterrupt if signum == signal.SIGINT else Terminated)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, previous)
        signal.signal(signal.SIGINT, interrupt)
    assert len(seen) == 8 and (tmp_path / "toy.state.safetensors").exists()
    modules, _ = train(tmp_path, seen)
    assert seen == reference[3]
    assert_same(tmp_path, modules, reference)


def test_a_second_ctrl_c_does_not_wait_for_the_step():
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), deferred_signals() as caught:
            signal.raise_signal(signal.SIGINT)
            assert caught == [signal.SIGINT]
            signal.raise_signal(signal.SIGINT)
            caught.append("not reached")
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert caught == [signal.SIGINT]


def test_an_error_in_mid_run_leaves_the_last_save(tmp_path, reference):
    def fail(i):
        if i == 9:
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        train(tmp_path, before=fail, save_seconds=0)
    modules, _ = train(tmp_path)
    assert_same(tmp_path, modules, reference)


def test_a_finished_stage_is_loaded_not_trained(tmp_path, reference):
    folder, trained, result, _ = reference
    seen = []
    modules, again = train(folder, seen)
    assert seen == [] and again == result
    assert all(torch.equal(v, trained.state_dict()[k]) for k, v in modules.state_dict().items())


def test_a_finished_stage_says_so_where_progress_is_shown(reference, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # in a notebook the line would go to stdout
    train(reference[0])
    assert capsys.readouterr().err == ""
    train(reference[0], progress=True)
    assert capsys.readouterr().err == f"toy: finished before; loaded from {reference[0] / 'toy.safetensors'}\n"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A folder with a run in progress, of five steps."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        fail_after_five_steps(folder)
    return folder


def fail_after_five_steps(folder):
    def fail(i):
        if i == 5:
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        train(folder, before=fail, save_seconds=0, depends=DEPENDS)


DEPENDS = {"data": "digits", "sizes": (3, 4)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 31}, "steps 31; got 30"),
        ({"seed": 9}, "seed 9; got 0"),
        ({"lr": 2e-2}, "lr 0.02; got 0.01"),
        ({"ema": None}, "ema None; got 0.9"),
        ({"autocast": "bf16"}, "autocast 'bf16'; got None"),
        ({"depends": {**DEPENDS, "data": "letters"}}, "data 'letters'; got 'digits'"),
        ({"depends": {"data": "digits"}}, r"sizes None; got \[3, 4\]"),
    ],
)
def test_a_run_with_other_settings_refuses_what_another_has_left(interrupted, finished, settings, message):
    for folder, file in ((interrupted, "toy.state.safetensors"), (finished, "toy.json")):
        before = {path: path.read_bytes() for path in folder.glob("toy*")}
        with pytest.raises(ValueError, match=f"{file} to be of a run with {message}: remove it, or choose another"):
            train(folder, **{"depends": DEPENDS, **settings})
        assert before == {path: path.read_bytes() for path in folder.glob("toy*")}


@pytest.fixture(scope="module")
def finished(interrupted, tmp_path_factory):
    """What the same run comes to."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(interrupted, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        train(folder, depends=DEPENDS)
    return folder


def test_weights_of_other_modules_are_refused(reference):
    other = nn.ModuleDict({"net": nn.Linear(4, 4), "frozen": nn.Linear(4, 4).requires_grad_(False)})
    with pytest.raises(ValueError, match="toy.safetensors; missing: net.bias, net.weight"):
        train(reference[0], modules=other)


def edited(values, **changes):
    return {**values, **changes}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda saved: [saved], "expected a JSON object"),
        (lambda saved: edited(saved, run=None), "toy.json.run: expected an object, got None"),
        *(
            (partial(edited, **changes), "toy.json.*: expected .*, got|expected a result of 30 steps .*; got")
            for changes in (
                {"losses": [0.1]}, {"losses": {"loss": "low"}}, {"losses": None}, {"losses": {}},
                {"losses": {"loss": True}}, {"losses": {"loss": 10**400}}, {"losses": {"loss": math.nan}},
                {"losses": {"loss": 0.1, "scale": None}}, {"seconds": "soon"}, {"seconds": -1}, {"seconds": True},
                {"seconds": 10**400}, {"seconds": math.inf}, {"steps": 1, "losses": {}}, {"steps": 29}, {"steps": 31},
                {"steps": True}, {"weights": 7},
            )
        ),
    ],
)  # fmt: skip
def test_a_damaged_record_is_refused_by_name(finished, tmp_path, damage, message):
    shutil.copytree(finished, folder := tmp_path / "run")
    path = folder / "toy.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=message) as error:
        train(folder, depends=DEPENDS)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_true_is_no_number_of_steps(tmp_path):
    train(tmp_path, steps=1)
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(edited(json.loads(path.read_text()), steps=True)))
    with pytest.raises(ValueError, match="toy.json.steps: expected a valid integer, got True"):
        train(tmp_path, steps=1)


def test_a_finished_record_needs_its_own_weights(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    record = json.loads((folder / "toy.json").read_text())
    tensors, _ = read_tensors(folder / "toy.safetensors")
    tensors["net.0.weight"][0, 0] += 1
    write_tensors(folder / "toy.safetensors", tensors)
    with pytest.raises(ValueError, match=f"fingerprint {record['weights']} in .*toy.safetensors; got"):
        train(folder, depends=DEPENDS)


def without(tensors, *keys):
    return {k: v for k, v in tensors.items() if k not in keys}


WEIGHT = "net.0.weight"


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors: {**tensors, "stray": torch.zeros(1)},
        lambda tensors: {**tensors, "totals:loss": torch.full((2,), torch.nan)},
        lambda tensors: {**tensors, f"adam:step/{WEIGHT}": torch.tensor(0.0)},
        lambda tensors: {**tensors, f"ema:{WEIGHT}": tensors[f"ema:{WEIGHT}"] + 1e-6},
        lambda tensors: without(tensors, *(f"adam:{key}/{WEIGHT}" for key in ("step", "exp_avg", "exp_avg_sq"))),
    ],
)
def test_a_state_with_other_tensors_than_were_saved_is_refused(interrupted, tmp_path, damage):
    shutil.copytree(interrupted, folder := tmp_path / "run")
    tensors, metadata = read_tensors(folder / "toy.state.safetensors")
    write_tensors(folder / "toy.state.safetensors", damage(tensors), metadata)
    with pytest.raises(ValueError, match="toy.state.safetensors is damaged: remove it$"):
        train(folder, depends=DEPENDS)


@pytest.mark.parametrize("changes", [{"steps": 2}, {"steps": True}, {"seconds": 10**400}, {"losses": {"loss": 1}}])
def test_a_state_with_another_record_than_was_saved_is_refused(interrupted, tmp_path, changes):
    shutil.copytree(interrupted, folder := tmp_path / "run")
    tensors, metadata = read_tensors(path := folder / "toy.state.safetensors")
    meta = json.dumps(edited(json.loads(metadata["meta"]), **changes))
    write_tensors(path, tensors, {**metadata, "meta": meta})
    with pytest.raises(ValueError, match="toy.state.safetensors is damaged: remove it$"):
        train(folder, depends=DEPENDS)
    write_tensors(path, tensors, {"meta": meta})
    with pytest.raises(ValueError, match="toy.state.safetensors is none, or of an older version: remove it$"):
        train(folder, depends=DEPENDS)


def test_a_state_of_other_modules_is_refused(interrupted):
    other = nn.ModuleDict({"net": toy()["net"], "frozen": toy()["frozen"]})
    with pytest.raises(ValueError, match="toy.state.safetensors; unexpected: .*, weights:kernel.weight$"):
        train(interrupted, modules=other, depends=DEPENDS)


def test_moments_get_the_memory_layout_of_their_weights(interrupted):
    modules = toy()
    weights = dict(modules.named_parameters())
    weights = {name: weights[name] for name in weights if not name.startswith("frozen")}
    buffers = {name: b for name, b in modules.named_buffers()}
    optimizer, path = torch.optim.AdamW(weights.values(), fused=True), interrupted / "toy.state.safetensors"
    tensors, metadata = read_tensors(path)
    parts = {"weights": weights, "buffers": buffers, "ema": EMA(weights).shadow}
    load_state(path, json.loads(metadata["meta"])["run"], parts, optimizer)
    for name, weight in weights.items():
        for moment in ("exp_avg", "exp_avg_sq"):
            loaded = optimizer.state[weight][moment]
            assert loaded.stride() == weight.stride() and torch.equal(loaded, tensors[f"adam:{moment}/{name}"])
        assert optimizer.state[weight]["step"] == 5


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(tmp_path, reference):
    refused = []

    def second(i):
        if i == 3:
            with ThreadPoolExecutor(1) as pool:
                refused.append(pool.submit(train, tmp_path).exception())

    modules, _ = train(tmp_path, before=second)
    (error,) = refused
    assert isinstance(error, ValueError) and f"expected {tmp_path} for this run alone" in str(error)
    assert_same(tmp_path, modules, reference)


def test_loss_falls_and_frozen_parameters_and_modes_stay(tmp_path):
    modules = toy()
    modules["frozen"].eval()
    frozen, seen = modules["frozen"].weight.detach().clone(), []
    _, result = train(tmp_path, seen, modules=modules, steps=150)
    first, last = (sum(error for _, error in part) / 10 for part in (seen[:10], seen[-10:]))
    assert last < 0.4 * first
    assert torch.equal(modules["frozen"].weight, frozen) and modules["frozen"].weight.grad is None
    assert modules.training and not modules["frozen"].training
    saved = load_file(tmp_path / "toy.safetensors")
    assert "net.1.running_mean" in saved and not any(name.startswith("frozen") for name in saved)
    assert result.losses["loss"] == pytest.approx(sum(error for _, error in seen[148:]) / 2)


def test_result_is_the_average_of_the_weights(tmp_path):
    modules, history = toy(), []
    weight = modules["net"][4].weight
    start = weight.detach().clone()

    def record(i):
        history.append(weight.detach().clone())

    train(tmp_path / "raw", modules=modules, ema=None, before=record)
    record(30)  # ema=None: the last weights are the result
    expected = start
    for i, value in enumerate(history[1:]):
        d = min(0.9, (1 + i) / (10 + i))
        expected = d * expected + (1 - d) * value
    modules, _ = train(tmp_path / "ema")
    torch.testing.assert_close(modules["net"][4].weight.detach(), expected)
    assert not torch.allclose(expected, history[-1])


def test_first_step_is_adams_without_decay(tmp_path):
    modules = toy()
    before = {name: p.detach().clone() for name, p in modules.named_parameters()}
    train(tmp_path, modules=modules, steps=1, ema=None, lr=0.01)
    for name, p in modules["net"].named_parameters():
        # Adam's first update is lr · g / (|g| + eps), whatever the betas
        torch.testing.assert_close(p.detach(), before[f"net.{name}"] - 0.01 * p.grad / (p.grad.abs() + 1e-8))


def test_a_folder_refuses_a_run_of_a_version_with_other_fixed_settings(finished, monkeypatch):
    monkeypatch.setitem(fit_room.FIXED, "betas", (0.9, 0.999))
    with pytest.raises(ValueError, match=r"betas \[0.9, 0.999\]; got \[0.9, 0.99\]"):
        train(finished, depends=DEPENDS)


def test_gradient_is_clipped(tmp_path, monkeypatch):
    modules = toy()
    norms = []
    monkeypatch.setitem(fit_room.FIXED, "grad_clip", 1e-3)
    train(tmp_path, modules=modules, before=lambda i: norms.append(grad_norm(modules)))
    assert all(norm == pytest.approx(1e-3, rel=1e-2) for norm in norms[1:])


def grad_norm(modules):
    return float(sum(p.grad.square().sum() for p in modules.parameters() if p.grad is not None)) ** 0.5


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_not_a_number_stops_the_run_at_its_step(tmp_path, where):
    modules = toy()
    inner = stepper(modules)

    def step(i, generator):
        losses = inner(i, generator)
        if i == 6:
            zero = modules["net"][4].bias.sum() * 0
            losses["loss"] = losses["loss"] + (zero / 0 if where == "loss" else zero.sqrt())
        return losses

    with pytest.raises(FloatingPointError, match="toy.*step 6$"):
        fit(modules, step, folder=tmp_path, save_seconds=0, **SETTINGS)
    assert all(p.isfinite().all() for p in modules.parameters())
    state = load_file(tmp_path / "toy.state.safetensors")
    assert all(t.isfinite().all() for t in state.values())
    resumed, seen = toy(), []
    train(tmp_path, seen, modules=resumed)
    assert seen[0][0] == 6


@pytest.mark.parametrize(("last", "save_seconds"), [(9, 0), (29, 45)])
def test_an_update_that_is_not_finite_is_never_written(tmp_path, reference, last, save_seconds):
    modules = toy()

    def spoil(i):  # after the forward pass: loss and gradient stay finite
        if i == last:
            modules["kernel"].bias.data.fill_(math.inf)

    with pytest.raises(FloatingPointError, match=f"toy: a weight is not finite after step {last}$"):
        train(tmp_path, before=spoil, modules=modules, save_seconds=save_seconds)
    assert not (tmp_path / "toy.json").exists() and not (tmp_path / "toy.safetensors").exists()
    seen = []
    modules, _ = train(tmp_path, seen)
    assert seen[0][0] == (last if save_seconds == 0 else 0)  # the last save stays
    assert_same(tmp_path, modules, reference)


def test_a_single_step_at_far_too_high_a_rate_is_not_written(tmp_path):
    with pytest.raises(FloatingPointError, match="toy: a weight is not finite after step 0$"):
        train(tmp_path, steps=1, lr=1e39)
    assert not list(tmp_path.glob("toy*"))


def test_log_has_a_line_for_each_interval_and_keeps_other_stages(tmp_path):
    line = {"stage": "other", "step": 99, "loss": 1.0}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    seen = []
    train(tmp_path, seen)
    lines = log_lines(tmp_path, without=())
    assert lines[0] == line
    assert [entry["step"] for entry in lines[1:]] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert lines[1]["loss"] == pytest.approx(sum(error for _, error in seen[:4]) / 4)
    assert lines[1].keys() == {"stage", "step", "loss", "scale", "lr", "seconds"}


def test_samples_see_averages_in_eval_mode_and_change_nothing(tmp_path, reference):
    modules, calls = toy(), []
    modules["frozen"].eval()

    def samples(done):
        torch.rand(1)
        calls.append((done, modules["net"].training, modules["net"][4].weight.detach().clone()))

    live = []
    train(
        tmp_path, modules=modules, samples=samples, sample_at=range(10, 100, 10),
        before=lambda i: live.append(modules["net"][4].weight.detach().clone()),
    )  # fmt: skip
    assert [(done, mode) for done, mode, _ in calls] == [(10, False), (20, False), (30, False)]
    assert modules["net"].training and not modules["frozen"].training
    assert not torch.equal(calls[0][2], live[10]) and torch.equal(calls[2][2], modules["net"][4].weight)
    assert_same(tmp_path, modules, reference)


def test_tensorboard_gets_the_scalars(tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path, steps=8)
    events = loader.EventAccumulator(str(tmp_path / "tb" / "toy"))
    events.Reload()
    logged = [(event.step, event.value) for event in events.Scalars("toy/loss")]
    assert logged == [(e["step"], pytest.approx(e["loss"])) for e in log_lines(tmp_path)]


def test_bf16_runs_the_step_in_mixed_precision(tmp_path):
    modules = toy()
    kinds = []
    modules["net"][0].register_forward_hook(lambda m, args, out: kinds.append(out.dtype))
    train(tmp_path, modules=modules, steps=2, autocast="bf16")
    assert kinds == [torch.bfloat16] * 2
    assert all(p.dtype == torch.float32 for p in modules.parameters())


def test_learning_rate_warms_up_then_falls_to_zero():
    rates = [learning_rate(i, 1000, 2.0, 100) for i in range(1001)]
    assert rates[0] == pytest.approx(0.02) and rates[99] == rates[100] == 2.0
    assert rates[550] == pytest.approx(1.0) and rates[1000] == pytest.approx(0.0)
    assert all(a > b for a, b in zip(rates[100:], rates[101:], strict=False))
    assert max(learning_rate(i, 10, 2.0, 100) for i in range(10)) == 2.0  # a short run warms up too


@pytest.mark.parametrize(("notebook", "stream"), [(False, "err"), (True, "out")])
def test_progress_bar_shows_the_stage_and_loss(tmp_path, capsys, monkeypatch, notebook, stream):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", object())
    train(tmp_path, progress=True)
    bar = getattr(capsys.readouterr(), stream)
    assert "toy" in bar and "30/30" in bar and "loss=" in bar


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps >= 1"),
        ({"log_every": 0}, "log_every >= 1"),
        ({"autocast": "fp16"}, "'fp16'"),
        ({"name": "a/b"}, "'a/b'"),
        ({"name": "."}, r"'\.'"),
        ({"name": ".."}, r"'\.\.'"),
        ({"lr": math.inf}, "lr >= 0; got inf"),
        ({"lr": math.nan}, "lr >= 0; got nan"),
        ({"lr": -1e-3}, "lr >= 0; got -0.001"),
        ({"ema": 1.0}, "EMA decay"),
        ({"modules": nn.ModuleDict({"net": nn.Linear(1, 1).requires_grad_(False)})}, "all are frozen"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, **settings)
    assert not (tmp_path / "tb").exists()


@pytest.mark.parametrize("losses", [{}, {"loss": torch.zeros(2, requires_grad=True)}])
def test_a_step_without_a_scalar_loss_is_refused(tmp_path, losses):
    with pytest.raises(ValueError, match="scalar named 'loss'"):
        fit(toy(), lambda i, generator: losses, folder=tmp_path, **SETTINGS)
