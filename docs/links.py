"""Writes into every notebook how it is opened elsewhere: `python -m docs.links`.

The badge below the title opens the notebook in Colab, and the first code cell installs the package where it is missing.
Both name the address of the repository, which is in pyproject.toml.
"""

from pathlib import Path

import nbformat

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings its forerunner
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
SETUP = f"""\
# set-up: installs codi-minimal, with its weights, where it is missing
import importlib.util

if importlib.util.find_spec("codi_minimal") is None:
    %pip install --quiet "codi-minimal @ git+{REPOSITORY}"
"""


def badge(path: Path) -> str:
    """The line that opens a notebook in Colab; its picture is in the repository, so that no page needs a network."""
    owner_and_name = REPOSITORY.removeprefix("https://github.com/")
    at = f"https://colab.research.google.com/github/{owner_and_name}/blob/main/{path.parent.name}/{path.name}"
    return f"[![Open in Colab](../docs/_static/colab.svg)]({at})"


def write(path: Path) -> None:
    """The badge after the title, and the set-up as the second cell, to be executed with the others.

    Raises:
        ValueError: if the notebook does not begin with a cell of text whose first line is a title.
    """
    notebook = nbformat.read(path, as_version=4)
    if not notebook.cells or notebook.cells[0].cell_type != "markdown" or notebook.cells[0].source[:2] != "# ":
        raise ValueError(f"{path}: expected a first cell of markdown that begins with '# '")
    first, *rest = notebook.cells
    title, *lines = first.source.splitlines()
    body = "\n".join(line for line in lines if "colab.svg" not in line).strip()
    first.source = f"{title}\n\n{badge(path)}\n\n{body}"
    if not rest or "setup" not in rest[0].metadata.get("tags", []):
        rest.insert(0, nbformat.v4.new_code_cell(metadata={"tags": ["setup"]}, id="setup"))
    rest[0].source = SETUP.strip()
    notebook.cells = [first, *rest]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for folder in ("notebooks", "tutorials"):
        for path in sorted((ROOT / folder).glob("*.ipynb")):
            write(path)
