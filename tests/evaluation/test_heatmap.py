import json
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from codi_minimal.evaluation import heatmap
from codi_minimal.evaluation.coherence import SUBSETS, cell_name
from codi_minimal.evaluation.statistics import Estimate


def cells(share: float, **others: float) -> dict:
    """A table in which all cells have one share, and those named by the letters of `prompts_outputs` another."""
    table = {cell_name(a, b): {"text": {"digit": Estimate(share, 9, (0, 1))}} for a in SUBSETS for b in SUBSETS}
    for name, other in others.items():
        table[name.replace("_", " → ")] = {"text": {"digit": Estimate(other, 9, (0, 1))}}
    return table


def drawn(path, **table) -> Image.Image:
    heatmap.draw_cells(cells(**table), path)
    with Image.open(path) as picture:
        return picture.convert("RGB")


def test_cells_are_framed_whose_modalities_are_of_one_pairing():
    seen = {cell_name(a, b) for a in SUBSETS for b in SUBSETS if heatmap.seen_together(a, b)}
    assert len(seen) == 32
    assert {"T → V", "A → AV", "TI → TI", "I → I"} <= seen
    assert seen.isdisjoint({"I → A", "A → I", "I → V", "V → I", "TI → A", "T → IV", "TIAV → TIAV"})


def test_one_cell_below_the_others_is_seen_in_a_table_of_ones(tmp_path):
    pictures = [drawn(tmp_path / "a.png", share=1.0, **other) for other in ({}, {"IV_IA": 0.97})]
    strongest = np.abs(np.subtract(*(np.asarray(picture, int) for picture in pictures))).max(-1)
    # of its cell, about 80 pixels wide
    assert 4000 < (strongest > 60).sum() < 8000


def test_rows_are_prompts_and_numbers_and_frames_are_drawn(tmp_path, monkeypatch):
    pages = []
    monkeypatch.setattr(heatmap, "Figure", lambda *a, **k: pages.append(Figure(*a, **k)) or pages[-1])
    heatmap.draw_cells(cells(1.0, T_IA=0.9996, I_T=0.96), tmp_path / "a.png")
    axes, _ = pages[0].axes
    t, i, ia = (SUBSETS.index(names) for names in (("text",), ("image",), ("image", "audio")))
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("prompts", "outputs")
    assert axes.images[0].get_array()[t, ia] == 0.9996 and axes.images[0].get_array()[i, t] == 0.96
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[ia, t] == ".999" and texts[t, i] == ".960" and texts[i, i] == "1"  # 1 where nothing is wrong
    assert len(axes.patches) == 32
    (legend,) = pages[0].legends
    notes = " ".join(text.get_text() for text in legend.get_texts())
    assert "(32 of 225 cells)" in notes and "intervals: 0.50" in notes  # all intervals are from 0 to 1


@pytest.mark.parametrize("share", [0.0, None])
def test_a_table_of_zeros_or_of_nothing_is_drawn_too(tmp_path, share):
    table = cells(0.0) if share == 0 else {name: {} for name in cells(0.0)}
    heatmap.draw_cells(table, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_the_command_draws_it_anew_beside_the_report(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"cells": cells(0.9, T_T=0.5)}, default=Estimate.record))
    monkeypatch.setattr(sys, "argv", ["heatmap", str(path)])
    heatmap.main()
    again = drawn(tmp_path / "again.png", share=0.9, T_T=0.5)
    with Image.open(tmp_path / "heatmap.png") as picture:
        assert picture.convert("RGB").tobytes() == again.tobytes()
