"""Pictures as other hands would draw them."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.ours.other_hands import MOVE, OtherHands, bent, pen


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bars(b=64, colour=(0.25, 0.4, 1.0)):
    """An upright stroke in one colour."""
    pictures = torch.zeros(b, 3, 32, 32)
    pictures[:, :, 6:26, 14:18] = torch.tensor(colour)[:, None, None]
    return pictures


def moments(pictures):
    """Mass, centre (x, y) and slant of each picture."""
    ink = pictures.amax(1)
    mass = ink.sum((1, 2))
    at = torch.arange(32.0) - 15.5
    x, y = (ink.sum(1) @ at) / mass, (ink.sum(2) @ at) / mass
    off_x, off_y = at - x[:, None], at - y[:, None]
    both = (ink * off_y[:, :, None] * off_x[:, None]).sum((1, 2)) / mass
    return mass, x, y, both / ((ink.sum(2) * off_y**2).sum(1) / mass)


def test_a_stroke_is_slanted_both_ways_and_moved_a_little():
    mass, x, y, slant = moments(bent(bars(300), generator()))
    assert slant.min() < -0.25 and slant.max() > 0.25 and slant.abs().max() < 0.8
    assert 0.5 < x.std() < 32 * MOVE and x.abs().max() < 4.5 and y.abs().max() < 4.5
    assert mass.min() > 40 and mass.max() < 160  # of 80


def test_a_straight_stroke_bends():
    def width(pictures):
        """Of the stroke's spread around its own straight line, in px."""
        ink = pictures.amax(1)
        rows = ink[:, 9:23]
        centre = (rows @ torch.arange(32.0)) / rows.sum(2).clamp(min=1e-6)
        line = torch.stack([torch.arange(14.0), torch.ones(14)], 1)
        return (centre.T - line @ torch.linalg.lstsq(line, centre.T).solution).square().mean(0).sqrt()

    assert width(bars(1)).max() < 1e-4
    assert width(bent(bars(100), generator())).median() > 0.05


def test_a_pen_is_thicker_or_thinner_harder_or_softer_and_keeps_the_colour():
    drawn = pen(bars(300), generator())
    mass = moments(drawn)[0] / 80
    assert mass.min() < 0.8 and mass.max() > 1.4
    assert (drawn >= 0).all() and (drawn <= 1).all() and (drawn.amax((1, 2, 3)) > 0.99).all()
    ink = drawn.amax(1, keepdim=True)
    hue = torch.where(ink > 0.2, drawn / ink.clamp(min=0.2), torch.tensor([0.25, 0.4, 1.0])[:, None, None])
    assert (hue - torch.tensor([0.25, 0.4, 1.0])[:, None, None]).abs().max() < 1e-4


def test_a_black_picture_stays_black():
    assert not OtherHands(share=1.0).redrawn(torch.zeros(4, 3, 32, 32), generator()).any()


def test_a_share_of_the_pictures_is_changed():
    pictures = bars(200)
    changed = OtherHands(share=0.6).redrawn(pictures, generator())
    same = (changed == pictures).all((1, 2, 3)) if changed.dim() else None
    assert 0.25 < same.float().mean() < 0.55
    assert torch.equal(OtherHands(share=0.0).redrawn(pictures, generator()), pictures)
    assert torch.equal(changed, OtherHands(share=0.6).redrawn(pictures, generator()))


def test_a_picture_is_still_itself():
    """Nearer to what it was than to another."""
    drawn = torch.stack([bars(1)[0], bars(1)[0].transpose(1, 2)])
    changed = OtherHands(share=1.0).redrawn(drawn.repeat(50, 1, 1, 1), generator()).flatten(1)
    alike = F.cosine_similarity(changed[:, None], drawn.flatten(1)[None], dim=-1)
    assert (alike.argmax(1) == torch.arange(100) % 2).all()


def test_only_images_are_changed():
    assert list(OtherHands().augmentations()) == ["image"]


@pytest.mark.parametrize("share", [-0.1, 1.1, "all"])
def test_a_bad_share_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        OtherHands(share=share)
