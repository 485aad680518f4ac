"""Every training step combines what belongs together: samples, prompts, captions and tokens carry their number.

The fakes of `numbered` are given to the real stages. A fake denoiser predicts its target without an error, so that a
loss of zero means that noise, latents and target are of one sample; what it was given says the rest.
"""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from codi_minimal.alignment import joint as core
from codi_minimal.alignment import wire
from codi_minimal.data import PAIRINGS, parse
from codi_minimal.ours import reading
from codi_minimal.training import autoencoders, beside, denoisers, joint, prompts, ranks, streams
from codi_minimal.training.joint import CON_BESIDE_TEXT
from tests.training import numbered
from tests.training.numbered import NAMES, SUMMARY, heard, number_of, numbered_run

DIFFUSED = {"image": {}, "audio": {}, "text": {}, "video": {"start_from": "image"}}


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    for room in (denoisers, streams):
        monkeypatch.setattr(room, "build_cache", numbered.build_cache)
        monkeypatch.setattr(room, "tabulated", lambda f, corpus: f)


def steps(run, stage: str, n: int = 12):
    """What n steps of a stage returned."""
    step = run.fitted[stage].step
    return [step(i, torch.Generator().manual_seed(100 + i)) for i in range(n)]


def recorder(monkeypatch, room, name: str, value: float = 1.0) -> list[tuple]:
    """Replaces a function of a room by one that remembers its arguments and returns `value`."""
    calls = []

    def record(*args):
        calls.append(args)
        return torch.tensor(value, dtype=torch.float64, requires_grad=True)

    monkeypatch.setattr(room, name, record)
    return calls


def assert_condition_is_of_the_sample(call: SimpleNamespace) -> None:
    numbers = number_of(call.cond)
    assert ((numbers == call.number) | (numbers == -1)).all()


# ---- denoisers


@pytest.mark.parametrize("name", DIFFUSED)
def test_a_denoiser_learns_its_sample_from_prompts_of_the_same_sample(name):
    run = numbered_run()
    denoisers.train_denoiser(run, name, **DIFFUSED[name])
    net = run.model.modalities[name].denoiser
    assert run.fitted[f"denoiser-{name}"].modules is net
    assert all(losses["loss"].item() < 1e-9 for losses in steps(run, f"denoiser-{name}"))
    for call in net.calls:
        assert call.env is None
        assert_condition_is_of_the_sample(call)
    rows = torch.cat([number_of(call.cond) for call in net.calls])
    assert 0.04 < (rows == -1).double().mean() < 0.2  # p_null of them have no prompt
    assert len({int(k) for call in net.calls for k in call.number}) == numbered.N
    net.off = 2.0
    assert steps(run, f"denoiser-{name}", 1)[0]["loss"].item() == pytest.approx(4.0)


def test_the_video_denoiser_starts_from_the_image_denoiser():
    run = numbered_run()
    denoisers.train_denoiser(run, "video", start_from="image")
    assert run.model.modalities["video"].denoiser.started_from is run.model.modalities["image"].denoiser


# ---- bridges


@pytest.mark.parametrize("name", ["image", "audio", "video"])
def test_a_bridge_pairs_captions_with_their_own_samples(monkeypatch, name):
    calls = recorder(monkeypatch, prompts, "clip_loss", 2.0)
    whole = recorder(monkeypatch, prompts, "composition_loss", 5.0)
    run, first = numbered_run(), name == "image"
    prompts.train_bridge(run, name)
    stage = run.fitted[f"prompts-text-{name}"]
    trained = {module for module in stage.modules.values() if isinstance(module, numbered.Prompt)}
    assert trained == {run.model.modalities[m].prompt for m in (("text", name) if first else (name,))}
    returned = steps(run, f"prompts-text-{name}", 4)
    assert len(calls) == 4 and len(whole) == 4 * first
    for x, y, _, positives in calls:
        assert torch.equal(number_of(x), number_of(y)) and len(number_of(x).unique()) > 10
        assert torch.equal(positives, number_of(x)[:, None] == number_of(x)[None])  # all that mean the same
    assert all(losses["loss"].item() == 2.0 + 5.0 * first for losses in returned)


@pytest.mark.parametrize("name", ["image", "audio", "video"])
def test_additions_get_a_caption_that_says_all_of_its_own_sample(monkeypatch, name):
    run, told = numbered_run(), []
    monkeypatch.setattr(numbered.Pairs, "kept", [])
    run.model.recipe.additions = (
        SimpleNamespace(name="more", bridging_loss=lambda *x: told.append(x) or torch.tensor(3.0), augmentations=dict),
        SimpleNamespace(name="none", bridging_loss=lambda own, whole: None, augmentations=dict),
    )
    recorder(monkeypatch, prompts, "clip_loss", 2.0)
    recorder(monkeypatch, prompts, "composition_loss", 5.0)
    prompts.train_bridge(run, name)
    numbered.Pairs.kept.clear()
    (losses,) = steps(run, f"prompts-text-{name}", 1)
    own, whole = told[-1]
    assert torch.equal(number_of(own), number_of(whole)) and own.requires_grad and not whole.requires_grad
    assert numbered.Pairs.kept == [None, {"digit": 1, "colour": 1, "motion": 1}]
    assert losses["more"] == 3 and "none" not in losses and losses["loss"] == 2 + 3 + 5 * (name == "image")


def test_a_whole_caption_says_what_its_parts_say(monkeypatch):
    said = []
    run = numbered_run()
    whole = recorder(monkeypatch, prompts, "composition_loss")
    text = run.model.modalities["text"].prompt
    monkeypatch.setattr(text, "forward", lambda data: said.append(data) or numbered.embedding([heard(x) for x in data]))
    prompts.train_bridge(run, "image")
    said.clear()
    steps(run, "prompts-text-image", 1)
    (_, wholes, *parts), (_, _, _, positives) = said[:4], whole[0]
    meanings = [parse(caption) for caption in wholes]
    assert all(parse(a) | parse(b) == m for m, a, b in zip(meanings, *parts, strict=True))
    assert positives.tolist() == [[m == other for other in meanings] for m in meanings]


# ---- streams


def assert_tokens_are_of_the_sample(env: torch.Tensor, numbers: torch.Tensor, modalities: set[str]) -> None:
    """Every token that is there is of the row's sample, and of one of these modalities."""
    present = env[..., 3] == 1
    assert ((env[..., 0] == numbers[:, None] + 1) | ~present).all()
    assert {NAMES[int(m) - 1] for m in env[..., 1][present].unique()} <= modalities


@pytest.mark.parametrize("stage", streams.TURNS)
def test_the_streams_of_a_pair_their_prompts_and_their_condition_are_of_one_sample(stage):
    run = numbered_run(batch=20)
    draw, pairs = streams.open_streams(run, stage), Counter()
    for i in range(24):
        pair = draw(i, torch.Generator().manual_seed(i))
        (a, z), (b, other) = pair.z0.items()
        numbers = (z[:, 0] - 1).long()
        pairs[a, b] += 1
        assert torch.equal(z, other)
        assert all(torch.equal(number_of(c), numbers) for c in pair.prompts.values())
        assert set(pair.prompts) == {a, b}
        cond = number_of(pair.cond)
        assert ((cond == numbers) | (cond == -1)).all() and (cond >= 0).any() and (cond == -1).any()
        same = numbers[:, None] == numbers[None]
        if "text" in pair.z0:
            assert torch.equal(pair.positives, same)
        if pair.alike:
            assert len(numbers.unique()) == len(numbers)  # a copy of a sample is no negative of it
    assert set(pairs) == set(streams.TURNS[stage]) <= set(PAIRINGS)


def test_hard_negatives_are_samples_whose_prompts_are_nearest_to_one_of_them():
    """The angle of a prompt is the number of its sample: the nearest numbers are the nearest prompts."""
    numbers = torch.arange(200) % numbered.N
    prompts, idx = numbered.embedding(numbers), torch.tensor([15, 29, 1, 7])
    drawn = [streams.nearest(prompts, len(idx), int(idx[0]), torch.Generator().manual_seed(i)) for i in range(20)]
    assert len({tuple(rows.tolist()) for rows in drawn}) > 10  # others each time
    for rows in drawn:
        assert len(rows.unique()) == 4 and (numbers[rows] - 15).abs().max() <= 2
    with torch.autocast("cpu", torch.bfloat16):  # a stage in mixed precision finds the same
        rows = streams.nearest(prompts, len(idx), int(idx[0]), torch.Generator().manual_seed(0))
    assert torch.equal(rows, drawn[0])


def test_the_environment_is_trained_on_pairs_of_tokens_and_on_their_prompts(monkeypatch):
    run = numbered_run(batch=20)
    con = recorder(monkeypatch, joint, "contrastive_loss", 3.0)
    read = recorder(monkeypatch, reading, "reading_loss", 7.0)
    joint.train_environment(run)
    returned = steps(run, "environment", 8)
    for (x, y, _, positives), losses in zip(con, returned, strict=True):
        assert torch.equal(x[:, 0, 0], y[:, 0, 0]) and not torch.equal(x[:, 0, 1], y[:, 0, 1])
        assert (x[:, 0, 2] != y[:, 0, 2]).any()  # each at times of its own
        same = x[:, 0, 0][:, None] == x[:, 0, 0][None]
        beside_text = positives is not None
        assert not beside_text or torch.equal(positives, same)
        assert losses["loss"].item() == pytest.approx(7.0 + (CON_BESIDE_TEXT if beside_text else 1.0) * 3.0)
    readers = {id(run.model.modalities[m].denoiser.environment_attention): m for m in NAMES}
    assert Counter(readers[id(reader)] for reader, *_ in read) == dict.fromkeys(NAMES, 8)
    for _, (env, present), shown, cond in read:
        assert present.all()
        numbers = number_of(shown[0])
        assert_tokens_are_of_the_sample(env, numbers, set(NAMES))
        assert len(env[0, :, 1][env[0, :, 3] == 1].unique()) == len(shown)  # tokens of all streams, and of no other
        assert all(torch.equal(number_of(c), numbers) for c in shown)
        assert ((number_of(cond) == numbers) | (number_of(cond) == -1)).all()


def joint_calls(monkeypatch, **train):
    """The denoisers' calls in eight steps of `joint`, by pair; and what the steps returned."""
    run = numbered_run(batch=40, **train)
    recorder(monkeypatch, core, "contrastive_loss", 3.0)
    recorder(monkeypatch, reading, "reading_loss", 7.0)
    joint.train_joint(run)
    calls, returned = [], []
    for i in range(8):
        for m in run.model.modalities.values():
            m.denoiser.calls.clear()
        returned += [run.fitted["joint"].step(i, torch.Generator().manual_seed(i))]
        nets = {m: modality.denoiser for m, modality in run.model.modalities.items()}
        calls.append({m: net.calls[0] for m, net in nets.items() if net.calls})
    return run, calls, returned


def test_joint_shows_a_stream_the_other_of_its_own_sample(monkeypatch):
    _, calls, returned = joint_calls(monkeypatch, p_own=0.0)
    for pair, losses in zip(calls, returned, strict=True):
        assert len(pair) == 2
        for name, call in pair.items():
            (other,) = set(pair) - {name}
            assert_condition_is_of_the_sample(call)
            assert_tokens_are_of_the_sample(call.env, call.number, {other})
            shown = call.env[..., 3].any(dim=1)
            assert 0.5 < shown.double().mean() <= 1
            assert losses[f"cross_{name}"].item() < 1e-9


def test_the_joint_stage_is_mostly_at_noisy_times_and_clips_are_a_share_of_its_batch(monkeypatch):
    run, calls, _ = joint_calls(monkeypatch)
    times = torch.cat([call.t for pair in calls for call in pair.values()]).double() / run.config.model.T
    assert 0.62 < times.mean() < 0.71  # t = T √u has the mean 2/3
    for pair in calls:
        rows = {name: len(call.t) for name, call in pair.items()}
        most = max(rows.values())  # fewer than a batch where all samples are alike
        assert most >= 30 and rows == {
            n: int(most * run.config.train.clip_share) if n == "video" else most for n in rows
        }


def test_under_the_wiring_own_a_stream_sees_itself_at_its_own_time(monkeypatch):
    _, calls, _ = joint_calls(monkeypatch, wiring="own")
    for name, call in ((name, call) for pair in calls for name, call in pair.items()):
        rows = call.env[..., 3].any(dim=1)
        assert rows.any() and (call.env[rows][..., 1].amax(dim=1) == NAMES.index(name) + 1).all()
        assert torch.equal(call.env[rows][..., 2].amax(dim=1) - 1, call.t[rows].double())


@pytest.mark.parametrize("names", [None, ("audio",)])
@pytest.mark.parametrize(("stage", "part"), [("environment", "reader"), ("joint", "attention")])
def test_latent_alignment_trains_v_and_the_attention_of_the_modalities_that_it_is_told(stage, part, names):
    run = numbered_run()
    train = {"environment": joint.train_environment, "joint": joint.train_joint}[stage]
    train(run, f"{stage}-text-audio", names) if names else train(run)
    modules = run.fitted[f"{stage}-text-audio" if names else stage].modules
    trained = {f"{what}-{name}" for what in ("environment", part) for name in names or NAMES}
    assert set(modules.keys()) == trained | {"temperature"}


def test_hard_negatives_are_half_of_the_batches_of_audio_and_video_and_none_beside_text():
    run = numbered_run()
    draw = streams.open_streams(run, "joint")
    pairs = [draw(i, torch.Generator().manual_seed(i)) for i in range(120)]
    alike = [pair.alike for pair in pairs if "text" not in pair.z0]
    assert len(alike) == 60 and 0.3 < sum(alike) / 60 < 0.7
    assert not any(pair.alike for pair in pairs if "text" in pair.z0)


def test_conditions_of_latent_alignment_have_the_noise_of_the_config(monkeypatch):
    seen = []
    real = streams.mixed_condition
    monkeypatch.setattr(streams, "mixed_condition", lambda *args: seen.append(args) or real(*args))
    run = numbered_run(cond_noise=0.125, p_single=(0.5, 0.25))
    streams.open_streams(run, "joint")(0, torch.Generator().manual_seed(0))
    assert seen[0][3:] == (streams.P_UNPROMPTED, 0.125, (0.5, 0.25))


def test_joint_shows_some_rows_their_own_modality_as_often_as_it_is_told(monkeypatch):
    _, calls, _ = joint_calls(monkeypatch, p_own=0.3)
    own = [
        (call.env[:, 0, 1] == NAMES.index(name) + 1).double().mean() for pair in calls for name, call in pair.items()
    ]
    assert 0.17 < sum(own) / len(own) < 0.28  # 0.3 of those that are not their clock alone


def test_joint_adds_up_its_losses_with_their_weights_and_signs(monkeypatch):
    run, _, returned = joint_calls(monkeypatch)
    for m in run.model.modalities.values():
        m.denoiser.off = 2.0
    for i, losses in enumerate([*returned, *steps(run, "joint", 8)]):
        pair = next(key for key in losses if key.startswith("con_")).removeprefix("con_").split("-")
        cross = [losses[f"cross_{name}"].item() for name in pair]
        assert cross == pytest.approx([0.0 if i < 8 else 4.0] * 2, abs=1e-9)
        con = CON_BESIDE_TEXT if "text" in pair else 1.0
        assert losses["loss"].item() == pytest.approx(sum(cross) + run.config.train.lam * (con * 3.0 + 7.0))


def test_l_con_of_joint_compares_the_two_streams_of_a_sample_each_at_times_of_its_own(monkeypatch):
    run = numbered_run(batch=40)
    compared = recorder(monkeypatch, core, "contrastive_loss", 3.0)
    recorder(monkeypatch, reading, "reading_loss", 7.0)
    joint.train_joint(run)
    for (x, y, _, positives), losses in zip(compared, steps(run, "joint", 8), strict=True):
        assert torch.equal(x[:, 0, 0], y[:, 0, 0]) and not torch.equal(x[:, 0, 1], y[:, 0, 1])
        assert (x[:, 0, 2] != y[:, 0, 2]).any()
        beside_text = any("text" in key for key in losses if key.startswith("con_"))
        assert (positives is not None) == beside_text
        assert not beside_text or torch.equal(positives, x[:, 0, 0][:, None] == x[:, 0, 0][None])


def test_the_environment_of_joint_is_at_the_time_of_the_stream_or_ahead(monkeypatch):
    _, calls, _ = joint_calls(monkeypatch, p_own=0.0)
    same = []
    for call in (call for pair in calls for call in pair.values()):
        rows = call.env[..., 3].any(dim=1)
        seen, t = call.env[rows][..., 2].amax(dim=1) - 1, call.t[rows]  # all tokens of a row are of one time
        assert (seen <= t).all()
        same += (seen == t).tolist()
    assert 0.4 < sum(same) / len(same) < 0.65  # p_ahead of them are ahead


def test_a_stream_that_is_shown_itself_is_shown_nothing_cleaner_than_it_is(monkeypatch):
    _, calls, _ = joint_calls(monkeypatch, p_own=1.0)
    for name, call in ((name, call) for pair in calls for name, call in pair.items()):
        rows = call.env[..., 3].any(dim=1)
        assert (call.env[rows][..., 1].amax(dim=1) == NAMES.index(name) + 1).all()
        assert torch.equal(call.env[rows][..., 2].amax(dim=1) - 1, call.t[rows].double())


@pytest.mark.parametrize("name", NAMES)
def test_beside_trains_by_turns_alone_and_with_the_other_stream_in_sight(name):
    run = numbered_run(batch=40)
    beside.train_beside(run, name)
    net, partners = run.model.modalities[name].denoiser, set()
    for i in range(16):
        net.calls.clear()
        losses = steps_at(run, f"beside-{name}", i)
        (call,) = net.calls
        assert losses["loss"].item() < 1e-9
        assert_condition_is_of_the_sample(call)
        assert (call.env is not None) == (i % 2 == 1)
        if call.env is not None:
            (cross,) = set(losses) - {"loss"}
            assert losses[cross] is losses["loss"]
            pair = set(cross.removeprefix("cross_").split("-"))
            assert_tokens_are_of_the_sample(call.env, call.number, pair)
            partners |= pair - {name}
    assert partners == {m for pair in streams.TURNS[f"beside-{name}"] for m in pair} - {name}
    net.off = 2.0
    assert [steps_at(run, f"beside-{name}", i)["loss"].item() for i in (0, 1)] == pytest.approx([4.0, 4.0])
    others = [run.model.modalities[m].denoiser for m in NAMES if m != name]
    assert run.fitted[f"beside-{name}"].modules is net and not any(other.calls for other in others)


def steps_at(run, stage: str, i: int):
    return run.fitted[stage].step(i, torch.Generator().manual_seed(i))


# ---- autoencoders


class Autoencoder(torch.nn.Module):
    """Remembers what it was given; its latents have the mean 0 and twice the unit deviation."""

    latent_shape = (3,)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.scale_factor, self.given, self.fitted = torch.full((), 9.0), [], None

    def loss(self, x, noise):
        self.given.append((x, noise))
        return {"loss": self.weight}

    def encode(self, x):
        assert self.scale_factor == 1  # the scale is measured on unscaled latents
        return x[:, None].expand(-1, 3)

    def fit_scale(self, z):
        self.fitted = z


def test_an_autoencoder_gets_noise_of_its_own_for_every_sample_and_then_its_scale():
    run, ae = numbered_run(batch=24), Autoencoder()
    run.model.modalities["image"].autoencoder = ae

    def draw(run, n, generator):
        return torch.randn(n, generator=generator)

    autoencoders.train_autoencoder(run, "image", draw_batch=draw)
    assert ae.fitted.shape == (512, 3) and len(ae.fitted.unique()) == 512
    assert steps(run, "autoencoder-image", 2)[0]["loss"] is ae.weight
    (x, noise), (next_x, next_noise) = ae.given
    assert noise.shape == (24, 3) and len(noise.unique()) == 72
    assert not torch.equal(x, next_x) and not torch.equal(noise, next_noise)


@pytest.mark.parametrize(("n", "clips"), [(64, 4), (24, 2), (8, 1), (5, 1), (1, 0)])
def test_half_of_the_stills_are_frames_evenly_from_all_clips(monkeypatch, n, clips):
    def draw(run, name, n, generator):
        if name == "image":
            return -torch.ones(n, 1, 1, 1)
        return torch.arange(8.0 * n).reshape(n, 8, 1, 1, 1)  # frames have their number

    monkeypatch.setattr(autoencoders, "draw", draw)
    stills = autoencoders.draw_stills(numbered_run(), n, torch.Generator()).flatten()
    frames = stills[stills >= 0]
    assert len(stills) == n and len(frames) == n // 2 == len(frames.unique())
    assert set((frames // 8).tolist()) == set(range(clips))
    gaps = frames.diff()
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_the_vocoder_learns_each_sound_from_its_own_spectrogram(monkeypatch):
    run = numbered_run(batch=24)
    ae = SimpleNamespace(
        mel=lambda x: 10 * x, encode=lambda x: 100 * x, decode_mel=lambda z: z / 10 + 0.1, vocoder=lambda mel: mel / 10
    )
    run.model.modalities["audio"].autoencoder = ae
    run.config.train.stages["vocoder"] = run.config.train.stages["autoencoder-audio"]
    monkeypatch.setattr(autoencoders, "draw", lambda run, name, n, g: torch.randn(n, generator=g))
    calls = []
    monkeypatch.setattr(autoencoders, "vocoder_loss", lambda *args: calls.append(args) or {"loss": torch.ones(())})
    monkeypatch.setattr(ranks, "ranks", lambda: 5)  # four of them draw five of the 24 samples, and one draws four
    autoencoders.train_vocoder(run)
    assert steps(run, "vocoder", 4)[0]["loss"] == pytest.approx(25 / 24)
    for i, (x, x_hat) in enumerate(calls):
        torch.testing.assert_close(x_hat, x + 0.01 * (i % 2))  # its own, and by turns what the decoder makes of it


# ---- the wiring


def test_wirings_hand_out_tokens_of_the_right_streams():
    numbers = torch.arange(4)
    t = torch.full((4,), 500)
    z0 = numbered.latents(numbers)
    z_t = numbered.SCHEDULE.alpha_sigma(t, z0)[0] * z0
    made = {m: numbered.Environment(m)(z_t, t) for m in NAMES}
    for name, (env, _) in wire(made, "others").items():
        assert_tokens_are_of_the_sample(env, numbers, set(NAMES) - {name})
        assert {NAMES[int(m) - 1] for m in env[..., 1].unique()} == set(NAMES) - {name}
        clocks = [numbered.TIMES[m] for m in NAMES if m != name]
        assert env.shape[1] == 3 * SUMMARY + sum(clocks)
    for name, (env, _) in wire(made, "own").items():
        assert {NAMES[int(m) - 1] for m in env[..., 1].unique()} == {name}
