"""The manual: Markdown pages whose code runs when they are built. ``make docs`` builds it into build/docs."""

import os
import sys
from pathlib import Path

from numpydoc.xref import DEFAULT_LINKS

import pyjpegdiff

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# The pages' kernels find `themed_figures` where this file does, and the package where it was found just now.
search = [str(HERE / "_ext"), str(Path(pyjpegdiff.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, search))

project = "pyjpegdiff"
author = "The pyjpegdiff developers"
copyright = author  # noqa: A001
release = version = pyjpegdiff.__version__

extensions = [
    "inventories",
    "mathml",
    "myst_nb",
    "notebooks",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "written_types",
]
exclude_patterns = ["_ext"]
default_role = "py:obj"  # single backticks in docstrings
highlight_language = "none"  # of blocks that do not name one

# --- pages ------------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Always run: a page's figures also depend on the package, of which no cache of pages knows.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
# No button beside what a cell prints.
copybutton_selector = "div.cell_input pre, div:not(.cell_output) > div.highlight pre"
suppress_warnings = ["mystnb.unknown_mime_type"]

# --- reference --------------------------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autosummary_generate = False  # pages have the functions themselves
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
nitpicky = True  # a type or a function that nothing documents fails the build
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

# Nothing is fetched: each inventory has only what the manual refers to, as `inventories` checks, in the readable form.
intersphinx_mapping = {
    project: (f"https://{address}/", f"inventories/{project}.inv")
    for project, address in {
        "dask": "docs.dask.org/en/stable",
        "distributed": "distributed.dask.org/en/stable",
        "jax": "docs.jax.dev/en/latest",
        "numpy": "numpy.org/doc/stable",
        "python": "docs.python.org/3",
        "torch": "docs.pytorch.org/docs/stable",
        "torchvision": "docs.pytorch.org/vision/stable",
    }.items()
}
# Types that docstrings name; all other words there stay words.
numpydoc_xref_param_type, numpydoc_xref_ignore = True, "all"
numpydoc_xref_aliases = {word: word for word in DEFAULT_LINKS} | {
    name: f":py:obj:`{name}`"
    for name in ("AssertionError", "FileExistsError", "OSError", "TypeError", "ValueError", "distributed.Client")
}
numpydoc_xref_aliases |= {"Tensor": "torch.Tensor", "torch.Generator": ":py:obj:`torch.Generator`"}

# --- looks ------------------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"pyjpegdiff {release}"
html_static_path = ["_static"]
html_css_files = ["pyjpegdiff.css"]
html_math_renderer = "mathml"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d6996", "color-brand-content": "#1d6996"},
    "dark_css_variables": {"color-brand-primary": "#6cb4dd", "color-brand-content": "#6cb4dd"},
}
pygments_style, pygments_dark_style = "friendly", "github-dark"
