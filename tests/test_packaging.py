"""What a stranger installs: requirements agree, the Makefile starts from nothing, wheels hold the weights."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings its forerunner
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(*arguments, **variables):
    command = ["make", "-n", "--no-print-directory", *arguments, *(f"{k}={v}" for k, v in variables.items())]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_environment_yml_has_the_ranges_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + [r for extra in extras.values() for r in extra]
    assert pip == [*wanted, "-e ."]
    assert conda == [f"python{PROJECT['project']['requires-python']}", "pip"]


def test_everything_that_the_package_imports_is_required():
    imported = set()
    for path in (ROOT / "codi_minimal").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module)
    imported = {name.partition(".")[0] for name in imported} - {"codi_minimal", *sys.stdlib_module_names}
    extras = PROJECT["project"]["optional-dependencies"]
    everything = PROJECT["project"]["dependencies"] + [r for extra in extras.values() for r in extra]
    required = {re.split(r"[<>=]", r)[0] for r in everything}
    other_names = {"PIL": "pillow", "sklearn": "scikit-learn", "open_clip": "open_clip_torch", "IPython": "ipython"}
    assert {other_names.get(name, name) for name in imported} <= required


def test_text_files_are_utf_8_whatever_the_machines_code_page():
    for path in (ROOT / "codi_minimal").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
                assert "encoding" in [keyword.arg for keyword in node.keywords], f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open":
                mode = node.args[1].value if len(node.args) > 1 else "r"
                assert "b" in mode or "encoding" in [keyword.arg for keyword in node.keywords], f"{path}:{node.lineno}"


def test_all_that_is_no_python_is_packed():
    packed = PROJECT["tool"]["setuptools"]["package-data"]["codi_minimal"]
    assert packed == ["weights/**/*", "experiments/*.jsonl", "play/*.css"]
    assert "the codi-minimal authors" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the package as its wheel holds it. The wheel is built from a copy, which is then gone."""
    if not find_spec("pip") or not find_spec("setuptools") or int(metadata.version("setuptools").split(".")[0]) < 71:
        pytest.skip("no pip, or no setuptools that builds a wheel by itself")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "codi_minimal", folder / "tree/codi_minimal", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *build], cwd=folder / "tree", check=True)
    shutil.rmtree(folder / "tree")
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", str(wheel), "--no-deps", "--target", str(folder / "site")], check=True)
    return folder / "site"


def run_installed(site: Path, cwd: Path, *command: str) -> str:
    """What a command writes with this installation first on Python's path, in another folder."""
    options = {"cwd": cwd, "env": {**os.environ, "PYTHONPATH": str(site)}, "capture_output": True, "text": True}
    done = subprocess.run(command, **options, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_all_files_of_the_package(installed):
    def files(folder: Path) -> set[str]:
        found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(folder).as_posix() for path in found}

    assert files(installed / "codi_minimal") == files(ROOT / "codi_minimal")
    assert len(list(installed.glob("codi_minimal-*.dist-info/**/LICENSE"))) == 1
    assert {path.name for path in installed.iterdir()} - {"bin", "Scripts"} == {
        "codi_minimal", f"codi_minimal-{PROJECT['project']['version']}.dist-info",
    }  # fmt: skip


GENERATE = """
from codi_minimal import CoDi, codi
out = CoDi.from_pretrained(device="cpu").generate({"text": "seven"}, ("image", "audio", "video", "text"), steps=2)
print(*(tuple(out[name].shape) for name in ("image", "audio", "video")), len(out["text"]))
print(codi.__file__, codi.SHIPPED_WEIGHTS, sep="\\n")
"""


def test_the_wheel_generates_from_its_weights_without_a_checkout(installed, tmp_path):
    shapes, *places = run_installed(installed, tmp_path, sys.executable, "-c", GENERATE).splitlines()
    assert shapes == "(1, 3, 32, 32) (1, 8192) (1, 8, 3, 32, 32) 1"
    assert len(places) == 2 and all(installed in Path(place).parents for place in places)


def test_the_wheel_brings_the_command(installed, tmp_path):
    script = next(path for folder in ("bin", "Scripts") for path in (installed / folder).glob("codi-minimal*"))
    said = run_installed(installed, tmp_path, str(script), "generate", "--to", "image", "--steps", "2", "--out", "out")
    assert "001-image.png" in said and (tmp_path / "out" / "001-image.png").is_file()


@NEEDS_MAKE
def test_make_demo_on_a_fresh_machine_makes_a_venv_installs_and_runs(tmp_path):
    done = make("demo", VENV=tmp_path / "fresh")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    steps = ["-m venv", "-m pip install", "-m codi_minimal demo"]
    found = [next(i for i, line in enumerate(lines) if step in line) for step in steps]
    assert found == sorted(found)
    assert not any("extra-index-url" in line for line in lines)


@NEEDS_MAKE
def test_make_installs_again_only_when_pyproject_is_newer(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    for stamp in (".installed", ".installed-dev"):
        (tmp_path / stamp).touch()
    assert "pip install" not in make("demo", "test", "lint", VENV=tmp_path).stdout
    (tmp_path / ".installed-dev").unlink()
    done = make("test", VENV=tmp_path).stdout
    assert '".[dev,docs,play]"' in done and "-m venv" not in done and "-m pytest" in done


@NEEDS_MAKE
def test_make_passes_on_what_it_is_given(tmp_path):
    index = "https://download.pytorch.org/whl/cpu"
    done = make("train", VENV=tmp_path, PRESET="tiny", DATA="d", OUT="o", TORCH_INDEX=index).stdout
    assert "train --preset tiny --out o --data d" in done and f"--extra-index-url {index}" in done
    assert "--extra-index-url" not in make("train", VENV=tmp_path).stdout
    assert "evaluate --data d --checkpoint c" in make("evaluate", DATA="d", CHECKPOINT="c").stdout
    lab = make("lab", VENV=tmp_path / "fresh").stdout
    assert ".[notebooks]" in lab and lab.rstrip().endswith("jupyter lab")


@NEEDS_MAKE
def test_make_says_which_python_it_needs(tmp_path):
    command = ["make", "demo", f"VENV={tmp_path / 'fresh'}", "PYTHON="]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "error: no Python >= 3.10" in done.stderr
