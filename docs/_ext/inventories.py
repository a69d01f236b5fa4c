"""A warning for each entry of an inventory to which no page refers; Sphinx itself warns of names without an entry.

An entry's type is that by which the manual refers to it: a name in a signature is a class.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.intersphinx import InventoryAdapter
from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Note what is referred to while pages are written."""
    referred: set[str] = set()
    pages: list[str] = []

    def begin(app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
        pages.extend(names)

    def note(app: Sphinx, env: BuildEnvironment, reference: nodes.Element, content: nodes.Element) -> None:
        referred.add(reference["reftarget"])

    def end(app: Sphinx, error: Exception | None) -> None:
        if error is not None or set(pages) != app.env.found_docs:
            return
        for project, inventory in InventoryAdapter(app.env).named_inventory.items():
            for name in sorted({name for entries in inventory.values() for name in entries} - referred):
                logger.warning("no page refers to %s of docs/inventories/%s.inv", name, project)

    app.connect("env-before-read-docs", begin)
    app.connect("missing-reference", note, priority=400)  # before intersphinx finds it
    app.connect("build-finished", end)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
