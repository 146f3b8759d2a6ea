"""Figures of tutorials: what draws itself as an SVG is kept as one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfticket.display import Chart
from tfticket.display.narrow import narrowed

_IMAGE = """
.. image:: /{path}
   :alt: {alt}
   :class: sphx-glr-single-img {shown}
"""


class ChartScraper:
    """Keep the last value of a block where it is a chart of tfticket.

    One that is wide is kept a second time, laid out for narrow screens; `site.css` shows one of
    them. A value that draws itself into the page by `_repr_html_` is left to sphinx-gallery.
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
        if not isinstance(value, Chart):
            return ""
        if id(value) == self._kept:
            return ""
        self._kept = id(value)
        path = Path(next(variables["image_path_iterator"])).with_suffix(".svg")
        value.save(path)
        column = narrowed(value.figure)
        if column is None:
            return _included(path, settings, value.title)
        narrow = Chart(column).save(path.with_stem(f"{path.stem}_narrow"))
        return _included(path, settings, value.title, shown="on-wide") + _included(
            narrow, settings, value.title, shown="on-narrow"
        )


def _included(path: Path, settings: Mapping[str, Any], title: str, *, shown: str = "") -> str:
    place = path.relative_to(settings["src_dir"]).as_posix()
    return _IMAGE.format(path=place, alt=f"Figure of the {title}", shown=shown)
