"""How the pages in this folder become HTML: `sphinx-build -W -q -b html docs build/docs`."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml

import tacit

project = "tacit"
author = "The tacit developers"
copyright = author
release = version = tacit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
language = "en-GB"
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Signatures show aliases as they are written, not what they stand for.
autodoc_type_aliases = {name: name for name in ("Labels", "Mask", "Normalisation", "Scores")}
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "tacit"
html_extra_path = ["llms.txt"]
html_copy_source = False
html_math_renderer = "mathml"


def _write_mathml(translator: Any, node: nodes.Element, as_block: bool) -> None:
    """Write a formula as MathML, which browsers read without fetching a script."""
    formula = latex2mathml.tex2mathml(node.astext(), as_block=as_block)
    opening, closing = (
        ('<div class="math" style="margin: 1em 0; overflow-y: hidden">', "</div>\n")
        if as_block
        else ("", "")
    )
    translator.body.append(f"{opening}{formula}{closing}")
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register what Sphinx does not bring along."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda writer, node: _write_mathml(writer, node, False), None),
        block_renderers=(lambda writer, node: _write_mathml(writer, node, True), None),
    )
