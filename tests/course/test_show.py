"""Pictures of the notebooks: small PNGs, with what was asked for in them."""

import io
import json

import numpy as np
import torch
from PIL import Image

from codi_minimal.course import Live, Picture, grid, heat, line, scatter, sheet
from codi_minimal.training.run import Run

SAMPLES = {
    "text": ["a red seven", "an eight"],
    "image": torch.rand(2, 3, 32, 32),
    "audio": torch.rand(2, 8192) * 2 - 1,
    "video": torch.rand(2, 8, 3, 32, 32),
}


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture._repr_png_())).convert("RGB"), dtype=float) / 255


def test_every_modality_can_be_drawn_in_rows_and_pages():
    rows = {name: {name: items} for name, items in SAMPLES.items()}
    few, all_rows = pixels(grid({"image": rows["image"]})), pixels(grid(rows, columns=["first", "second"]))
    assert all_rows.shape[0] > few.shape[0] and all_rows.std() > 0.05
    assert pixels(sheet(SAMPLES, {"text": SAMPLES["text"]})).std() > 0.05


def test_a_picture_shows_its_data():
    bright = pixels(grid({"": {"image": torch.ones(1, 3, 32, 32) * torch.tensor([1.0, 0, 0])[:, None, None]}}))
    assert ((bright - [1, 0, 0]).__abs__().max(-1) < 0.05).mean() > 0.1
    rising = pixels(line({"a": ([0, 1], [0.0, 1.0]), "b": ([0, 1], [1.0, 0.0])}, x="t", y="loss"))
    assert rising.std() > 0.05
    assert pixels(heat(torch.eye(5), "abcde", "abcde", "title")).std() > 0.05
    assert pixels(scatter({"a": torch.randn(9, 2), "b": torch.randn(9, 2)})).std() > 0.02


def test_pictures_are_small():
    noise = {f"{i}": {"video": torch.rand(1, 8, 3, 32, 32)} for i in range(4)}
    assert len(grid(noise).png) < 120_000


def test_live_draws_the_losses_of_its_stage_and_what_it_looks_at(tmp_path):
    run = Run(None, None, tmp_path)
    entries = [("denoiser-image", 1, 3.0), ("denoiser-text", 1, 9.0), ("denoiser-image", 2, 2.0)]
    lines = [json.dumps({"stage": stage, "step": step, "loss": loss}) for stage, step, loss in entries]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    live = Live(run, lambda: {"image": SAMPLES["image"]})
    assert live.losses("denoiser-image") == ([1, 2], [3.0, 2.0])
    empty = pixels(live.draw("denoiser-image"))
    live("denoiser-image", 2)
    assert list(live.moments) == ["step 2"]
    assert pixels(live.draw("denoiser-image")).shape[0] > empty.shape[0]
    assert pixels(Live(Run(None, None, tmp_path / "none")).draw("x")).shape == empty.shape  # the axes alone
