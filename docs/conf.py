"""Settings of the documentation site; CONTRIBUTING.md has the command that builds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(
    "TF_NUM_INTRAOP_THREADS", "1"
)  # threads of small networks wait for each other

from extensions.figures import ChartScraper  # noqa: E402

import tfticket  # noqa: E402

project = "tfticket"
author = "The tfticket authors"
copyright = f"2026, {author}"
version = release = tfticket.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "extensions.mathml",
    "extensions.reference",
    "extensions.repository",
    "extensions.offline",
]
root_doc = "index"
exclude_patterns = ["_build", "card_tables", "extensions", "tutorials", "static", "**/*.md5"]
nitpicky = True
# Types of Python, NumPy, Keras: their inventories would have to be downloaded.
nitpick_ignore_regex = [(r"py:.*", r"(?!tfticket\.).*")]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False

sphinx_gallery_conf = {
    # Continuous integration runs the tutorials as tests, and needn't do it twice.
    "plot_gallery": os.environ.get("TFTICKET_RUN_TUTORIALS", "1") == "1",
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_\w+\.py",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_",),
    "ignore_repr_types": r"tfticket\.display\.chart\.Chart",  # the scraper keeps them
    "image_scrapers": (ChartScraper(), "matplotlib"),
    "reset_modules": (),
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

html_theme = "furo"
html_title = "tfticket"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "source_repository": "https://github.com/tfticket/tfticket/",
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": [],
    "footer_icons": [],
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
