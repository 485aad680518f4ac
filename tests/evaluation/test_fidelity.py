import pytest
import torch

from codi_minimal.evaluation.fidelity import exact, fidelity, mel_error, psnr


def test_known_errors_have_known_figures():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert psnr(x, x + 0.1) == pytest.approx(20, abs=1e-3)
    assert exact(["a", "b", "c"], ["a", "b", "d"]).tolist() == [True, True, False]
    tone = 0.05 * torch.randn(2, 8192, generator=torch.Generator().manual_seed(0))
    assert mel_error(tone, tone) == 0
    assert mel_error(tone, tone / 2) == pytest.approx(20 * torch.log10(torch.tensor(2.0)).item(), rel=0.05)


def test_what_was_rebuilt_is_measured_in_its_own_unit_with_an_interval(sample):
    scene, renders = sample[0][:100], {name: data[:100] for name, data in sample[1].items()}
    noise = torch.linspace(0, 0.1, 100).reshape(-1, 1)
    rebuilt = {"audio": renders["audio"] * (1 + 10 * noise), "text": [*renders["text"][:90], *["seven"] * 10]}
    rebuilt |= {
        name: renders[name] + noise.reshape(100, *[1] * (renders[name].ndim - 1)) for name in ("image", "video")
    }
    found = fidelity(renders, rebuilt, scene)
    assert found["text"]["exact captions"].value == pytest.approx(0.9, abs=0.02)
    for name, error in {"image": psnr, "video": psnr, "audio": mel_error}.items():
        ((unit, estimate),) = found[name].items()
        assert estimate.value == pytest.approx(error(renders[name], rebuilt[name]), rel=1e-5), unit
        assert estimate.interval[0] < estimate.value < estimate.interval[1] and estimate.n == 100
    assert fidelity({"text": ["a"], "image": 0}, {"text": ["a"]})["text"]["exact captions"].value == 1


def test_renders_of_one_glyph_are_no_evidence(sample):
    scene, x = sample[0][:50], sample[1]["image"][:50]
    y = x + torch.linspace(0, 0.1, 50).reshape(-1, 1, 1, 1)
    once = fidelity({"image": x}, {"image": y}, scene)["image"]["PSNR, dB"]
    twice = fidelity({"image": x.repeat(4, 1, 1, 1)}, {"image": y.repeat(4, 1, 1, 1)}, scene[[*range(50)] * 4])
    low, high = twice["image"]["PSNR, dB"].interval
    assert high - low == pytest.approx(once.interval[1] - once.interval[0], rel=0.1)
