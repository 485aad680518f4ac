"""The site: `make docs`. It is built from the repository's root, so that links between files hold in both."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # mathml.py, tables.py
sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.links import REPOSITORY  # noqa: E402

project = "codi-minimal"
author = "the codi-minimal authors"
extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton",
    "mathml", "tables",
]  # fmt: skip
html_math_renderer = "mathml"
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "notebooks/*.ipynb",
    "tutorials/*.md",
    "tutorials/*.ipynb",
    "conformance/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["docs/redirect/**", "docs/_static/**", "**/.ipynb_checkpoints", "**/runs/**"]
html_theme = "furo"
html_title = "codi-minimal"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = html_show_copyright = False
html_sourcelink_suffix = ""  # notebooks are copied to _sources under their own names, to be downloaded
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "",
    "footer_icons": [{"name": "The repository", "url": REPOSITORY, "html": "The repository", "class": ""}],
}
html_extra_path = ["redirect"]  # index.html, at the top

nb_execution_mode = "off"  # shown as they are committed
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": False}
napoleon_use_ivar = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"


def plain(app, what, name, obj, options, lines) -> None:
    """Docstrings are plain text with `code` in it: all else that reStructuredText would read as markup is escaped."""
    for i, line in enumerate(lines):
        if ">>>" not in line:
            parts = re.split(r"(`+[^`]+`+)", line)
            code = [f"``{part.strip('`')}``" for part in parts[1::2]]
            text = [re.sub(r"([*|])|_(?=\W|$)", lambda m: f"\\{m[0]}", part) for part in parts[::2]]
            lines[i] = "".join(x for pair in zip(text, [*code, ""], strict=True) for x in pair)


def download(app, name: str, template: str, context: dict, doctree) -> None:
    """A notebook can be downloaded from its page."""
    if context.get("page_source_suffix") == ".ipynb":
        file = context["pathto"](f"_sources/{context['sourcename']}", resource=True)
        link = f'<p class="download"><a href="{file}" download>Download this notebook</a></p>'
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("html-page-context", download)
    app.connect("autodoc-process-docstring", plain, priority=100)  # before napoleon, which makes markup of its own
