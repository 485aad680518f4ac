import copy
import math
import warnings

import pytest
import torch
import torchaudio
from torch.nn import functional as F

from codi_minimal.prompts import (
    AudioPromptEncoder,
    ImagePromptEncoder,
    Temperature,
    TextPromptEncoder,
    VideoPromptEncoder,
    clip_loss,
)
from codi_minimal.tokenizer import WordTokenizer

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
COLOURS = ["red", "green", "blue", "cyan"]
WORDS = ["a", *COLOURS, *DIGITS, "left", "right"]
CAPTIONS = [f"a {COLOURS[i % 4]} {DIGITS[i // 4]}" for i in range(16)]  # 16 distinct captions


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def waves(b, seed=0):
    """Item i: a burst whose pitch and sweep depend on i, at sample 2000, in silence."""
    time = torch.arange(3000) / 8000
    out = 0.002 * (2 * noise(b, 8192, seed=seed) - 1)
    for i in range(b):
        pitch = 200 * 1.15**i
        sweep = pitch * (1 + (0.5 if i % 2 else -0.3) * time)
        envelope = 0.5 * torch.sin(math.pi * time / time[-1])
        out[i, 2000:5000] += envelope * torch.sin(2 * math.pi * sweep * time)
    return out


def clips(b, seed=0):
    """Item i: a square in row 2 + i that goes right, or left if i is odd."""
    out = torch.zeros(b, 8, 3, 32, 32)
    for i in range(b):
        for f in range(8):
            x = 3 * f if i % 2 == 0 else 21 - 3 * f
            out[i, f, i % 3, i : i + 10, x : x + 10] = 1
    return out


CASES = {
    "text": (lambda: TextPromptEncoder(WordTokenizer(WORDS), d=32, width=32), lambda b: CAPTIONS[:b]),
    "image": (lambda: ImagePromptEncoder(d=32, width=8), lambda b: noise(b, 3, 32, 32)),
    "audio": (lambda: AudioPromptEncoder(d=32, width=8), waves),
    "video": (lambda: VideoPromptEncoder(d=32, width=8), clips),
}


def built(name, seed=0):
    torch.manual_seed(seed)
    return CASES[name][0]().eval()


def awake(encoder):
    """Residual branches start at zero; with small numbers instead, every path carries something."""
    for parameter in encoder.parameters():
        if not parameter.any():
            parameter.data = 0.1 * torch.randn(parameter.shape)
    return encoder


@pytest.fixture(params=CASES)
def name(request):
    return request.param


def test_embeddings_have_unit_norm_and_do_not_depend_on_the_batch(name):
    # in float64: the logarithm of near-silence magnifies the FFT's rounding, which is not what is asked here
    encoder, data = built(name).double(), CASES[name][1](4)
    data = data.double() if isinstance(data, torch.Tensor) and data.is_floating_point() else data
    with torch.no_grad():
        together = encoder(data)
        alone = torch.cat([encoder(data[i : i + 1]) for i in range(4)])
    assert together.shape == (4, 32)
    assert torch.allclose(together.norm(dim=-1), torch.ones(4, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(together, alone, atol=1e-5)
    assert (together[0] - together[1]).norm() > 1e-3


def test_the_same_seed_gives_the_same_encoder(name):
    data = CASES[name][1](2)
    with torch.no_grad():
        assert torch.equal(built(name)(data), built(name)(data))
        assert not torch.equal(built(name)(data), built(name, seed=1)(data))


def test_a_state_dict_restores_it(name):
    encoder, other, data = built(name), built(name, seed=1), CASES[name][1](2)
    other.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert torch.equal(encoder(data), other(data))


def fit(name, steps, train=False, seed=0):
    """Trains an encoder alone against fixed caption embeddings: bridging onto a frozen C_text."""
    torch.manual_seed(seed)
    text = TextPromptEncoder(WordTokenizer(WORDS), d=32, width=32).requires_grad_(False).eval()
    before = copy.deepcopy(text.state_dict())
    encoder, temperature, data = CASES[name][0]().train(train), Temperature(), CASES[name][1](16)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *temperature.parameters()], lr=3e-3)
    target = F.normalize(text(CAPTIONS) - text(CAPTIONS).mean(0), dim=-1)
    for _ in range(steps):
        optimiser.zero_grad()
        clip_loss(encoder(data), target, temperature()).backward()
        optimiser.step()
    with torch.no_grad():
        found = (encoder.eval()(data) @ target.T).argmax(1)
    unchanged = all(torch.equal(value, before[key]) for key, value in text.state_dict().items())
    return (found == torch.arange(16)).float().mean().item(), unchanged, encoder


@pytest.mark.parametrize(("name", "steps"), [("text", 30), ("image", 30), ("audio", 40), ("video", 60)])
def test_sixteen_pairs_are_learned_by_heart_and_a_frozen_text_encoder_stays(name, steps):
    retrieved, unchanged, _ = fit(name, steps)
    assert retrieved == 1.0
    assert unchanged


def test_two_trainings_agree_bit_for_bit(name):
    first, second = fit(name, 2, train=True)[2], fit(name, 2, train=True)[2]
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))


def test_every_parameter_is_reached_by_the_loss(name):
    encoder = awake(built(name)).train()
    embedding = encoder(CASES[name][1](16))
    clip_loss(embedding, embedding.detach().roll(1, 0), 5.0).backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, key


# --- text


def test_text_ignores_padding_and_reads_order():
    encoder = built("text")
    with torch.no_grad():
        long = encoder.tokenizer.encode(["a red seven"])
        assert torch.allclose(encoder.embed(long), encoder.embed(long[:, :5]), atol=1e-6)
        assert (encoder(["left right"]) - encoder(["right left"])).norm() > 1e-3


def test_text_is_the_mean_over_its_words_alone():
    encoder = built("text")
    ids = encoder.tokenizer.encode(["a red seven"])
    with torch.no_grad():
        h = encoder.token(ids) + encoder.position[: ids.shape[1]]
        h = encoder.transformer(h, src_key_padding_mask=ids == 0)
        by_hand = F.normalize(encoder.project(h[:, 1:4].mean(1)), dim=-1)  # after BOS, before EOS
        assert torch.allclose(encoder(["a red seven"]), by_hand, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("seven", "non-empty list of texts"),
        ([], "non-empty list of texts"),
        ([7], "expected a string, got int"),
        (["a red seven", "mauve"], "at least one known word"),
        (["red " * 13], "1 to 12 words, got 13"),
    ],
)
def test_text_refuses_what_is_no_caption(data, message):
    with pytest.raises(ValueError, match=message):
        built("text")(data)


# --- image, audio, video

TENSORS = {"image": noise(2, 3, 32, 32), "audio": 2 * noise(2, 8192) - 1, "video": noise(2, 8, 3, 32, 32)}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_wrong_shape_type_or_range_are_refused(name):
    encoder, good = built(name), TENSORS[name]
    holed = good.clone()
    holed.view(-1)[7] = float("nan")
    bad = {
        "got torch.uint8": (255 * good).byte(),
        "got list": good.tolist(),
        "got NaN": holed,
        rf"in \[{encoder.low:g}, 1\], got": 2.5 * good,
        "1.01]": good.clamp(max=0.9) + 0.11 * (good == good.max()),
        r"expected a float tensor \(b, ": good[0],
        "got .*0": good[:0],
        "got shape \\(2, ": good[..., :-1],
    }
    for message, data in bad.items():
        if message == "1.01]":
            data = good.clone()
            data.view(-1)[0] = 1.01
        with pytest.raises(ValueError, match=message):
            encoder(data)
    slightly = good.clone()
    slightly.view(-1)[0] = 1.0005  # what resampling leaves is let through
    encoder(slightly)


# --- audio


def test_no_mel_filter_is_empty():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = AudioPromptEncoder(d=8, width=8)
    assert (encoder.mel.filters > 0).any(dim=1).all()


def test_the_mel_picture_is_torchaudios_and_its_constants_stay_out_of_the_checkpoint():
    encoder, wave = AudioPromptEncoder(d=8, width=8), waves(2)
    theirs = torchaudio.transforms.MelSpectrogram(8000, n_fft=512, win_length=256, hop_length=128, n_mels=64)
    level = theirs(wave)[..., :64].clamp(min=1e-10).log10()
    expected = ((level - level.amax(dim=(1, 2), keepdim=True)) / 5 + 1).clamp(min=0)
    torch.testing.assert_close(encoder.log_mel(wave), expected, rtol=0, atol=1e-4)
    assert not encoder.mel.state_dict()


def test_audio_is_deaf_to_loudness():
    encoder, loud = built("audio"), waves(4)
    with torch.no_grad():
        assert torch.allclose(encoder(loud), encoder(0.1 * loud), atol=1e-4)
        assert torch.isfinite(encoder(torch.zeros(1, 8192))).all()


def test_audio_hardly_hears_when_the_voice_starts():
    """1024 samples are the trunk's stride in time: away from the edges the same word later is the same."""
    encoder, early = built("audio"), waves(8)
    with torch.no_grad():
        a, b = encoder(early), encoder(early.roll(1024, dims=1))
        offset = encoder(early.roll(1000, dims=1))  # WORLD's frame, not quite a multiple of the stride
    same, other = (a * b).sum(1), (a * a.roll(1, 0)).sum(1)
    assert same.min() > 0.98 and same.min() > other.max()
    assert (a * offset).sum(1).min() > other.max()


def test_the_picture_of_a_sound_is_the_same_in_mixed_precision():
    encoder = AudioPromptEncoder(d=16, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        picture = encoder.log_mel(waves(4))
    assert torch.equal(picture, encoder.log_mel(waves(4)))


def test_the_picture_is_one_at_its_peak_and_zero_in_silence():
    encoder = built("audio")
    picture = encoder.log_mel(waves(4))
    assert picture.shape == (4, 64, 64)
    assert torch.allclose(picture.amax((1, 2)), torch.ones(4)) and picture.min() == 0
    assert picture[:, :, 20:35].amax(1).min() > 0.5 and picture[:, :, 45:].max() < 0.3


def test_augment_varies_in_training_only_and_follows_its_generator():
    encoder, wave = built("audio"), waves(4)
    picture = encoder.log_mel(wave)
    g = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    one, same, other = (encoder.augment(picture, generator) for generator in g)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.min() >= 0 and one.max() <= 1.15 + 1e-6
    assert not torch.equal(one[0], one[1])  # each item its own draw
    with torch.no_grad():
        assert torch.equal(encoder(wave), encoder(wave))
        encoder.train()
        assert not torch.equal(encoder(wave), encoder(wave))


def test_augment_keeps_the_word_in_the_picture():
    """Energy may be warped and masked, never mostly lost."""
    encoder, picture = built("audio"), torch.zeros(64, 64, 64)
    picture[:, :, 16:44] = 0.6
    for seed in range(5):
        warped = encoder.augment(picture, torch.Generator().manual_seed(seed))
        assert (warped.sum((1, 2)) > 0.4 * picture.sum((1, 2))).all()


# --- video


def test_video_can_tell_a_clip_from_its_reverse():
    encoder, clip = built("video"), clips(2)
    with torch.no_grad():
        assert (encoder(clip) - encoder(clip.flip(1))).norm(dim=-1).min() > 1e-3
        encoder.position.zero_()  # without positions the transformer sees a set of frames
        assert torch.allclose(encoder(clip), encoder(clip.flip(1)), atol=1e-5)


def test_video_starts_from_the_image_encoders_trunk():
    image, video = built("image"), built("video", seed=1)
    picture = noise(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(image.trunk(picture), video.trunk(picture))
        video.start_from(image)
        assert torch.equal(image.trunk(picture), video.trunk(picture))
        image.trunk[0].weight.zero_()  # a copy, not the same tensors
        assert not torch.allclose(image.trunk(picture), video.trunk(picture))
