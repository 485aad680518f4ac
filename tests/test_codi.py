"""CoDi's contract with its callers (a tiny model, random weights)."""

import copy
from itertools import combinations

import pytest
import torch

from codi_minimal import CoDi
from tests.models import AUDIO, IMAGE, NAMES, PROMPTS, VIDEO, random_codi

SUBSETS = [s for n in range(1, 5) for s in combinations(NAMES, n)]
FAST = {"steps": 2, "guidance": 2.0}


def latents(**settings) -> dict[str, torch.Tensor]:
    return random_codi().generate(**{**FAST, "decode": False, **settings})


def test_a_prompt_is_part_of_the_environment_unless_it_is_not_wanted_or_weighs_nothing():
    def video(**settings):
        return latents(prompts=prompts, outputs=("video",), **settings)["video"]

    prompts = {"text": "seven", "audio": AUDIO}
    only_text = {"text": 1.0, "audio": 0.0}
    assert not torch.equal(video(), video(prompt_streams=False))
    without = video(weights=only_text)
    prompts = {"text": "seven"}
    torch.testing.assert_close(video(), without, rtol=1e-4, atol=1e-5)


def test_prompts_of_a_batch_are_seen_by_their_own_samples():
    settings = {"outputs": ("video",), "noise": {"video": torch.randn(1, 8, 4, 8, 8).expand(4, -1, -1, -1, -1)}}
    both = latents(prompts={"audio": torch.stack([AUDIO, -AUDIO.flip(0)])}, num_samples=2, **settings)["video"]
    one = latents(prompts={"audio": AUDIO}, num_samples=4, **settings)["video"]
    torch.testing.assert_close(both[:2], one[:2], rtol=1e-4, atol=1e-5)
    assert (both[2:] - one[2:]).abs().max() > 1e-4


def test_every_subset_in_gives_every_output_and_more_outputs_include_fewer():
    for prompts in [(), *SUBSETS]:
        out = random_codi().generate({name: PROMPTS[name] for name in prompts}, NAMES, steps=1)
        assert out["image"].shape == (1, 3, 32, 32) and out["image"].min() >= 0 and out["image"].max() <= 1
        assert out["video"].shape == (1, 8, 3, 32, 32) and out["video"].min() >= 0 and out["video"].max() <= 1
        assert out["audio"].shape == (1, 8192) and out["audio"].abs().max() <= 1
        assert len(out["text"]) == 1 and isinstance(out["text"][0], str)


@pytest.mark.parametrize("outputs", SUBSETS)
def test_every_subset_out(outputs):
    assert list(latents(prompts={"text": "seven"}, outputs=outputs)) == list(outputs)


def test_jointly_generated_streams_see_each_other_and_only_then():
    noise = torch.randn(1, 8, 8, 8)

    def image(**settings):
        return latents(outputs=("image", "audio"), steps=4, stagger=0.5, **settings)["image"]  # audio starts half-way

    cases = [({}, True), ({"wiring": "pooled"}, True)]
    cases += [({"wiring": {"image": ("audio",)}}, True), ({"wiring": {"audio": ("image",)}}, False)]
    cases += [({"wiring": "own"}, False), ({"wiring": "off"}, False), ({"joint": False}, False)]
    for settings, listens in cases:
        same = torch.equal(image(**settings), image(noise={"audio": noise}, **settings))
        assert same != listens, settings


def test_text_is_a_silent_bridge_where_nothing_is_prompted():
    pair = {"outputs": ("image", "audio"), "steps": 4}
    straight, bridged = latents(**pair, bridge=False), latents(**pair)
    beside = latents(**{**pair, "outputs": ("text", "image", "audio")})
    assert set(bridged) == {"image", "audio"}
    assert all(torch.equal(bridged[name], beside[name]) for name in bridged)
    assert not any(torch.equal(bridged[name], straight[name]) for name in bridged)
    cases = [{"joint": False}, {"wiring": "own"}, {"outputs": ("image",)}, {"prompts": {"text": "seven"}}]
    for settings in cases:  # nobody to listen, or something to go by
        one, other = (latents(**{**pair, **settings}, **more)["image"] for more in ({}, {"bridge": False}))
        assert torch.equal(one, other), settings
    prompted = {**pair, "prompts": {"text": "seven"}}
    assert not torch.equal(latents(**prompted)["image"], latents(**prompted, bridge=True)["image"])


def test_the_bridge_takes_what_each_output_is_given_or_its_own():
    calls = []
    handle = random_codi().modalities["text"].denoiser.register_forward_hook(lambda *_: calls.append(1))
    pair = {"outputs": ("image", "audio"), "guidance": 1.0}
    for steps, taken in ((3, 3), ({"image": 2, "audio": 2}, random_codi().modalities["text"].steps)):
        calls.clear()
        latents(**pair, steps=steps)
        assert len(calls) == taken
    handle.remove()


def test_a_stream_that_has_not_started_is_absent():
    noise = torch.randn(1, 8, 8, 8)
    settings = {"outputs": ("image", "audio"), "steps": 3, "stagger": 1.0}
    early, again = (latents(**settings, **more)["image"] for more in ({}, {"noise": {"audio": noise}}))
    assert torch.equal(early, again)  # the image is done before the audio takes a step


def test_of_prompts_only_the_clock_is_part_of_the_environment():
    model = random_codi()
    tokens = model._prompt_tokens({"text": "seven", "image": IMAGE, "audio": torch.stack([AUDIO] * 2)}, {})
    (audio,) = tokens  # the others have no clock
    summary = model.modalities["audio"].environment.summary
    assert audio.shape == (2, summary + 8, model.config.model.d_env)
    assert not audio[:, :summary].any() and audio[:, summary:].abs().sum(-1).all()
    assert model._prompt_tokens({"audio": AUDIO}, {"audio": 0.0}) == []


def test_one_output_more_leaves_the_noise_of_the_others_alone():
    alone = latents(outputs=("image",))
    torch.testing.assert_close(
        alone["image"], latents(outputs=("image", "video"), joint=False)["image"], rtol=1e-4, atol=1e-5
    )
    assert not torch.equal(alone["image"], latents(outputs=("image",), seed=1)["image"])


def test_the_order_of_outputs_does_not_matter():
    one, other = latents(outputs=NAMES), latents(outputs=NAMES[::-1])
    assert all(torch.equal(one[name], other[name]) for name in NAMES)


def test_the_same_seed_is_the_same_sample_and_given_noise_is_used():
    assert torch.equal(latents(outputs=("image",))["image"], latents(outputs="image")["image"])
    z_T = torch.randn(2, 4, 8, 8)
    out = latents(outputs=("image",), noise={"image": z_T}, num_samples=2)["image"]
    assert torch.equal(out, latents(outputs=("image",), noise={"image": z_T}, num_samples=2, seed=9)["image"])


def test_streams_start_one_after_the_other_the_smallest_first():
    nets = {name: random_codi().modalities[name].denoiser for name in ("text", "image")}
    calls: list[tuple[str, int]] = []
    handles = [
        net.register_forward_hook(lambda _m, args, _o, name=name: calls.append((name[0], int(args[1][0]))))
        for name, net in nets.items()
    ]
    for stagger in (0.0, 0.5, 1.0):
        latents(outputs=("image", "text"), steps=4, guidance=1, stagger=stagger)
    for handle in handles:
        handle.remove()
    assert ["".join(name for name, _ in calls[i : i + 8]) for i in (0, 8, 16)] == ["itititit", "ttititii", "ttttiiii"]
    assert [t for name, t in calls[16:] if name == "i"] == [999, 749, 499, 249]


def test_what_has_arrived_is_seen_at_time_zero():
    seen = []
    environment = random_codi().modalities["text"].environment
    handle = environment.register_forward_hook(lambda _m, args, _o: seen.append(int(args[1][0])))
    latents(outputs=("image", "text"), steps=2, stagger=1.0, arrivals=False)
    assert seen == [0]  # nobody listens before, and it does not change any more
    latents(outputs=("image", "text"), steps=2, stagger=1.0)
    handle.remove()
    assert seen == [0, 0]  # as of a prompt, which it is then


def test_a_stream_that_has_arrived_is_a_prompt_for_those_under_way():
    model, seen = random_codi(), []
    handle = model.modalities["audio"].denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[2]))
    pair = {"outputs": ("image", "audio"), "steps": 2, "stagger": 1.0, "guidance": 1.0}
    image = model.generate({"text": "seven"}, **pair)["image"]
    text, said = model.condition({"text": "seven"}), model.condition({"image": image})
    expected = torch.nn.functional.normalize(text + said, dim=-1)
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-5)
    for unheard in ({"arrivals": False}, {"stagger": 0.0}, {"wiring": "pooled"}, {"joint": False}):
        seen.clear()
        model.generate({"text": "seven"}, **{**pair, **unheard})
        torch.testing.assert_close(seen[-1], text, msg=str(unheard))
    handle.remove()


def test_what_cannot_be_a_prompt_says_nothing(monkeypatch):
    model, seen = copy.deepcopy(random_codi()), []
    captions = ["seven", "", "six " * 13]
    monkeypatch.setattr(model.modalities["text"].autoencoder, "decode", lambda z: captions)
    handle = model.modalities["image"].denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[2]))
    model.generate({}, ("text", "image"), num_samples=3, steps=1, stagger=1.0, guidance=1.0)
    handle.remove()
    (cond,) = seen
    torch.testing.assert_close(cond[:1], model.condition({"text": "seven"}))
    assert not cond[1:].any()


def test_condition_is_the_weighted_sum_of_the_prompts():
    model = random_codi()
    c = {name: model.encode_prompt(name, PROMPTS[name]) for name in NAMES}
    torch.testing.assert_close(model.condition({"text": "a red seven", "audio": AUDIO}), (c["text"] + c["audio"]) / 2)
    mixed = model.condition({"text": "a red seven", "image": IMAGE}, {"text": 3.0, "image": 1.0})
    torch.testing.assert_close(mixed, 0.75 * c["text"] + 0.25 * c["image"])
    two = model.condition({"text": [["a red seven"], ["seven"]], "video": VIDEO})
    torch.testing.assert_close(two, c["text"] / 4 + model.encode_prompt("text", "seven") / 4 + c["video"] / 2)
    assert model.condition({}) is None


def test_each_prompt_is_said_in_captions_before_they_are_mixed():
    model = copy.deepcopy(random_codi())
    model.memory.fit(model.encode_prompt("text", ["seven", "a red two"]))
    said = [model.memory(model.encode_prompt(name, PROMPTS[name])) for name in ("image", "audio")]
    c = model.condition({"image": IMAGE, "audio": AUDIO})
    torch.testing.assert_close(c, (said[0] + said[1]) / 2)
    assert (c - random_codi().condition({"image": IMAGE, "audio": AUDIO})).abs().max() > 1e-3


def test_a_mixture_is_brought_to_unit_length_before_it_is_followed():
    prompts, seen = {"text": [["a red seven"], ["two"]], "audio": AUDIO}, []
    model = random_codi()
    denoiser = model.modalities["image"].denoiser
    handle = denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[2]))
    model.generate(prompts, ("image",), steps=2, guidance=2.0)
    handle.remove()
    first, (nothing, cond) = seen  # the first step is not guided
    assert len(first) == 1
    c = model.condition(prompts)[0]
    assert not nothing.any() and c.norm() < 0.99
    torch.testing.assert_close(cond, c / c.norm())


def test_batches_are_broadcast_and_repeated():
    texts = ["seven", "a red two", "eight"]
    out = latents(prompts={"text": texts, "image": IMAGE}, outputs=("image",), num_samples=2)["image"]
    assert out.shape == (6, 4, 8, 8)
    one = latents(prompts={"text": texts[1:2], "image": IMAGE}, outputs=("image",), num_samples=1,
                  noise={"image": torch.ones(1, 4, 8, 8)})["image"]  # fmt: skip
    all_ = latents(prompts={"text": texts, "image": IMAGE}, outputs=("image",), num_samples=2,
                   noise={"image": torch.ones(6, 4, 8, 8)})["image"]  # fmt: skip
    torch.testing.assert_close(all_[2:4], one.expand(2, -1, -1, -1), rtol=1e-4, atol=1e-5)


def test_guidance_one_is_one_forward_and_a_dict_gives_one_per_output(monkeypatch):
    calls = []
    net = random_codi().modalities["image"].denoiser
    handle = net.register_forward_hook(lambda _m, args, _o: calls.append(len(args[0])))
    latents(
        prompts={"text": "seven"},
        outputs=("image", "text"),
        guidance={"image": 1, "text": 5},
        steps={"image": 3, "text": 7},
    )
    handle.remove()
    assert calls == [1, 1, 1]
    with pytest.raises(ValueError, match="guidance: expected a value for each output, got none for"):
        latents(outputs=("image", "text"), guidance={"image": 1})


def test_where_nothing_is_asked_for_modalities_name_guidance_and_steps():
    modalities, outputs = random_codi().modalities, ("text", "video")
    owns = {"guidance": "guidance_beside", "guidance_start": "guidance_start", "steps": "steps"}
    named = {what: {name: getattr(modalities[name], own) for name in outputs} for what, own in owns.items()}
    assert all(named[what]["text"] != named[what]["video"] for what in named)
    z, same = (latents(prompts={"text": "seven"}, outputs=outputs, **how) for how in (dict.fromkeys(named), named))
    assert all(torch.equal(z[name], same[name]) for name in outputs)


def test_guidance_starts_and_ends_where_it_is_told():
    pair = {"prompts": {"text": "seven"}, "outputs": ("image",), "steps": 4}
    z, never, at_once = (latents(**pair, guidance=4, guidance_start=start)["image"] for start in (0.5, 0, 1))
    plain, ended = latents(**pair, guidance=1)["image"], latents(**pair, guidance=4, guidance_until=1)["image"]
    assert torch.equal(never, plain) and torch.equal(ended, plain)
    assert not torch.equal(z, plain) and not torch.equal(z, at_once)


@pytest.mark.parametrize(
    ("prompts", "outputs", "how", "own"),
    [
        ({"text": "seven"}, ("audio",), {}, "guidance"),
        ({"image": IMAGE}, ("audio",), {}, "guidance"),
        ({"text": "seven"}, ("audio", "image"), {"joint": False}, "guidance"),
        ({"text": "seven"}, ("audio", "image"), {"wiring": "off"}, "guidance"),
        ({"text": "seven"}, ("audio", "image"), {}, "guidance_beside"),
        ({"audio": AUDIO}, ("audio",), {}, "guidance_beside"),  # its clock is heard
        ({"audio": AUDIO}, ("audio",), {"prompt_streams": False}, "guidance"),
    ],
)
def test_guidance_is_another_where_there_is_an_environment(prompts, outputs, how, own):
    modalities = random_codi().modalities
    assert all(modalities[name].guidance != modalities[name].guidance_beside for name in outputs)
    named = {name: getattr(modalities[name], own) for name in outputs}
    z, same = (latents(prompts=prompts, outputs=outputs, guidance=g, **how) for g in (None, named))
    assert all(torch.equal(z[name], same[name]) for name in outputs)


@pytest.mark.parametrize("prompts", [{}, {"text": "seven"}])
def test_guidance_amplifies_for_captions_the_prompt_alone(prompts):
    pair = {"outputs": ("text", "image"), "steps": 4, "stagger": 0.5, "prompts": prompts}
    own = {"text": "with", "image": "drop"}
    z, same, differs = (latents(**pair, env_guidance=how)["text"] for how in (None, own, "drop"))
    assert torch.equal(z, same) and not torch.equal(z, differs)
    with pytest.raises(ValueError, match="env_guidance: expected a value for each output, got none for"):
        latents(**pair, env_guidance={"text": "with"})


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++"])
def test_samplers_are_repeatable_and_finite(sampler):
    z = latents(outputs=("image", "text"), sampler=sampler, steps=4)
    assert all(torch.isfinite(x).all() for x in z.values())
    assert torch.equal(z["image"], latents(outputs=("image", "text"), sampler=sampler, steps=4)["image"])


def test_in_bfloat16_it_is_nearly_the_same():
    exact, near = (latents(outputs=("image", "text"), autocast=how) for how in (None, "bf16"))
    for name, z in near.items():
        error = (z - exact[name]).std() / exact[name].std()
        assert z.dtype == torch.float32 and 0 < error < 0.05


def test_saved_and_loaded_it_is_the_same_model(tmp_path):
    random_codi().save_pretrained(tmp_path)
    model = CoDi.from_pretrained(tmp_path, device="cpu")
    out = model.generate({"image": IMAGE}, NAMES, **FAST, decode=False)
    expected = latents(prompts={"image": IMAGE}, outputs=NAMES)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": {"smell": "roses"}}, "expected a modality out of text, image, audio, video, got 'smell'"),
        ({"outputs": ()}, "outputs: expected at least one modality"),
        ({"outputs": ("image", "image")}, "each modality once"),
        ({"outputs": ("taste",)}, "expected a modality out of"),
        ({"prompts": {"text": ""}}, "text: expected some words, got an empty text"),
        ({"prompts": {"text": []}}, "text: expected"),
        ({"prompts": {"text": "xyzzy plugh"}}, "known word"),
        ({"prompts": {"text": "one " * 13}}, "12 words"),
        (
            {"prompts": {"image": torch.zeros(3, 16, 16)}},
            r"image: expected a float tensor \(b, 3, 32, 32\).*got shape \(3, 16, 16\)",
        ),
        ({"prompts": {"image": torch.full((3, 32, 32), 2.0)}}, r"image: .*in \[0, 1\], got values in \[2, 2\]"),
        ({"prompts": {"image": torch.full((3, 32, 32), float("nan"))}}, "image: .*NaN"),
        ({"prompts": {"audio": torch.zeros(8192, dtype=torch.long)}}, "audio: .*type torch.int64"),
        ({"prompts": {"audio": "me.wav"}}, "audio: .*got str"),
        ({"prompts": {"text": "seven"}, "weights": {"image": 1.0}}, "weights only for prompts"),
        (
            {"prompts": {"text": "seven"}, "weights": {"text": -1.0}},
            "weights: text: expected a finite number of at least 0, got -1.0",
        ),
        ({"prompts": {"text": ["one", "two"], "image": torch.zeros(3, 3, 32, 32)}}, "expected"),
        ({"steps": 0}, "steps"),
        ({"sampler": "magic"}, "sampler: expected one of"),
        ({"wiring": "all"}, "wiring"),
        ({"wiring": {"image": "audio"}}, "wiring: expected a sequence of names for each stream, got"),
        ({"wiring": {"image": ("smell",)}}, "expected a modality out of .*, got 'smell'"),
        ({"stagger": 2.0}, r"stagger: expected a number in \[0, 1\], got 2.0"),
        ({"guidance_until": -0.1}, r"guidance_until: expected a number in \[0, 1\], got -0.1"),
        ({"guidance_start": {"image": 2.0}}, r"guidance_start: expected a number in \[0, 1\], got 2.0"),
        ({"guidance": float("nan")}, "guidance"),
        ({"autocast": "fp8"}, "autocast: expected None or 'bf16', got 'fp8'"),
        ({"num_samples": 0}, "num_samples: expected an integer from 1 to 2..63 - 1, got 0"),
        ({"num_samples": True}, "num_samples: expected an integer from 1 to 2..63 - 1, got True"),
        ({"seed": None}, "seed: expected an integer from 0 to 2..63 - 1, got None"),
        ({"seed": 1.5}, "seed: expected an integer from 0 to 2..63 - 1, got 1.5"),
        ({"guidance": "3"}, "guidance: expected a finite number, got '3'"),
        ({"guidance": {"image": 3, "imgae": 4}}, r"guidance: expected values for image, got one for \['imgae'\]"),
        ({"stagger": None}, r"stagger: expected a number in \[0, 1\], got None"),
        ({"noise": {"audio": torch.zeros(1, 8, 8, 8)}}, "noise: expected latents only for outputs"),
        ({"noise": {"image": torch.zeros(2, 4, 8, 8)}}, r"noise: expected \(1, 4, 8, 8\) for image"),
        ({"noise": {"image": torch.full((1, 4, 8, 8), float("nan"))}}, "noise: .* for image, got NaN"),
        ({"noise": {"image": [0.0]}}, "noise: .* for image, a float tensor, got list"),
    ],
)
def test_bad_input_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        latents(**settings)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected"):
        CoDi.from_pretrained(tmp_path / "nowhere")
    random_codi().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.safetensors"):
        CoDi.from_pretrained(tmp_path)
    weights.unlink()
    torch.save({"evil": 1}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="safetensors"):
        CoDi.from_pretrained(tmp_path)
