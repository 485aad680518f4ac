"""All stages at the tiny scale, on the built-in sample: what each trains, what it may see, and that it resumes."""

import copy
import json
import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.alignment.environment import CLOCK, Environment, clock_code, slots
from codi_minimal.checkpoint import copy_named, read_tensors, write_tensors
from codi_minimal.config import Config, Stage, preset

from codi_minimal.data import (  # isort: skip
    OPEN, PAIRINGS, VOCABULARY, WRITTEN, Drawn, Pairs, distractors, load, parse,
)  # fmt: skip
from codi_minimal.lock import alone_in
from codi_minimal.training import denoisers as denoiser_room
from codi_minimal.training import joint as joint_room
from codi_minimal.training import streams as stream_room
from codi_minimal.training.beside import train_beside
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.fit import fit
from codi_minimal.training.joint import (
    CON_BESIDE_TEXT,
    P_CLOCK,
    apart_in_time,
    compared,
    perturbed,
    times_of_others,
    train_environment,
    train_joint,
)
from codi_minimal.training.run import Run
from codi_minimal.training.stages import STAGES, in_order, train, train_further
from codi_minimal.training.streams import build_cache, open_streams
from tests.models import NAMES


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def snapshot(model: CoDi) -> dict[str, torch.Tensor]:
    return {name: p.clone() for name, p in model.state_dict().items()}


def changed(model: CoDi, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, p in model.state_dict().items() if not torch.equal(p, before[name])}


TRAINED = {  # what a stage may change: prefixes of parameter names after "modalities."
    "autoencoder-image": ("image.autoencoder.",),
    "autoencoder-audio": ("audio.autoencoder.",),
    "autoencoder-text": ("text.autoencoder.",),
    "vocoder": ("audio.autoencoder.vocoder.",),
    "prompts-text-image": ("text.prompt.", "image.prompt."),
    "prompts-text-audio": ("audio.prompt.",),
    "prompts-text-video": ("video.prompt.",),
    "denoiser-image": ("image.denoiser.",),
    "denoiser-audio": ("audio.denoiser.",),
    "denoiser-text": ("text.denoiser.",),
    "denoiser-video": ("video.denoiser.",),
    "environment": tuple(f"{m}{v}" for m in NAMES for v in (".environment.", ".denoiser.environment_attention.")),
    "joint": tuple(f"{m}.environment." for m in NAMES),
    **{f"beside-{m}": (f"{m}.denoiser.",) for m in NAMES},
}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """One run through all stages; what each of them changed, and which pairs it drew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CODI_DATA", raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")
        folder = tmp_path_factory.mktemp("tiny")
        config = preset("tiny")
        model_config = replace(config.model, vocoder="network")
        stages = {name: config.train.stages.get(name, Stage(2, 2)) for name in STAGES}
        config = replace(config, model=model_config, train=replace(config.train, stages=stages))
        changes: dict[str, set[str]] = {}
        drawn: dict[str, set] = {}
        init = Pairs.__init__

        def watch(name, function):
            def watched(run):
                def recording(self, source, pairing):
                    drawn.setdefault(name, set()).add(tuple(pairing))
                    init(self, source, pairing)

                patch.setattr(Pairs, "__init__", recording)
                before = snapshot(run.model)
                function(run)
                changes[name] = changed(run.model, before)

            return watched

        for name, functions in list(STAGES.items()):
            patch.setitem(STAGES, name, replace(functions, train=watch(name, functions.train)))
        model = train(config, out=folder, progress=False)
    return model, folder, changes, drawn


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_changes_its_own_parameters_and_nothing_else(whole_run, stage):
    prefixes = tuple(f"modalities.{prefix}" for prefix in TRAINED[stage])
    names = whole_run[2][stage]
    foreign = {n for n in names if not n.startswith(prefixes)}
    if stage == "joint":  # and the attention to the environment, inside the frozen denoisers
        foreign = {n for n in foreign if "denoiser" not in n or "environment_attention." not in n}
    if stage.startswith("denoiser"):
        assert not any(".environment_attention." in n for n in names)
    if stage.startswith("beside"):  # the denoiser, and what listens inside it
        assert len({".environment_attention." in n for n in names}) == 2
    assert not foreign
    assert all(any(n.startswith(prefix) for n in names) for prefix in prefixes)


def test_no_stage_draws_anything_but_the_four_pairings(whole_run):
    drawn = whole_run[3]
    assert drawn["joint"] == drawn["environment"] == set(PAIRINGS)
    assert drawn["beside-text"] == {pairing for pairing in PAIRINGS if "text" in pairing}
    assert drawn["beside-image"] == {("text", "image")}
    assert drawn["beside-audio"] == {("text", "audio"), ("audio", "video")}
    assert drawn["beside-video"] == {("text", "video"), ("audio", "video")}
    assert drawn["denoiser-video"] == drawn["prompts-text-video"] == {("text", "video")}
    assert not any(stage.startswith(("autoencoder", "vocoder")) for stage in drawn)
    assert set().union(*drawn.values()) == set(PAIRINGS)


@pytest.mark.slow
def test_the_run_leaves_a_model_pictures_and_a_log(whole_run):
    model, folder, _, _ = whole_run
    saved = CoDi.from_pretrained(folder / "model", device="cpu")
    for name, p in saved.state_dict().items():  # in half precision
        torch.testing.assert_close(p, model.state_dict()[name], rtol=1e-3, atol=1e-4)
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert "built-in sample, 1295 handwritten digits and 240 recordings" in card and "`split_seed` 0" in card
    assert all(f"| {stage} |" in card for stage in STAGES)
    for stage in STAGES:
        assert (folder / f"{stage}.png").stat().st_size > 5000
    assert (folder / "log.jsonl").read_text().count('"joint"') >= 1


@pytest.mark.slow
def test_a_finished_run_is_loaded_and_not_trained_again(whole_run, monkeypatch):
    model, folder, _, _ = whole_run
    monkeypatch.setattr("torch.optim.AdamW", None)  # would be called to train
    leftover = folder / "model" / ".model.safetensors.1a2b3c4d.tmp"
    leftover.touch()
    again = train(model.config, out=folder, progress=False)
    assert not changed(again, snapshot(model)) and not leftover.exists()


@pytest.fixture(scope="module")
def interrupted_run(whole_run, tmp_path_factory):
    """The same run, but each stage dies in its middle, and goes on from its save in a model that it has not seen."""
    model, whole, _, _ = whole_run
    folder = tmp_path_factory.mktemp("interrupted")
    for path in whole.glob("cache-*"):
        shutil.copy(path, folder)
    resumed = []

    def dying(modules, step, *, steps, name, **settings):
        def dies(i, generator):
            if i == steps // 2:
                raise InterruptedError
            return step(i, generator)

        with pytest.raises(InterruptedError):
            fit(modules, dies, steps=steps, name=name, **settings, save_seconds=0)
        with torch.no_grad():
            for p in modules.parameters():
                if p.requires_grad:
                    p.add_(1)  # in place: the layout stays that of a new model
        result = fit(modules, lambda i, g: resumed.append((name, i)) or step(i, g), steps=steps, name=name, **settings)
        reference, state = read_tensors(whole / f"{name}.safetensors")[0], modules.state_dict()
        copy_named({k: state[k] for k in reference}, reference)  # else one stage's fault would be that of all after it
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CODI_DATA", raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("codi_minimal.training.run.fit", dying)
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        no_pictures(patch)
        train(model.config, out=folder, progress=False)
    return folder, resumed


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_resumed_ends_in_the_same_bits(whole_run, interrupted_run, stage):
    model, whole, _, _ = whole_run
    folder, resumed = interrupted_run
    steps = model.config.train.stages[stage].steps
    assert [i for name, i in resumed if name == stage] == list(range(steps // 2, steps)) != []
    expected, got = (read_tensors(place / f"{stage}.safetensors")[0] for place in (whole, folder))
    assert expected.keys() == got.keys()
    assert [name for name in expected if not torch.equal(expected[name], got[name])] == []
    losses = [json.loads((place / f"{stage}.json").read_text())["losses"] for place in (whole, folder)]
    assert losses[0] == losses[1]


def two_stages(steps=2, **model) -> Config:
    """The first two stages of the preset tiny, which need no pairs."""
    config = preset("tiny")
    stages = {name: Stage(steps, 2) for name in ("autoencoder-image", "autoencoder-text")}
    return replace(config, model=replace(config.model, **model), train=replace(config.train, stages=stages))


def with_stage(config: Config, name: str, **changes) -> Config:
    stages = config.train.stages | {name: replace(config.train.stages[name], **changes)}
    return replace(config, train=replace(config.train, stages=stages))


@pytest.fixture(scope="module")
def two_stages_done(tmp_path_factory):
    """A run of two stages, of which the first was trained alone before."""
    folder = tmp_path_factory.mktemp("two") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CODI_DATA", raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")
        no_pictures(patch)
        train(two_stages(), out=folder, stages=["autoencoder-image"], progress=False)
        written = (folder / "autoencoder-image.json").stat().st_mtime_ns
        train(two_stages(), out=folder, progress=False)
        assert (folder / "autoencoder-image.json").stat().st_mtime_ns == written
    return folder


def no_pictures(patch):
    for name, functions in list(STAGES.items()):
        patch.setitem(STAGES, name, replace(functions, show=lambda *_: None))


BASE = two_stages()


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (two_stages(prediction="epsilon"), {}, "image.json .*model.prediction 'epsilon'; got 'v'"),
        (two_stages(steps=3), {}, "image.json .*steps 3; got 2"),
        (with_stage(BASE, "autoencoder-text", lr=5e-4), {}, "text.json .*stage.lr 0.0005; got 0.001"),
        (with_stage(BASE, "autoencoder-text", batch=3), {}, "text.json .*stage.batch 3; got 2"),
        (replace(BASE, train=replace(BASE.train, p_null=0.2)), {}, "image.json .*train.p_null 0.2; got 0.1"),
        (BASE, {"seed": 1}, "image.json .*seed 1; got 0"),
    ],
)
def test_a_folder_refuses_a_run_of_another_config(two_stages_done, monkeypatch, config, settings, message):
    no_pictures(monkeypatch)
    with pytest.raises(ValueError, match=message):
        train(config, out=two_stages_done, progress=False, **settings)


def test_a_stage_refuses_other_data(two_stages_done, tmp_path, monkeypatch):
    no_pictures(monkeypatch)
    other = load()
    other = replace(other, digits=other.digits.flip(0))
    shutil.copytree(two_stages_done, folder := tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("codi_minimal.training.stages.load", lambda _, split_seed: other)
        with pytest.raises(ValueError, match=f"image.json .*data '{other.identity}'; got 'built-in sample"):
            train(two_stages(), out=folder, progress=False)


def test_a_stage_refuses_other_weights_of_the_stages_that_it_needs_and_of_no_others(tmp_path, monkeypatch):
    no_pictures(monkeypatch)
    stages = {name: Stage(2, 2) for name in ("autoencoder-audio", "autoencoder-text", "vocoder")}
    config = two_stages(vocoder="network")
    config = replace(config, train=replace(config.train, stages=stages))
    train(config, out=tmp_path, progress=False)
    for name in ("autoencoder-text", "autoencoder-audio"):
        for path in tmp_path.glob(f"{name}*"):
            path.unlink()
        config = with_stage(config, name, lr=5e-4)
        if name == "autoencoder-text":
            train(config, out=tmp_path, progress=False)
    with pytest.raises(ValueError, match="vocoder.json .*after.autoencoder-audio '.*'; got '"):
        train(config, out=tmp_path, progress=False)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5])
def test_a_seed_out_of_range_is_refused_before_anything_is_made(tmp_path, seed):
    for run in (partial(train, "tiny"), partial(train_further, ["joint"])):
        with pytest.raises(ValueError, match=f"seed: expected an integer .*got {seed}"):
            run(out=tmp_path / "new", seed=seed)
    with pytest.raises(ValueError, match="steps: expected an integer from 1 to 2..63 - 1, got 0"):
        train_further(["joint"], out=tmp_path / "new", steps=0)
    assert not (tmp_path / "new").exists()


def test_the_largest_seed_works(tmp_path, monkeypatch):
    no_pictures(monkeypatch)
    train(two_stages(), out=tmp_path, seed=2**63 - 1, progress=False)
    assert Run(None, None, tmp_path, 2).generator("ab").initial_seed() == 2 * 1009 + 97 + 98  # as it has always been


def test_a_second_run_in_the_folder_is_refused_before_it_trains(tmp_path):
    with alone_in(tmp_path), ThreadPoolExecutor(1) as pool:
        error = pool.submit(train, two_stages(), out=tmp_path, progress=False).exception()
    assert isinstance(error, ValueError) and "for this run alone" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.slow
def test_a_checkpoint_is_trained_further_from_its_weights_and_nothing_else_of_it(whole_run, tmp_path):
    _, folder, _, _ = whole_run
    before = CoDi.from_pretrained(folder / "model", device="cpu")
    stages = ("beside-text", "denoiser-video", "prompts-text-image")
    after = train_further(stages, folder / "model", out=tmp_path, device="cpu", steps=1, progress=False)
    prefixes = ("image.prompt.", "video.denoiser.", "text.denoiser.")  # C_text, which it was aligned to, stays
    names = changed(after, snapshot(before))
    assert all(name.startswith(tuple(f"modalities.{prefix}" for prefix in prefixes)) for name in names)
    assert {name.split(".")[1] for name in names} == {"image", "video", "text"}
    for name in names:  # a step away from where they were, and not from the image's denoiser
        assert (after.state_dict()[name] - before.state_dict()[name]).abs().max() < 0.01
    had, has = before.config.train.stages, CoDi.from_pretrained(tmp_path / "model").config.train.stages
    assert {name: has[name].steps - stage.steps for name, stage in had.items()} == {
        name: int(name in stages) for name in had
    }
    with pytest.raises(ValueError, match="to be of a run with start '.*'; got '.*choose another folder"):
        train_further(stages, tmp_path / "model", out=tmp_path, device="cpu", steps=1, progress=False)
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    ordered = "prompts-text-image denoiser-video beside-text"
    assert f"train --further {folder / 'model'} --stages {ordered} --steps 1 " in card


def test_unknown_stages_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected stages out of .*got \\['dance'\\]"):
        train("tiny", out=tmp_path, stages=["dance"])
    with pytest.raises(ValueError, match="expected stages out of .*got none"):
        train("tiny", out=tmp_path, stages=[])
    config = preset("tiny")
    dancing = replace(config, train=replace(config.train, stages=config.train.stages | {"dance": Stage(1, 1)}))
    with pytest.raises(ValueError, match="expected stages out of .*got \\['dance'\\]"):
        train(dancing, out=tmp_path)


def test_a_config_may_name_its_stages_in_any_order():
    config = preset("tiny")
    upside_down = replace(config, train=replace(config.train, stages=dict(reversed(config.train.stages.items()))))
    assert list(in_order(upside_down).train.stages) == [name for name in STAGES if name in config.train.stages]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CODI_DATA", raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")
        torch.manual_seed(0)
        config = preset("tiny")
        config = replace(config, train=replace(config.train, cache=24, video_cache=12))
        model = CoDi(config, VOCABULARY).eval().requires_grad_(False)
        return Run(model, load(), tmp_path_factory.mktemp("cache"), progress=False)


def test_a_cache_holds_what_the_encoders_make_of_its_pairs(run, monkeypatch, tmp_path):
    run = replace(run, folder=tmp_path / "not there yet")
    made = build_cache(run, ("audio", "video"))
    assert set(made.latents) == set(made.prompts) == {"audio", "video"} and len(made.drawn) == 12
    video = made.drawn.render("video")
    torch.testing.assert_close(run.model.modalities["video"].encode(video), made.latents["video"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(run.model.modalities["video"].prompt(video), made.prompts["video"], rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(stream_room, "write_tensors", None)  # the second time it is read, not made
    assert torch.equal(build_cache(run, ("audio", "video")).latents["audio"], made.latents["audio"])
    with pytest.raises(ValueError, match="to be of seed 1, got 0:"):  # captions would be of other scenes
        build_cache(replace(run, seed=1), ("audio", "video"))
    source = run.corpus.source
    other = replace(source, digits=source.digits.flip(0))
    with pytest.raises(ValueError, match=f"to be of source {other.identity}, got {source.identity}:"):
        build_cache(replace(run, corpus=other), ("audio", "video"))
    model = copy.deepcopy(run.model)
    next(model.modalities["video"].prompt.parameters()).data[0] += 1
    with pytest.raises(ValueError, match="to be of encoders .{8}, got .{8}:"):
        build_cache(replace(run, model=model), ("audio", "video"))


def test_a_damaged_cache_is_refused_by_name(run, tmp_path):
    run = replace(run, folder=tmp_path)
    build_cache(run, ("text", "image"))
    path = tmp_path / "cache-text-image.safetensors"
    tensors, metadata = read_tensors(path)
    latents, prompts = tensors["latent.image"], tensors["prompt.image"]
    for damaged, message in (
        ({"latent.image": latents}, "missing: prompt.image"),
        ({"latent.image": latents[:-1], "prompt.image": prompts}, "of another shape: latent.image"),
        ({"latent.image": latents.log(), "prompt.image": prompts}, "not finite: latent.image"),
        ({"latent.image": latents.int(), "prompt.image": prompts}, "of another kind: latent.image"),
    ):
        write_tensors(path, damaged, metadata)
        with pytest.raises(ValueError, match=f"cache-text-image.safetensors; {message}"):
            build_cache(run, ("text", "image"))
    write_tensors(path, {key: value.double() for key, value in tensors.items()}, metadata)
    assert torch.equal(build_cache(run, ("text", "image")).latents["image"], latents)  # float32 again


@pytest.mark.parametrize("wiring", ["pooled", "own", "off"])
def test_the_joint_stage_trains_under_every_wiring(run, wiring, tmp_path):
    stages = {"environment": Stage(3, 6), "joint": Stage(3, 6)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CoDi(replace(run.config, train=replace(run.config.train, stages=stages, wiring=wiring)), VOCABULARY)
        for p in model.parameters():
            if not p.any():  # zero where a denoiser ends, it would pass no gradient on
                p.data = 0.05 * torch.randn(p.shape)
    variant = replace(run, model=model.eval(), folder=tmp_path)
    train_environment(variant)
    before = snapshot(model)
    train_joint(variant)
    heard = {name for name in changed(model, before) if ".transformer.environment_attention." in name}
    assert bool(heard) == (wiring != "off")  # who sees nothing learns nothing


@pytest.mark.parametrize("con", [1.0, 0.5, 0.0])
def test_a_contrast_counts_in_full_only_where_neither_is_text(run, monkeypatch, con):
    steps, pairs, draw = {}, [], open_streams(run, "environment")
    monkeypatch.setattr(run.model, "config", replace(run.config, train=replace(run.config.train, con=con)))
    monkeypatch.setattr(Run, "fit", lambda _run, name, _modules, step, **_: steps.update({name: step}))
    monkeypatch.setattr(joint_room, "open_streams", lambda *_: lambda *args: pairs.append(draw(*args)) or pairs[-1])
    train_environment(run)
    for i in range(12):
        losses = steps["environment"](i, torch.Generator().manual_seed(i))
        read, contrast = (next(x for name, x in losses.items() if name.startswith(what)) for what in ("more", "con"))
        worded = "text" in pairs[-1].z0
        torch.testing.assert_close(losses["loss"], read + con * (CON_BESIDE_TEXT if worded else 1) * contrast)
    assert {"text" in pair.z0 for pair in pairs} == {True, False}


def test_a_denoiser_goes_on_by_turns_alone_and_beside_a_stream_that_may_be_at_0(run, monkeypatch):
    steps, heard, times = {}, [], []
    monkeypatch.setattr(Run, "fit", lambda _run, name, _modules, step, **_: steps.update({name: step}))
    train_beside(run, "video")
    m, summary = run.model.modalities, run.config.model.summary
    hooks = [
        m["video"].denoiser.register_forward_pre_hook(lambda _, args: heard.append(args[3] if len(args) > 3 else None)),
        m["audio"].environment.register_forward_pre_hook(lambda _, args: times.append(args[1])),
    ]
    for i in range(16):
        steps["beside-video"](i, torch.Generator().manual_seed(i))
    for hook in hooks:
        hook.remove()
    assert [env is None for env in heard] == [True, False] * 8
    beside_audio = [env for i, env in enumerate(heard[1::2]) if i % 4 < 3]  # the fourth turn is text's
    present, t = torch.cat([env.present for env in beside_audio]), torch.cat(times)
    what, when = (x.any(dim=1) for x in present.split([summary, present.shape[1] - summary], dim=1))
    arrived = when & ~what
    assert 0.2 < arrived.float().mean() < 0.55 and (t[arrived] == 0).all() and (t[what] > 0).any()


def test_a_stream_that_is_shown_itself_is_shown_nothing_cleaner(run, monkeypatch):
    steps, own, noisy = {}, [], []
    variant = replace(run, model=copy.copy(run.model))
    variant.model.config = replace(run.config, train=replace(run.config.train, wiring="own"))
    monkeypatch.setattr(Run, "fit", lambda _run, name, _modules, step, **_: steps.update({name: step}))
    train_beside(variant, "video")
    m = run.model.modalities["video"]
    hooks = [
        m.environment.register_forward_pre_hook(lambda _, args: own.append(args[1])),
        m.denoiser.register_forward_pre_hook(lambda _, args: noisy.append(args[1])),
    ]
    for i in range(4):
        steps["beside-video"](2 * i + 1, torch.Generator().manual_seed(i))
    for hook in hooks:
        hook.remove()
    assert torch.equal(torch.cat(own), torch.cat(noisy))


@pytest.mark.parametrize("p_ahead", [0.0, 0.5, 1.0])
def test_others_are_at_the_same_time_or_ahead_and_some_are_at_0(p_ahead):
    t = torch.randint(1, 1000, (4000,), generator=torch.Generator().manual_seed(0))
    others = times_of_others(t, torch.Generator().manual_seed(1), p_ahead)
    shares = [(others == t), (others < t) & (others > 0), (others == 0) & (t > 0)]
    same, ahead, arrived = (share.float().mean().item() for share in shares)
    assert (others <= t).all() and same == pytest.approx(1 - p_ahead, abs=0.03)
    assert arrived == pytest.approx(0.3 * p_ahead, abs=0.03) and ahead == pytest.approx(0.7 * p_ahead, abs=0.03)


def test_a_contrast_is_drawn_mostly_where_there_is_something_to_see(run):
    latents = {m: torch.zeros(500, *run.model.modalities[m].latent_shape) for m in ("image", "audio")}
    times, pair = {}, SimpleNamespace(z0=latents)
    hooks = [
        run.model.modalities[m].environment.register_forward_pre_hook(lambda _, args, m=m: times.update({m: args[1]}))
        for m in pair.z0
    ]
    apart_in_time(run, pair, torch.Generator().manual_seed(0))
    for hook in hooks:
        hook.remove()
    image, audio = times.values()
    assert not torch.equal(image, audio)
    for t in (image, audio):  # t = T u^1.5 is below T/2 with a probability of 0.5^(2/3)
        assert (t < run.config.model.T / 2).float().mean().item() == pytest.approx(0.63, abs=0.06)


def test_captions_that_are_denoised_name_the_digit_and_prompts_are_open(run, monkeypatch):
    kept, made, captions = [], [], Drawn.captions

    def recording(*args):
        kept.append(args[3])
        made.append(captions(*args))
        return made[-1]

    monkeypatch.setattr(Drawn, "captions", recording)
    draw, encode = open_streams(run, "joint"), run.model.modalities["text"].encode
    for i in range(3):
        pair = draw(0, torch.Generator().manual_seed(i))  # the first turn is text–image
        written, _ = made[2 * i :]
        assert all("digit" in parse(text) for text in written)
        torch.testing.assert_close(pair.z0["text"], encode(written), rtol=1e-4, atol=1e-4)
    assert kept == [WRITTEN, OPEN] * 3


def test_a_caches_captions_are_fresh_and_true(run):
    made = build_cache(run, ("text", "image")).drawn
    idx = torch.arange(24)
    one, two = made.captions(random.Random(0), idx), made.captions(random.Random(1), idx)
    assert one != two
    for a, b in zip(one, two, strict=True):
        said = parse(a), parse(b)
        assert all(said[0][k] == said[1][k] for k in said[0].keys() & said[1].keys())


def test_alike_samples_are_compared_by_their_clocks_alone(run):
    summary = run.config.model.summary
    tokens = {m: torch.arange(summary + 8.0)[None, :, None] for m in ("audio", "video")}
    for is_alike, first in ((True, summary), (False, 0)):
        found, weight = compared(run, SimpleNamespace(alike=is_alike, positives=None), tokens)
        assert all(torch.equal(x, tokens[m][:, first:]) for m, x in found.items())
        assert weight == run.config.train.con


def test_what_a_stream_sees_has_the_noise_of_the_config_but_for_its_clock(run):
    n, width = 400, run.config.model.d_env
    config = replace(run.config, train=replace(run.config.train, env_noise=0.3, p_own=0.0))
    noisy = replace(run, model=SimpleNamespace(config=config, device=torch.device("cpu")))
    env = Environment.of([torch.zeros(n, 5, width)])
    tokens, _ = perturbed(noisy, env, torch.zeros(n, 5, width), torch.Generator().manual_seed(0))
    content, clock = tokens.split([width - CLOCK, CLOCK], dim=-1)
    assert content.std().item() == pytest.approx(0.3, rel=0.03) and not clock.any()


def test_distractors_say_nothing_that_the_modality_can_show():
    rng = random.Random(0)
    assert {k for text in distractors("image", 50, rng) for k in parse(text)} == {"motion"}
    assert {k for text in distractors("audio", 50, rng) for k in parse(text)} == {"colour", "motion"}
    assert distractors("video", 5, rng) is None


def test_conditions_are_single_mixed_or_none_in_their_shares():
    b, generator = 4000, torch.Generator().manual_seed(0)
    text, own, extra = (torch.eye(3)[i].expand(b, 3) for i in range(3))
    cond = mixed_condition([text, own], extra, generator, p_null=0.1, noise=0.0)
    null = (cond == 0).all(dim=1)
    only_text, only_own = (cond[:, 0] == 1), (cond[:, 1] == 1)
    assert null.float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert only_text.float().mean() > 0.36 and only_own.float().mean() > 0.18
    assert not (cond[:, 2] == 1).any()  # what is not true of the sample never stands alone
    total, norm = cond.sum(dim=1), cond.norm(dim=1)
    unit = (total - 1).abs() < 1e-4
    assert (null | unit | ((norm - 1).abs() < 1e-4)).all()
    noisy = mixed_condition([text, own], None, generator, p_null=0.0, noise=0.02)
    assert (noisy - noisy.round()).abs()[only_text].mean() > 0.005


def test_an_environment_is_shown_whole_as_clocks_alone_as_the_own_or_not_at_all(run):
    n, summary, width = 2000, run.config.model.summary, run.config.model.d_env
    clock = torch.cat([torch.zeros(summary, CLOCK), clock_code(slots(8))])
    others = torch.cat([torch.ones(summary + 8, width - CLOCK), clock], dim=1).expand(n, -1, -1)
    quiet = replace(run, model=SimpleNamespace(
        config=replace(run.config, train=replace(run.config.train, env_noise=0.0)), device=torch.device("cpu")
    ))  # fmt: skip
    own = torch.cat([2 * torch.ones(summary + 8, width - CLOCK), clock], dim=1).expand(n, -1, -1)
    text = others[:, :summary]  # without clocks
    for env in (others, text):
        tokens, present = perturbed(quiet, Environment.of([env]), own, torch.Generator().manual_seed(0))
        assert tokens.shape == (n, summary + 8, width)
        out = tokens * present[..., None]
        what, when = out[:, 0, 0], out[:, -1, 0]
        absent = (out == 0).all(dim=(1, 2))
        is_own = when == 2
        train, rest = run.config.train, ~absent & ~is_own
        assert is_own.float().mean().item() == pytest.approx(train.p_own, abs=0.03)
        expected = train.p_null if env is others else train.p_null + P_CLOCK * (1 - train.p_null - train.p_own)
        assert absent.float().mean().item() == pytest.approx(expected, abs=0.03)
        if env is others:
            assert (what[rest] == 0).float().mean().item() == pytest.approx(P_CLOCK, abs=0.04)
            assert (when[rest] == 1).all()


@pytest.mark.parametrize(("shift", "past_half"), [(1.0, 1 / 2), (2.0, 2 / 3)])
def test_a_stage_says_how_dense_its_times_are_where_noise_is_strong(run, monkeypatch, shift, past_half):
    seen = []
    monkeypatch.setattr(denoiser_room, "diffusion_loss", lambda _net, _z0, t, *_args, **_more: seen.append(t))
    variant, stages = replace(run, model=copy.copy(run.model)), {"denoiser-image": Stage(1, 4000, shift=shift)}
    variant.model.config = replace(run.config, train=replace(run.config.train, stages=stages))
    denoiser_room.denoiser_step(variant, "denoiser-image", "image")(0, torch.Generator().manual_seed(0))
    (t,), T = seen, run.config.model.T
    assert t.dtype == torch.int64 and t.min() >= 0 and t.max() < T
    assert (t >= T // 2).double().mean() == pytest.approx(past_half, abs=0.03)
