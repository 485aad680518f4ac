"""Checks what a port computed: `python conformance/check.py OUT`. It needs NumPy, and nothing of the package.

OUT has one file for each output of a case that was tried: NUMBER.OUTPUT.npy, or NUMBER.OUTPUT.json for captions, where
NUMBER is that of the case in manifest.json (00, 01, …). Cases that were not tried are counted. Of a run, z after some
of the steps is enough: a row of NaN is a step that was not tried. OUT/training.json has for the name of a case of
3-training.json {"terms": {…}, "slope": …, "gradient": {tensor: [norm, slope]}}, all of it or some.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
LOSS, GRADIENT = 1e-5, 1e-4  # of the loss, and of the largest norm of a tensor's gradient
CAUSES = {
    "prompt": "words are averaged without BOS, EOS, PAD; pictures in [0, 1]; HTK's filters, power 2; mean and maximum",
    "encode": "padding 1 of the 4 x 4 convolution; 2 x - 1 of images; the first half of the channels; scale_factor",
    "decode": "pixel shuffle (c p q); dividing by scale_factor; words that may not be written; articles",
    "tokens": "t is added to queries, too; patches (e p q); no norm after the transformer; norm 128 ** .5, then clocks",
    "res_block": "epsilon 1e-5 in the root; scale before shift, after norm2; 8 groups",
    "transformer": "norms come first; queries, keys and values in this order; exact GELU",
    "block": "self-attention of a video is over (f n); temporal comes before the transformer",
    "attention_to_others": "clock term s c c'; clock tokens hidden where there is no time; the silent key; (f n)",
    "denoise": "C times d ** .5; cosines first; skips joined behind h; attention to others in the middle and above",
    "log_mel": "Slaney's filters, magnitudes, floor .002; reflection at the ends; the 65th frame is left out",
    "decode_mel": "the same as of images, without a clamp",
    "griffin_lim": "pseudo-inverse in double precision; F'(F S), in this order; phase 0; momentum .99 / 1.99; clamp",
    "elbo": "the mean over all components, of captions the sum over words and the mean over captions; KL's weight",
    "bridge": "both directions; positives share a target; C_text frozen but in the first; whole captions as constants",
    "L_D": "the target is v; C is zero, not absent, where there is no prompt; the mean over all components",
    "L_Con": "tokens joined, then scaled to norm 1; the first min(n, m) tokens of both; each stream at its own t",
    "L_Read": "the mixture is not scaled; 1 / n counts the prompt where there is one; the sum over d",
    "joint": "tokens of the other stream at the same t; hidden, not zeroed; λ; V is trained through L_Cross, too",
    "steps": "guidance below guidance_start alone; no condition is zeros; tokens before streams move; noise of steps",
}


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, over the largest value."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.astype(float) - expected).max() / max(1e-12, np.abs(expected.astype(float)).max()))


def expected_of(case: dict[str, Any], key: str, arrays: dict[str, Any]) -> np.ndarray:
    """An output of a case; of a run z is given before every step, and expected after it."""
    stored = arrays[case["file"]]
    if (name := f"{case['case']}/out/{key}") in stored:
        return stored[name]
    before = stored[f"{case['case']}/in/{key}"]
    return before[1:] if key.startswith("z.") else before


def verdict(case: dict[str, Any], number: int, out: Path, arrays: dict[str, Any]) -> str:
    """ "" for a case that passes, "-" for one that was not tried, or what is wrong."""
    tried, wrong = False, []
    for key in [*case["outputs"], *(case["inputs"] if case["op"] == "steps" else [])]:
        path = out / f"{number:02d}.{key}.npy"
        if not path.exists():
            continue
        tried, found, expected = True, np.load(path), expected_of(case, key, arrays)
        if expected.dtype == np.uint8:
            off = np.abs(found.astype(int) - expected).max() if found.shape == expected.shape else 255
            wrong += [f"{key}: a pixel is {off} of 255 off"] if off > 1 else []
            continue
        if key.startswith("z.") and found.shape == expected.shape:
            done = ~np.isnan(found).reshape(len(found), -1).all(axis=1)
            found, expected = found[done], expected[done]
        if (e := error(found, expected)) > case["tolerance"]:
            wrong.append(f"{key}: {e:.1e} of the largest value, more than {case['tolerance']:.0e}")
    for key, text in case["texts"].items():
        side, _, name = key.partition("/")
        path = out / f"{number:02d}.{name}.json"
        if side == "out" and path.exists():
            tried, found = True, json.loads(path.read_text(encoding="utf-8"))
            wrong += [f"{name}: {found}, not {text}"] if found != text else []
    return "; ".join(wrong) if tried else "-"


def verdict_of_training(case: dict[str, Any], found: dict[str, Any] | None) -> str:
    """As `verdict`, of the terms of a loss, its slope, and the gradient of some tensors."""
    if found is None:
        return "-"
    wrong, steepest = [], max(norm for norm, _ in case["gradient"].values())
    for key, value in found.get("terms", {}).items():
        if not abs(value - case["terms"][key]) <= LOSS * abs(case["terms"][key]):
            wrong.append(f"{key}: {value}, not {case['terms'][key]}")
    if "slope" in found and not abs(found["slope"] - case["slope"]) <= GRADIENT * steepest:
        wrong.append(f"slope: {found['slope']}, not {case['slope']}")
    for name, pair in found.get("gradient", {}).items():
        expected = case["gradient"].get(name, [0, 0])
        if not max(abs(x - y) for x, y in zip(pair, expected, strict=True)) <= GRADIENT * steepest:
            wrong.append(f"gradient of {name}: norm and slope {pair}, not {expected}")
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return "; ".join(wrong[:3]) + more


def main(out: str) -> int:
    """Prints a line for each case; returns how many failed."""
    cases = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    arrays = {name: dict(np.load(FOLDER / name)) for name in {case["file"] for case in cases}}
    found = [verdict(case, number, Path(out), arrays) for number, case in enumerate(cases)]
    training = json.loads((FOLDER / "3-training.json").read_text(encoding="utf-8"))["cases"]
    handed_in = Path(out) / "training.json"
    losses = json.loads(handed_in.read_text(encoding="utf-8")) if handed_in.exists() else {}
    found += [verdict_of_training(case, losses.get(case["case"])) for case in training]
    cases += [case | {"after": []} for case in training]
    for number, (case, told) in enumerate(zip(cases, found, strict=True)):
        print(f"{number:02d} {case['case']}: {'not tried' if told == '-' else told or 'passes'}")
    failed = [number for number, told in enumerate(found) if told not in ("", "-")]
    if failed:
        first = cases[failed[0]]
        print(
            f"\nThe first that fails is {first['case']!r} (SPEC.md, {first['op']}). Often it is: {CAUSES[first['op']]}"
        )
        if missing := [name for name in first["after"] if found[[c["case"] for c in cases].index(name)] == "-"]:
            print(f"Try these before it: {', '.join(missing)}")
    print(f"{found.count('')} of {len(cases)} pass, {len(failed)} fail, {found.count('-')} were not tried")
    return len(failed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python conformance/check.py OUT")
    sys.exit(1 if main(sys.argv[1]) else 0)
