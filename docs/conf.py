"""Sphinx's settings for these pages: ``tox -e docs`` builds them into ``.tox/docs/html``."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

from harness._version import __version__

project = "nas-harness"
version = release = __version__
project_copyright = "the authors of nas-harness, MIT licence"
html_title = f"nas-harness {__version__}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["examples"]
html_theme = "furo"
highlight_language = "text"
html_show_sourcelink = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
SECTIONS = Config(napoleon_use_ivar=True, napoleon_custom_sections=[("Class attributes", "Attributes")])

nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(torch|nn|numpy|pandas|pd|pydantic|abc|collections|pathlib|typing)\..*"),
    ("py:.*", r"(Validate|Curvature|(WeightSharing)?Method\..*)"),  # of other modules than the docstring
    ("py:.*", r"(Tensor|Path|Callable|Iterable|Sequence|Any|optional)"),
]


def read_sections(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Read Google's sections in docstrings, but not in those of attributes, where napoleon takes a colon for a type."""
    if what not in {"attribute", "data", "property"}:
        lines[:] = GoogleDocstring(lines, SECTIONS, what=what).lines()  # type: ignore[arg-type]


def setup(app: Sphinx) -> None:
    """Read docstrings as they are written."""
    app.connect("autodoc-process-docstring", read_sections)
