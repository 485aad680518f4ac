"""Imports flow one way (the rooms of the package, lowest first), read from the source with ast."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "codi_minimal"

# plain helpers that know no model
BASE = {
    "checkpoint", "config", "device", "hub", "inputs", "layers", "lock", "spectrogram", "tokenizer",
}  # fmt: skip
DATA = {"data"}  # the world
FILES = {"fitting", "media", "sheet"}  # people's files, and the page of results
ROOMS = {"diffusion", "autoencoders", "prompts", "denoisers"}  # never one another
CORE = ROOMS | {"alignment", "modality", "recipe", "sample", "codi", ""}  # "": the package itself, which gives CoDi
TOP = CORE | BASE | DATA | FILES | {"recipes", "ours"}

ALLOWED = {
    **{name: BASE for name in BASE},
    "data": BASE,
    **{name: BASE | DATA | FILES for name in FILES},
    **{name: BASE for name in ROOMS},
    "alignment": BASE | ROOMS,
    "modality": BASE | ROOMS | {"alignment"},
    "recipe": BASE | {"alignment", "diffusion"},
    "sample": BASE | ROOMS | {"alignment", "modality", "recipe"},
    "codi": BASE | ROOMS | {"alignment", "modality", "recipe", "sample"},
    "": BASE | {"codi"},
    "ours": BASE | DATA | CORE - {"", "codi"},
    "recipes": {"ours", "recipe"},
    "training": TOP,
    "evaluation": TOP,
    "experiments": TOP | {"training", "evaluation"},
    "export": BASE | CORE - {""},
    "course": TOP | {"training", "evaluation"},
    "demo": TOP | {"evaluation"},
    "play": TOP | {"demo"},
    "arguments": set(),
    "asked": FILES | {"arguments", "config"},
    "asked_pairs": TOP | {"evaluation"},
    "asked_training": TOP | {"arguments", "asked_pairs", "training"},
    "benchmark": TOP,
    "cli": TOP
    | {"arguments", "asked", "asked_pairs", "asked_training", "benchmark", "evaluation", "experiments"}
    | {"demo", "export", "play"},
    "__main__": {"cli"},
}


def room(parts: tuple[str, ...]) -> str:
    """The first name below the package: config, diffusion, …; "" for the package itself."""
    return parts[1] if len(parts) > 1 else ""


def module_of(path: Path) -> tuple[str, ...]:
    return tuple(p for p in path.relative_to(PACKAGE.parent).with_suffix("").parts if p != "__init__")


def is_module(*names: str) -> bool:
    """`from codi_minimal import media` names a room, `from codi_minimal import CoDi` does not."""
    path = PACKAGE.parent.joinpath(*names)
    return path.is_dir() or path.with_suffix(".py").is_file()


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which type checkers alone read."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from at_run_time(node)


def imports(source: str, package: tuple[str, ...]) -> set[tuple[str, ...]]:
    """What source code in this package imports from codi_minimal, anywhere in it, as tuples of names."""
    found = set()
    for node in at_run_time(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            found |= {(*base, alias.name) if is_module(*base, alias.name) else base for alias in node.names}
    return {name for name in found if name[0] == "codi_minimal"}


def wrong_turns(source: str, module: tuple[str, ...], is_package: bool) -> list[str]:
    here = room(module)
    there = {room(name) for name in imports(source, module if is_package else module[:-1])} - {here}
    return sorted(name or "codi_minimal" for name in there - ALLOWED[here])


FILES_OF_PACKAGE = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES_OF_PACKAGE, ids=lambda p: ".".join(module_of(p)))
def test_imports_flow_one_way(path):
    wrong = wrong_turns(path.read_text(encoding="utf-8"), module_of(path), path.stem == "__init__")
    assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}, which lies above it or beside it"


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("codi_minimal.diffusion.loss", "from codi_minimal.denoisers.unet import UNet", ["denoisers"]),
        ("codi_minimal.diffusion.loss", "def f():\n    from ..codi import CoDi", ["codi"]),
        ("codi_minimal.data.pairs", "import codi_minimal.prompts.mixing", ["prompts"]),
        ("codi_minimal.media", "from . import modality", ["modality"]),
        ("codi_minimal.prompts.text", "from codi_minimal import CoDi", ["codi_minimal"]),
        ("codi_minimal.training.fit", "from codi_minimal.cli import main", ["cli"]),
        ("codi_minimal.alignment.joint", "from ..diffusion import q_sample\nfrom .environment import V", []),
        ("codi_minimal.sample", "from codi_minimal.ours.reading import Reading", ["ours"]),
        ("codi_minimal.codi", "def f():\n    from codi_minimal.recipes import PAPER", ["recipes"]),
        ("codi_minimal.ours.cascade", "from codi_minimal.recipes import SHIPPED", ["recipes"]),
        ("codi_minimal.ours.reading", "from codi_minimal.training.run import Run", ["training"]),
        ("codi_minimal.recipe", "if TYPE_CHECKING:\n    from codi_minimal.codi import CoDi", []),
        ("codi_minimal.recipe", "if TYPING:\n    from codi_minimal.codi import CoDi", ["codi"]),
    ],
)
def test_the_reader_sees_wrong_turns(module, source, wrong):
    assert wrong_turns(source, tuple(module.split(".")), is_package=False) == wrong


def test_the_core_finds_the_recipes_by_name_alone():
    """`import_module` with a name is an import that the other tests do not see."""
    named = []
    for path in FILES_OF_PACKAGE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and str(node.value).startswith("codi_minimal."):
                named.append((room(module_of(path)), node.value))
    assert [(where, name) for where, name in named if where in CORE | BASE] == [("recipe", "codi_minimal.recipes")]


def test_additions_do_not_depend_on_one_another():
    for path in (PACKAGE / "ours").glob("*.py"):
        others = {name for name in imports(path.read_text(encoding="utf-8"), module_of(path)[:-1]) if name[1] == "ours"}
        assert not others, f"{path.name} imports {others}, and could not stay without it"


def test_every_folder_of_modules_is_a_package_that_the_wheel_will_hold():
    folders = {path.parent for path in FILES_OF_PACKAGE}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_nothing_asks_for_cuda_by_name_or_branches_on_a_modality():
    for path in FILES_OF_PACKAGE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            line = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "cuda"), line
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq):
                values = {side.value for side in node.comparators if isinstance(side, ast.Constant)}
                assert not values & {"text", "image", "audio", "video"}, f"{line} branches on a name"
