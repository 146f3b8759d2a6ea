"""`Chart`: a figure that a notebook shows and a file holds."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from tfticket.display.charts import Figure, standalone, to_png, to_svg
from tfticket.display.palette import PALETTE, light
from tfticket.files import write_bytes, write_json, write_text

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; {light} }}
@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}
body {{ background: var(--paper); margin: 1rem; }}
svg {{ max-width: 100%; height: auto; }}
</style>
{svg}
</html>
"""


@dataclass(frozen=True)
class Chart:
    """A figure: shown by notebooks, and written by `save`.

    Args:
        figure: A specification of Vega-Lite, as `tfticket.display.charts` makes it.
        title: Title of the page that `save("x.html")` writes.

    Example:
        >>> from tfticket.display.plots import bars
        >>> chart = Chart(bars({"hidden": 0.2, "output": 0.5}, "density"))
        >>> chart.save("layers.svg").read_text()[:4]
        '<svg'
    """

    figure: Figure = field(repr=False)
    title: str = ""

    @property
    def svg(self) -> str:
        """The drawing as an SVG element in the light colors."""
        return light(self._drawn())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the figure, in the format that the name ends with.

        Args:
            path: Ends with `.svg`; `.png`, of 200 dots per inch; `.html`, a page that follows the
                reader's light or dark colors; or `.json`, the specification of Vega-Lite.

        Raises:
            ValueError: when it ends with something else.
            RunError: when it can't be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".svg":
            return write_text(path, self.svg + "\n")
        if suffix == ".png":
            return write_bytes(path, to_png(self._drawn()))
        if suffix == ".html":
            return write_text(path, self._page())
        if suffix == ".json":
            return write_json(path, json.loads(light(json.dumps(standalone(self.figure)))))
        raise ValueError(
            "A chart is saved as .svg, .png, .html or .json (Vega-Lite). "
            f"Received: path={os.fspath(path)!r}"
        )

    def _drawn(self) -> str:
        """Draw it with identifiers of its own, since a notebook shows several charts on a page."""
        content = json.dumps(self.figure, sort_keys=True).encode()
        return to_svg(self.figure, name=f"chart-{zlib.crc32(content):08x}")

    def _page(self) -> str:
        colors = [
            " ".join(f"--{name}: {pair[mode]};" for name, pair in PALETTE.items())
            for mode in (0, 1)
        ]
        svg = self._drawn()
        return _PAGE.format(title=self.title, svg=svg, light=colors[0], dark=colors[1])

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div class="tfticket-chart">{self.svg}</div>'
