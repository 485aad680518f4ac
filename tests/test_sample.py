"""The paper's joint loop: all streams at the same t, and every V_B(z_t^B) before any stream moves."""

import pytest
import torch

from codi_minimal.alignment import Environment, wire
from codi_minimal.diffusion import make_sampler
from codi_minimal.recipe import Recipe
from codi_minimal.recipes import PAPER
from codi_minimal.sample import denoise, joint_sample, make_samplers
from tests.models import NAMES, random_codi
from tests.streams import calls, shared, stream

TIMES = [999, 666, 332]


def test_a_stream_goes_through_its_timesteps_and_is_then_at_zero():
    one, seen = stream(steps=2), []
    for _ in range(2):
        assert not one.done
        seen.append(one.t.tolist())
        one.step(None, None)
    assert [*seen, one.t.tolist()] == [[999, 999], [499, 499], [0, 0]] and one.done


def test_its_tokens_are_of_its_present_latents_and_time():
    one = stream()
    for t in (999, 749):
        assert torch.equal(one.tokens(), one.modality.environment(one.z, torch.tensor([t, t])))
        one.step(None, None)


def test_a_step_is_the_samplers_step_of_the_networks_output():
    one, c, env = stream(), torch.randn(2, random_codi().config.model.d), Environment.of([stream("text").tokens()])
    output = one.modality.denoiser(one.z, torch.tensor([999, 999]), c, env)
    expected, _ = one.sampler.step(0, one.z, output)
    one.step(c, env)
    assert torch.equal(one.z, expected)


def test_a_multistep_sampler_is_given_the_state_of_the_step_before():
    one, alone = (stream(sampler="dpm-solver++") for _ in range(2))
    z, state = alone.z, None
    for i, t in enumerate(alone.sampler.timesteps):
        output = alone.modality.denoiser(z, torch.full((2,), t), None, None)
        z, state = alone.sampler.step(i, z, output, None, state)
        one.step(None, None)
    assert torch.equal(one.z, z)


def test_stochastic_samplers_draw_from_the_generators_of_their_own_samples():
    one, same, other = (stream(sampler="ddpm", seed=seed) for seed in (0, 0, 5))
    other.z = one.z
    for each in (one, same, other):
        each.step(None, None)
    assert torch.equal(one.z, same.z) and not torch.equal(one.z, other.z)
    first = stream(sampler="ddpm")  # its first sample by itself
    first.z, first.generators = first.z[:1], first.generators[:1]
    first.step(None, None)
    torch.testing.assert_close(first.z, one.z[:1], rtol=1e-4, atol=1e-5)


def test_all_streams_are_at_the_same_t_and_every_v_is_computed_before_any_stream_moves():
    streams = {name: stream(name, 3) for name in NAMES}
    seen = calls(streams, lambda: joint_sample(shared(), streams))
    expected = [[(what, name, t) for what in ("V", "net") for name in NAMES] for t in TIMES]
    assert seen == [call for step in expected for call in step]
    assert all(s.done and s.z.isfinite().all() for s in streams.values())


def test_a_network_that_predicts_epsilon_is_clipped_and_one_that_predicts_v_is_not():
    for prediction, clip in (("epsilon", 4.0), ("v", None)):
        made = make_samplers(PAPER, random_codi().schedule, prediction, {"image": 3, "video": 2}, "ddim")
        assert [(s.clip, len(s.timesteps)) for s in made.values()] == [(clip, 3), (clip, 2)]


def test_latents_that_leave_all_bounds_are_refused_if_only_one_sample_does():
    for bad in (2e4, float("nan")):
        streams = {"image": stream(steps=1)}
        streams["image"].net = lambda z, *_, bad=bad: torch.stack([0 * z[0], 0 * z[1] + bad])
        with pytest.raises(ValueError, match="image: expected latents within ±10,000"):
            denoise(shared(), streams)


def test_a_step_is_the_equation():
    streams, other = ({name: stream(name, 3) for name in ("image", "audio", "text")} for _ in range(2))
    c = torch.randn(2, random_codi().config.model.d)
    joint = shared()
    joint.cond, joint.tokens = c, [torch.randn(2, 3, random_codi().config.model.d_env)]
    joint_sample(joint, streams)
    for i, t in enumerate(TIMES):
        at = torch.full((2,), t)
        v = {name: s.modality.environment(s.z, at) for name, s in other.items()}
        for name, s in other.items():
            env = Environment.of([*(v[b] for b in sorted(v) if b != name), *joint.tokens])
            s.z, s.state = s.sampler.step(i, s.z, s.net(s.z, at, c, env), None, s.state)
    for name, s in streams.items():
        torch.testing.assert_close(s.z, other[name].z, rtol=1e-4, atol=1e-5)


def test_a_shift_gives_a_modality_other_times_at_the_same_steps():
    model, seen = random_codi(), {"image": [], "video": []}
    recipe = Recipe(sampler="ddim", steps=3, guidance=1.0, shift={"video": 2.0})
    hooks = [
        model.modalities[name].denoiser.register_forward_pre_hook(lambda _, x, times=times: times.append(int(x[1][0])))
        for name, times in seen.items()
    ]
    model.generate_latents(outputs=tuple(seen), recipe=recipe)
    for hook in hooks:
        hook.remove()
    shifted = make_sampler("ddim", model.schedule, 3, shift=2.0).timesteps
    assert seen == {"image": TIMES, "video": shifted} and shifted[1] > TIMES[1]


def test_streams_with_different_steps_are_refused():
    streams = {"image": stream("image", 2), "audio": stream("audio", 3)}
    with pytest.raises(ValueError, match=r"steps: expected the same number for all outputs, got \[2, 3\]"):
        joint_sample(shared(), streams)
    assert not any(s.taken for s in streams.values())


def test_streams_with_as_many_steps_at_other_times_are_refused():
    streams = {"image": stream("image", 4, "ddpm"), "audio": stream("audio", 4, "restart")}
    with pytest.raises(ValueError, match="steps: expected the same"):
        joint_sample(shared(), streams)
    assert not any(s.taken for s in streams.values())


def test_no_v_is_computed_for_a_single_stream():
    streams = {"image": stream()}
    assert all(what == "net" for what, *_ in calls(streams, lambda: joint_sample(shared(), streams)))


@pytest.mark.parametrize("wiring", ["others", "own", "pooled", "off", {"image": ("audio",)}])
def test_the_recipe_says_which_streams_see_each_other(wiring, monkeypatch):
    given = []

    def recorded(tokens, how, prompts):
        given.append((dict(tokens), how, list(prompts)))
        return wire(tokens, how, prompts)

    monkeypatch.setattr("codi_minimal.sample.wire", recorded)
    streams = {name: stream(name, 1) for name in ("image", "audio")}
    v = {name: s.tokens() for name, s in streams.items()}
    joint_sample(shared(wiring=wiring), streams)
    ((tokens, how, prompts),) = given
    assert how == wiring and not prompts and all(torch.equal(tokens[name], v[name]) for name in v)


def test_autocast_runs_the_network_in_bfloat16_and_the_sampler_in_float32():
    exact, near = stream(), stream()
    exact.step(None, None)
    near.step(None, None, "bf16")
    error = (near.z - exact.z).abs().max()
    assert near.z.dtype == torch.float32 and 0 < error < 0.2
    streams = {"image": stream()}
    joint_sample(shared(autocast="bf16"), streams)
    plain = {"image": stream()}
    joint_sample(shared(), plain)
    assert not torch.equal(streams["image"].z, plain["image"].z)


def test_the_sampler_computes_in_float32_what_the_network_said_in_bfloat16():
    one = stream(steps=20)
    one.taken = 10
    output = one.modality.denoiser(one.z, one.t, None, None).bfloat16()
    expected, _ = one.sampler.step(10, one.z, output.float())
    assert not torch.equal(one.sampler.step(10, one.z, output)[0], expected)  # bfloat16 times a number is rounded
    one.net = lambda *_: output
    one.step(None, None)
    assert torch.equal(one.z, expected)


def test_the_paper_uses_no_addition_and_generate_runs_its_loop(monkeypatch):
    assert PAPER.additions == () and PAPER.wiring == "others"
    groups = []
    monkeypatch.setattr("codi_minimal.sample.joint_sample", lambda joint, group: groups.append(list(group)))
    for joint in (True, False):
        random_codi().generate_latents({}, ("image", "audio"), steps=1, recipe="paper", joint=joint)
    assert groups == [["image", "audio"], ["image"], ["audio"]]


def test_without_a_bar_no_thread_of_its_own_is_started(monkeypatch):
    monkeypatch.setattr("codi_minimal.sample.tqdm", lambda *a, **k: pytest.fail("tqdm starts a thread"))
    for recipe in ("paper", "shipped"):
        random_codi().generate(outputs=("text",), steps=1, recipe=recipe)
    monkeypatch.setattr("codi_minimal.sample.tqdm", lambda steps, **k: shown.extend(steps) or steps)
    shown: list[int] = []
    random_codi().generate(outputs=("text",), steps=3, recipe="paper", progress=True)
    assert len(shown) == 3
