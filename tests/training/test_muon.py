import pytest
import torch

from codi_minimal.training.muon import GAIN, Muon, orthogonalize


def muon(p: torch.nn.Parameter, lr: float = 1e-2) -> Muon:
    return Muon([{"params": [p], "matrices": True}, {"params": [], "matrices": False}], lr=lr, weight_decay=0.0)


@pytest.mark.parametrize("shape", [(24, 24), (16, 64), (64, 16)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape):
    u, _, v = torch.linalg.svd(torch.randn(*shape, generator=torch.Generator().manual_seed(0)), full_matrices=False)
    spectrum = torch.linspace(0.1, 1, min(shape))
    o = orthogonalize(u @ torch.diag(spectrum) @ v)
    assert torch.linalg.svdvals(o).min() > 0.6 and torch.linalg.svdvals(o).max() < 1.3
    inside = u.T @ o @ v.T
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), rtol=0, atol=1e-4)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with torch 2.9")
@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_it_takes_the_steps_of_torch_optim_muon(shape):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(*shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    a, b = muon(ours), torch.optim.Muon([theirs], lr=GAIN * 1e-2, weight_decay=0.0, momentum=0.95, nesterov=True)
    for _ in range(4):
        grad = torch.randn(*shape, generator=generator)
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        a.step()
        b.step()
    # theirs orthogonalizes in bfloat16
    moved, expected = ours.data - start, theirs.data - start
    assert (moved - expected).norm() < 0.02 * expected.norm()


def test_a_kernel_is_stepped_as_the_matrix_of_its_rows():
    kernel = torch.nn.Parameter(torch.zeros(16, 3, 3, 3).to(memory_format=torch.channels_last))
    matrix = torch.nn.Parameter(torch.zeros(16, 27))
    grad = torch.randn(16, 27)
    kernel.grad, matrix.grad = grad.view(16, 3, 3, 3).to(memory_format=torch.channels_last), grad
    muon(kernel).step()
    muon(matrix).step()
    torch.testing.assert_close(kernel.data.flatten(1), matrix.data)


def test_what_is_no_matrix_takes_adamws_steps():
    start = torch.randn(5)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.1}
    a = Muon([{"params": [], "matrices": True}, {"params": [ours], "matrices": False}], **settings)
    b = torch.optim.AdamW([theirs], **settings)
    for i in range(3):
        ours.grad = theirs.grad = torch.full((5,), float(i + 1))
        a.step()
        b.step()
    assert torch.equal(ours, theirs)
    assert len(a.param_groups) == 2  # both are still there for the learning rate and for the state
