"""Equations as MathML, which browsers draw by themselves: no script, nothing to fetch."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

BARE_FRACTION = re.compile(r"(\\[td]?frac)\s*(\d)\s*(\d)")
WIDE_SPACE = re.compile(r"\\q?quad\b")


def convert(tex: str, block: bool) -> str:
    r"""TeX to MathML. The converter reads ``\frac14`` as 14 over what follows, so each digit gets its braces."""
    return str(tex2mathml(BARE_FRACTION.sub(r"\1{\2}{\3}", tex), as_block=block))


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write an equation in a line of text."""
    self.body.append(convert(node.astext(), block=False))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    r"""Write equations of their own; what ``\quad`` separates may go to the next line where space is short."""
    parts = (convert(part, block=True) for part in WIDE_SPACE.split(node.astext()))
    self.body.append(f'<div class="math">{"".join(parts)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
