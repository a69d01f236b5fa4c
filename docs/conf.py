"""The manual: Markdown pages whose code runs when they are built. ``make docs`` builds it into build/docs."""

import os
import sys
from pathlib import Path

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
    "mathml",
    "myst_nb",
    "notebooks",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
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
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

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
