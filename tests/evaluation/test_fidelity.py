import pytest
import torch

from codi_minimal.evaluation.fidelity import exact, fidelity, mel_error, psnr


def test_known_errors_have_known_figures():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert psnr(x, x + 0.1) == pytest.approx(20, abs=1e-3)
    assert exact(["a", "b", "c"], ["a", "b", "d"]) == pytest.approx(2 / 3)
    tone = 0.05 * torch.randn(2, 8192, generator=torch.Generator().manual_seed(0))
    assert mel_error(tone, tone) == 0
    assert mel_error(tone, tone / 2) == pytest.approx(20 * torch.log10(torch.tensor(2.0)).item(), rel=0.05)


def test_what_was_rebuilt_is_measured_in_its_own_unit():
    assert fidelity({"text": ["a"], "image": 0}, {"text": ["a"]}) == {"text": {"exact captions": 1}}
