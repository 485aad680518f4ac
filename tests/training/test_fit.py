import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from codi_minimal.training.fit import fit
from codi_minimal.training.optimizer import learning_rate


def toy():
    """Modules with dropout, batch statistics, a bias without decay, a frozen part; made from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        hidden = nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2)
        net = nn.Sequential(nn.Linear(4, 16), *hidden, nn.Linear(16, 4))
        modules = nn.ModuleDict({"net": net, "frozen": nn.Linear(4, 4)})
    modules["frozen"].requires_grad_(False)
    return modules


def stepper(modules, seen=None, before=lambda i: None):
    """Regression of the frozen layer's outputs; `before` is called after the forward pass, in mid-step."""

    def step(i, generator):
        x = torch.randn(16, 4, generator=generator)
        scale = random.Random(generator.initial_seed()).uniform(0.9, 1.1)
        error = (modules["net"](x) - scale * modules["frozen"](x)).square().mean()
        if seen is not None:
            seen.append((i, float(error.detach())))
        before(i)
        return {"loss": error, "scale": scale}

    return step


SETTINGS = {"steps": 30, "lr": 1e-2, "name": "toy", "warmup": 5, "weight_decay": 0.1, "log_every": 4}
SETTINGS |= {"progress": False, "ema": 0.9}


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


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_saves(tmp_path, reference, signum):
    class Terminated(Exception):
        pass

    def handler(*_):
        raise Terminated

    seen, previous = [], signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(KeyboardInterrupt if signum == signal.SIGINT else Terminated):
            train(tmp_path, seen, before=lambda i: i == 7 and signal.raise_signal(signum))
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert len(seen) == 8 and (tmp_path / "toy.state.safetensors").exists()
    modules, _ = train(tmp_path, seen)
    assert seen == reference[3]
    assert_same(tmp_path, modules, reference)


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


def test_files_of_another_run_are_refused(tmp_path, reference):
    with pytest.raises(ValueError, match="toy.json to be of a run with steps 31; got 30"):
        train(reference[0], steps=31)
    with pytest.raises(ValueError, match="seed 9; got 0"):
        train(reference[0], seed=9)
    other = nn.ModuleDict({"net": nn.Linear(4, 4), "frozen": nn.Linear(4, 4).requires_grad_(False)})
    with pytest.raises(ValueError, match="missing: net.weight"):
        train(reference[0], modules=other)


def test_loss_falls_and_frozen_parameters_and_modes_stay(tmp_path):
    modules = toy()
    modules["frozen"].eval()
    frozen, seen = modules["frozen"].weight.detach().clone(), []
    _, result = train(tmp_path, seen, modules=modules, steps=150, weight_decay=0.0)
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


def test_first_step_is_adamw_with_decay_of_matrices_only(tmp_path):
    modules = toy()
    before = {name: p.detach().clone() for name, p in modules.named_parameters()}
    train(tmp_path, modules=modules, steps=1, ema=None, lr=0.01, weight_decay=0.5, grad_clip=None)
    for name, p in modules["net"].named_parameters():
        old, grad = before[f"net.{name}"], p.grad
        decay = 0.01 * 0.5 if p.ndim >= 2 else 0.0
        # Adam's first update is lr · g / (|g| + eps), whatever the betas
        torch.testing.assert_close(p.detach(), old * (1 - decay) - 0.01 * grad / (grad.abs() + 1e-8))


def test_gradient_is_clipped(tmp_path):
    modules = toy()
    norms = []
    train(tmp_path, modules=modules, grad_clip=1e-3, before=lambda i: norms.append(grad_norm(modules)))
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
        tmp_path, modules=modules, samples=samples, sample_every=10,
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
    rates = [learning_rate(i, 1000, 2.0, 100, "cosine") for i in range(1001)]
    assert rates[0] == pytest.approx(0.02) and rates[99] == rates[100] == 2.0
    assert rates[550] == pytest.approx(1.0) and rates[1000] == pytest.approx(0.0)
    assert all(a > b for a, b in zip(rates[100:], rates[101:], strict=False))
    assert learning_rate(900, 1000, 2.0, 100, "constant") == 2.0
    assert max(learning_rate(i, 10, 2.0, 100, "cosine") for i in range(10)) == 2.0  # a short run warms up too


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
        ({"schedule": "linear"}, "'linear'"),
        ({"autocast": "fp16"}, "'fp16'"),
        ({"name": "a/b"}, "'a/b'"),
        ({"ema": 1.0}, "EMA decay"),
        ({"modules": nn.ModuleDict({"net": nn.Linear(1, 1).requires_grad_(False)})}, "all are frozen"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, **settings)


@pytest.mark.parametrize("losses", [{}, {"loss": torch.zeros(2, requires_grad=True)}])
def test_a_step_without_a_scalar_loss_is_refused(tmp_path, losses):
    with pytest.raises(ValueError, match="scalar named 'loss'"):
        fit(toy(), lambda i, generator: losses, folder=tmp_path, **SETTINGS)
