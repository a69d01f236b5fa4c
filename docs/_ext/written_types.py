"""Types as people write them: Python and libraries have put others in their place before Sphinx sees them."""

import re
from typing import Any

import jax
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sphinx.application import Sphinx
from sphinx.domains.python import PyAttribute
from sphinx.util.typing import stringify_annotation

NAMES = {ArrayLike: "numpy.typing.ArrayLike", jax.Array: "jax.Array", torch.Generator: "torch.Generator"}
WRITTEN = {stringify_annotation(type_, "smart"): f"~{name}" for type_, name in NAMES.items()}
WRITTEN["Callable[[...], "] = "Callable[..., "
BEFORE, AFTER = map(re.escape, stringify_annotation(NDArray[np.generic], "smart").split("~numpy.generic"))
ARRAY = re.compile(rf"{BEFORE}([\w.~]+){AFTER}")


def as_written(text: str) -> str:
    """A type or a signature with their names again, and with ``NDArray[...]``."""
    for found, name in WRITTEN.items():
        text = text.replace(found, name)
    return ARRAY.sub(r"~numpy.typing.NDArray[\1]", text)


def of_callable(
    app: Sphinx, kind: str, name: str, item: object, options: object, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """The signature of a function or class; a protocol, which nobody calls, has none."""
    if getattr(item, "_is_protocol", False):
        return "", None
    return arguments and as_written(arguments), result and as_written(result)


def of_attribute(self: Any, signature: str, node: Any) -> Any:
    """Write the name and the type of an attribute."""
    if "type" in self.options:
        self.options["type"] = as_written(self.options["type"])
    return PyAttribute.handle_signature(self, signature, node)


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part where Sphinx writes types."""
    app.connect("autodoc-process-signature", of_callable)
    attribute = type("Attribute", (PyAttribute,), {"handle_signature": of_attribute})
    app.add_directive_to_domain("py", "attribute", attribute, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
