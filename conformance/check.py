"""Checks what a port computed: `python conformance/check.py OUT`. It needs NumPy, and nothing of the package.

OUT has one file for each output of a case that was tried: NUMBER.OUTPUT.npy, or NUMBER.OUTPUT.json for captions, where
NUMBER is that of the case in manifest.json (00, 01, …). Cases that were not tried are counted. Of a run, z after some
of the steps is enough: a row of NaN is a step that was not tried. OUT/training.json has for the name of a case of
3-training.json {"terms": {…}, "slope": …, "gradient": {tensor: [norm, slope]}}, all of it or some.
"""

import json
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
LOSS = 1e-5  # of the loss
GRADIENT, TINY = 1e-4, 1e-7  # of the norm of a tensor's gradient, and of the largest of a case; a slope: the largest
SECTIONS = {  # of SPEC.md, by operation
    "res_block": 2, "transformer": 2, "log_mel": 4, "griffin_lim": 4, "encode": 5, "decode": 5, "decode_mel": 5,
    "prompt": 6, "tokens": 7, "attention_to_others": 7, "block": 8, "denoise": 8, "steps": 9, "elbo": 12,
    "bridge": 12, "L_D": 12, "L_Con": 12, "L_Read": 12, "joint": 12,
}  # fmt: skip
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


def difference(found: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    """What is wrong with an array, or "": the error relative to the largest value. Pixels may be one level off."""
    if found.shape != expected.shape:
        return f"its shape is {found.shape}, not {expected.shape}"
    if not np.isfinite(found).all():
        return "not all of it is finite"
    most = np.abs(found.astype(float) - expected).max(initial=0)
    if expected.dtype == np.uint8:
        return f"a pixel is {most:g} of 255 off" if most > 1 else ""
    error = most / max(1e-12, np.abs(expected.astype(float)).max())
    return f"{error:.1e} of the largest value, more than {tolerance:.0e}" if error > tolerance else ""


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
        found, expected = np.load(path), expected_of(case, key, arrays)
        if key.startswith("z.") and found.shape == expected.shape:
            done = ~np.isnan(found).reshape(len(found), -1).all(axis=1)
            found, expected = found[done], expected[done]
            if not len(found):
                continue
        tried = True
        wrong += [f"{key}: {told}" for told in [difference(found, expected, case["tolerance"])] if told]
    for key, text in case["texts"].items():
        side, _, name = key.partition("/")
        path = out / f"{number:02d}.{name}.json"
        if side == "out" and path.exists():
            tried, found = True, json.loads(path.read_text(encoding="utf-8"))
            wrong += [f"{name}: {found}, not {text}"] if found != text else []
    return "; ".join(wrong) if tried else "-"


def verdict_of_training(case: dict[str, Any], found: dict[str, Any]) -> str:
    """As `verdict`, of the terms of a loss, its slope, and the gradients of some tensors."""
    terms, gradient, wrong = dict(found.get("terms", {})), dict(found.get("gradient", {})), []
    if unknown := {*found} - {"terms", "slope", "gradient"} | {*terms} - {*case["terms"]}:
        wrong.append(f"there is no {', '.join(sorted(unknown))}")
    for key in terms.keys() & case["terms"].keys():
        if not abs(terms[key] - case["terms"][key]) <= LOSS * abs(case["terms"][key]):
            wrong.append(f"{key}: {terms[key]}, not {case['terms'][key]}")
    steepest = max(norm for norm, _ in case["gradient"].values())
    if "slope" in found and not abs(found["slope"] - case["slope"]) <= GRADIENT * steepest:
        wrong.append(f"slope: {found['slope']}, not {case['slope']}")
    for name, (norm, slope) in gradient.items():
        expected, to_norm = case["gradient"].get(name, [0.0, 0.0]), GRADIENT * case["gradient"].get(name, [0.0])[0]
        close = [abs(x - y) <= to_norm + TINY * steepest for x, y in zip((norm, slope), expected, strict=True)]
        wrong += [] if all(close) else [f"gradient of {name}: norm and slope {[norm, slope]}, not {expected}"]
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return "; ".join(wrong[:3]) + more if wrong or terms or gradient or "slope" in found else "-"


def read(verdict_of: Callable[[], str]) -> str:
    """A verdict, or what cannot be read."""
    try:
        return verdict_of()
    except (AttributeError, EOFError, KeyError, OSError, TypeError, ValueError) as error:
        return f"cannot be read: {type(error).__name__}: {error}"


def losses_in(out: Path, known: Collection[str]) -> dict[str, Any]:
    """What training.json holds. ValueError: no dictionary, or a case that there is not."""
    path = out / "training.json"
    losses = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not isinstance(losses, dict) or (unknown := {*losses} - {*known}):
        expected = f"expected a dictionary whose keys are names of cases, such as {next(iter(known))!r}"
        raise ValueError(f"training.json: {expected}; got {sorted(unknown) if isinstance(losses, dict) else losses!r}")
    return losses


def main(out: str | Path) -> int:
    """Prints a line for each case; returns how many failed.

    ValueError: `out` is no folder or has no results, or something in training.json or a file's name belongs to no case.
    """
    out = Path(out)
    if not out.is_dir():
        raise ValueError(f"expected a folder with results, got {str(out)!r}")
    cases = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    arrays = {name: dict(np.load(FOLDER / name)) for name in {case["file"] for case in cases}}
    training = json.loads((FOLDER / "3-training.json").read_text(encoding="utf-8"))["cases"]
    losses = losses_in(out, [case["case"] for case in training])
    if strange := {path.name for path in out.iterdir()} - {*names_of(cases), "training.json"}:
        raise ValueError(f"expected files such as {next(iter(names_of(cases)))}, got {', '.join(sorted(strange)[:3])}")
    found = [read(partial(verdict, case, number, out, arrays)) for number, case in enumerate(cases)]
    found += [read(partial(verdict_of_training, case, losses.get(case["case"], {}))) for case in training]
    if found.count("-") == len(found):
        raise ValueError(f"expected results in {out}, such as {next(iter(names_of(cases)))}; got none")
    numbers = [*(f"{number:02d} " for number in range(len(cases))), *len(training) * [""]]
    cases += [case | {"after": []} for case in training]
    for number, case, told in zip(numbers, cases, found, strict=True):
        print(f"{number}{case['case']}: {'not tried' if told == '-' else told or 'passes'}")
    if failed := [i for i, told in enumerate(found) if told not in ("", "-")]:
        first = cases[failed[0]]
        where, causes = f"SPEC.md, section {SECTIONS[first['op']]}", CAUSES[first["op"]]
        print(f"\nThe first that fails is {first['case']!r} ({where}). Often it is: {causes}")
        if missing := [name for name in first["after"] if found[[c["case"] for c in cases].index(name)] == "-"]:
            print(f"Try these before it: {', '.join(missing)}")
    print(f"{found.count('')} of {len(cases)} pass, {len(failed)} fail, {found.count('-')} were not tried")
    return len(failed)


def names_of(cases: Sequence[dict[str, Any]]) -> list[str]:
    """The names that files can have."""
    names = []
    for number, case in enumerate(cases):
        keys = [*case["outputs"], *(case["inputs"] if case["op"] == "steps" else [])]
        texts = [key.partition("/")[2] for key in case["texts"] if key.startswith("out/")]
        names += [f"{number:02d}.{key}.npy" for key in keys] + [f"{number:02d}.{key}.json" for key in texts]
    return names


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python conformance/check.py OUT")
    try:
        sys.exit(1 if main(sys.argv[1]) else 0)
    except ValueError as error:
        sys.exit(f"error: {error}")
