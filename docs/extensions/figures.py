"""Figures of tutorials: what draws itself as an SVG is kept as one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst


class ChartScraper:
    """Keep the last value of a block where it is a chart of tfticket.

    Those have a method `save`, which writes the format that a file's suffix names. A value that
    draws itself into the page by `_repr_html_` is left to sphinx-gallery.
    """

    def __init__(self) -> None:
        self._kept = 0  # identity of the last chart: it stays the last value in later blocks

    def __repr__(self) -> str:
        # Stands in the environment of a build, which must not differ from one to the next.
        return "ChartScraper()"

    def __call__(
        self, block: object, variables: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> str:
        """Save the chart, and return how it is included; nothing if there is none."""
        value = variables["example_globals"].get("___")
        if not hasattr(value, "_repr_svg_") or not hasattr(value, "save"):
            return ""
        if id(value) == self._kept:
            return ""
        self._kept = id(value)
        path = Path(next(variables["image_path_iterator"]))
        value.save(path)
        return str(figure_rst([str(path)], settings["src_dir"]))
