"""Every addition can be taken away: without its file and its lines in recipes.py all else works.

A process forks one child for each file of `ours/`. The child imports a copy of the package without that file.
"""

import os
import re
import shutil
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.forked import FORKED

ROOT = Path(__file__).parents[1]
OURS = sorted(path.stem for path in (ROOT / "codi_minimal" / "ours").glob("*.py") if path.stem != "__init__")
SECONDS = 300
STAGES = ("prompts-text-image", "joint")
pytestmark = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="forks after torch is imported")


@pytest.mark.slow
@pytest.mark.parametrize("addition", OURS)
def test_all_else_works_without(addition, tmp_path):
    take_away(addition, tmp_path)
    child = FORKED.Process(target=in_child, args=(tmp_path, addition))
    child.start()
    child.join(SECONDS)
    child.kill()
    assert child.exitcode == 0, (tmp_path / "error.txt").read_text(encoding="utf-8")


def test_each_is_taken_away_by_its_file_and_its_lines_in_recipes():
    """So that the test above takes away what it should: recipes.py alone names an addition, on lines of its own."""
    for addition in OURS:
        with tempfile.TemporaryDirectory() as folder:
            cut = take_away(addition, Path(folder))
        assert cut and all(line.startswith("from ") or line.endswith("),") for line in cut), cut
        for path in (ROOT / "codi_minimal").rglob("*.py"):
            if path.name not in ("recipes.py", f"{addition}.py"):
                assert f"ours.{addition}" not in path.read_text(encoding="utf-8"), path


def source_of(addition: str) -> str:
    return (ROOT / "codi_minimal" / "ours" / f"{addition}.py").read_text(encoding="utf-8")


def take_away(addition: str, tree: Path) -> list[str]:
    """A copy of the package without an addition; returns the lines that left recipes.py."""
    package = tree / "codi_minimal"
    shutil.copytree(ROOT / "codi_minimal", package, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (package / "ours" / f"{addition}.py").unlink()
    names = [rf"ours\.{addition}", *re.findall(r"^class (\w+)\(Addition\)", source_of(addition), re.MULTILINE)]
    recipes = package / "recipes.py"
    lines = recipes.read_text(encoding="utf-8").splitlines(keepends=True)
    cut = [line for line in lines if re.search(rf"\b({'|'.join(names)})\b", line)]
    recipes.write_text("".join(line for line in lines if line not in cut), encoding="utf-8")
    return [line.strip() for line in cut]


def in_child(tree: Path, addition: str) -> None:
    """Leaves error.txt with what went wrong."""
    (tree / "error.txt").write_text(f"not done after {SECONDS} s, or killed", encoding="utf-8")
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    os.environ.pop("CODI_DATA", None)
    os.environ["HF_HUB_OFFLINE"] = "1"  # the built-in sample
    try:
        works(tree, addition)
    except BaseException:
        (tree / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        raise


def works(tree: Path, addition: str) -> None:
    import torch

    import codi_minimal

    assert Path(codi_minimal.__file__).is_relative_to(tree)
    from codi_minimal import recipes
    from codi_minimal.recipe import ADDITIONS
    from tests.models import AUDIO, NAMES, random_codi

    import_all(codi_minimal)
    assert addition not in ADDITIONS and len(ADDITIONS) == len(OURS) - 1
    model = random_codi()
    for recipe in recipes.RECIPES:
        for prompts in ({}, {"text": "a red seven", "audio": AUDIO}):
            z = model.generate_latents(prompts, NAMES, steps=1, recipe=recipe if recipe != "paper" else recipes.PAPER)
            assert list(z) == list(NAMES) and all(x.isfinite().all() for x in z.values())
        assert model.generate_latents(outputs="audio", given={"text": "seven"}, steps=1, recipe=recipe)["audio"].any()
    model.save_pretrained(tree / "saved")
    loaded = codi_minimal.CoDi.from_pretrained(tree / "saved", device="cpu")
    settings = {"prompts": {"audio": AUDIO}, "outputs": ("text", "image"), "steps": 2}
    for name, z in loaded.generate_latents(**settings).items():
        torch.testing.assert_close(z, model.generate_latents(**settings)[name], rtol=1e-4, atol=1e-4)
    if re.search(r"def (bridging_loss|loss)\(", source_of(addition)):
        trained(tree / "run")


def import_all(package: ModuleType) -> None:
    import importlib
    import pkgutil

    for module in pkgutil.walk_packages(package.__path__, "codi_minimal."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def trained(folder: Path) -> None:
    """Two steps of the stages that additions take part in."""
    from codi_minimal.config import preset
    from codi_minimal.data import load
    from codi_minimal.training import stages
    from codi_minimal.training.run import Run
    from tests.models import random_codi

    config = preset("tiny")
    few = {name: replace(config.train.stages[name], steps=2, batch=4) for name in STAGES}
    config = replace(config, train=replace(config.train, stages=few, cache=16, video_cache=8))
    model = random_codi().requires_grad_(True)
    model.config = config
    before = {name: x.clone() for name, x in model.state_dict().items()}
    run = Run(model, load(), folder, seed=0, progress=False)
    for name in STAGES:
        stages.STAGES[name].train(run)
    changed = {name.split(".")[2] for name, x in model.state_dict().items() if not x.equal(before[name])}
    assert {"prompt", "environment", "denoiser"} <= changed
