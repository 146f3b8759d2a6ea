"""Figures declared as data and encoding, drawn by Vega-Lite.

A figure is a specification of Vega-Lite over tidy rows: a row a mark, with columns `x` and `y`,
`low` and `high` (of bands and whiskers) and `name` (of the series). Colors are named by the CSS
variables of the page, so that one drawing serves light and dark screens; a PNG has the light ones
filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np

from tfticket.display.palette import BAR, BROKEN, Look, css, light
from tfticket.display.words import MINUS, NONE, THIN, number, percent, superscript

T = TypeVar("T")
Figure: TypeAlias = dict[str, Any]
"""A specification of Vega-Lite; https://vega.github.io/vega-lite/docs tells its words."""
Rows: TypeAlias = list[dict[str, Any]]

WIDE = 780
"""Width in pixels that the panels of a figure share when it takes the page's whole width."""
NARROW = 345
"""Width of the panel of a figure that takes half the page."""
TALL = 205
"""Usual height of a panel."""

_DOTS_PER_INCH = 200  # of a PNG
_WIDE = 300.0  # a range that a linear axis can't show
_LOCALE = {"decimal": ".", "thousands": THIN, "grouping": [3], "currency": ["", ""], "minus": MINUS}
_AXIS = {
    "domainColor": css("muted"), "tickColor": css("muted"), "labelColor": css("muted"),
    "titleColor": css("ink"), "gridColor": css("line"), "gridWidth": 0.6, "domainWidth": 0.8,
    "titleFontWeight": "normal", "titleFontSize": 9.5, "labelFontSize": 9, "tickSize": 4,
    "labelLimit": 260, "titleLimit": 320,
}  # fmt: skip
CONFIG = {
    "background": css("paper"),
    "font": "DejaVu Sans, Liberation Sans, sans-serif",
    "padding": 4,
    "view": {"stroke": None},
    "axis": _AXIS,
    "title": {"anchor": "start", "color": css("ink"), "fontSize": 10, "fontWeight": "normal",
              "offset": 5, "limit": 600},
    "legend": {"orient": "top", "direction": "horizontal", "title": None, "labelFontSize": 9,
               "labelColor": css("ink"), "labelLimit": 320, "symbolSize": 40,
               "symbolOpacity": 1},
    "concat": {"spacing": 18},
    # Only points speak of themselves, to screen readers and under the pointer.
    **{mark: {"aria": False} for mark in ("area", "line", "rule", "text", "image", "rect", "tick")},
}  # fmt: skip


def to_svg(figure: Figure, *, name: str) -> str:
    """Draw a figure as an SVG element in the colors of the page; the same bytes each time.

    Args:
        figure: The specification.
        name: Prefix of its identifiers, unique on the page.
    """
    import vl_convert  # here, since most who make figures never draw them

    svg = vl_convert.vegalite_to_svg(
        figure, config=CONFIG, format_locale=_LOCALE, allowed_base_urls=[]
    )
    numbers: dict[str, int] = {}  # Vega counts on from one drawing to the next
    return re.sub(
        r'(\bid="|url\(#)([^")]+)',
        lambda found: f"{found[1]}{name}-{numbers.setdefault(found[2], len(numbers) + 1)}",
        svg,
    )


def to_png(svg: str) -> bytes:
    """Rasterize what `to_svg` gave, in the light colors, at 200 dots per inch."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(light(svg), scale=_DOTS_PER_INCH / 72))


def standalone(figure: Figure) -> Figure:
    """Return the specification with all that `to_svg` adds, for other programs."""
    schema = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json"}
    return schema | figure | {"config": {**CONFIG, "locale": {"number": _LOCALE}}}


def rows(**columns: Any) -> Rows:
    """Make tidy rows from columns; a scalar is repeated, and non-finite values become None.

    Example:
        >>> rows(x=[1, 2], y=np.array([0.5, np.nan]), name="ticket")
        [{'x': 1, 'y': 0.5, 'name': 'ticket'}, {'x': 2, 'y': None, 'name': 'ticket'}]
    """
    length = max(len(values) for values in columns.values() if not _is_single(values))
    lists = {
        name: [values] * length if _is_single(values) else np.asarray(values).tolist()
        for name, values in columns.items()
    }
    return [
        {name: _finite(value) for name, value in zip(lists, found, strict=True)}
        for found in zip(*lists.values(), strict=True)
    ]


def _is_single(values: Any) -> bool:
    return isinstance(values, str) or np.ndim(values) == 0


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True)
class Axis:
    """A quantitative axis.

    Attributes:
        title: What it measures, and its unit.
        domain: First and last value, falling where the axis does; None to fit the data.
        log: Whether it is logarithmic.
        ticks: Value to label, or None for round numbers.
        labels: Whether ticks are labeled.
        grid: Whether ticks have lines.
    """

    title: str = ""
    domain: tuple[float, float] | None = None
    log: bool = False
    ticks: Mapping[float, str] | None = None
    labels: bool = True
    grid: bool = True

    def encoding(self) -> dict[str, Any]:
        """Return title, scale and axis as a channel of Vega-Lite."""
        axis: dict[str, Any] = {"grid": self.grid, "labels": self.labels}
        if self.ticks is None:
            axis |= {"tickCount": 6, "format": ",f"}
        else:
            places = json.dumps(list(self.ticks))
            labels = json.dumps(list(self.ticks.values()), ensure_ascii=False)
            axis |= {"values": list(self.ticks), "labelOverlap": "parity",
                     "labelExpr": f"{labels}[indexof({places}, datum.value)]"}  # fmt: skip
        scale: dict[str, Any] = {"type": "log" if self.log else "linear"}
        scale |= {"zero": False, "nice": False}
        if self.domain is not None:
            scale["domain"] = [float(end) for end in self.domain]
        return {"type": "quantitative", "title": self.title, "scale": scale, "axis": axis}

    def describe(self, value: float | None, *ends: float | None) -> str:
        """Describe a value by the title, with the ends of its interval if they differ from it."""
        known: dict[Any, str] = {None: NONE, **(self.ticks or {})}
        text, *others = (
            known.get(each) or f"{each:,.4g}".replace(",", THIN).replace("-", MINUS)
            for each in (value, *ends)
        )
        if any(other != text for other in others):
            text += f" ({' to '.join(others)})"
        return f"{self.title.removesuffix(', logarithmic')}: {text}" if self.title else text

    def contains(self, values: Iterable[float | None]) -> bool:
        """Return whether all values lie within the domain."""
        low, high = sorted(self.domain or (-np.inf, np.inf))
        return all(value is None or low <= value <= high for value in values)


@dataclass(frozen=True)
class Panel:
    """Two axes and the looks of the series, shared by the layers that are drawn on them.

    Attributes:
        x: The horizontal axis.
        y: The vertical axis.
        looks: Name of a series to its look, in the order of the legend.
        width: Width of the panel in pixels.
        height: Height of the panel in pixels.
        title: What stands above it.
        named: Series that stand in the legend; None for all, empty for no legend.
    """

    x: Axis
    y: Axis
    looks: Mapping[str, Look] = field(default_factory=dict)
    width: float = NARROW
    height: float = TALL
    title: str = ""
    named: Sequence[str] | None = None

    def draw(self, *layers: Figure) -> Figure:
        """Stack layers, the first at the bottom."""
        found = {"layer": list(layers), "width": self.width, "height": self.height}
        return found | ({"title": self.title} if self.title else {})

    def band(self, data: Rows, *, opacity: float = 0.14, color: str | None = None) -> Figure:
        """Fill the area from `low` to `high`, in the color of the series or `color`."""
        mark = {"type": "area", "opacity": opacity}
        return self._layer(mark, data, self._color(color), y="low", y2="high")

    def line(self, data: Rows, *, width: float = 1.6, opacity: float = 1.0,
             color: str | None = None, **mark: Any) -> Figure:  # fmt: skip
        """Draw a line through the rows of each series, in their order."""
        dashes = [list(look.dash) or [1, 0] for look in self.looks.values()]
        encoding = {**self._color(color), "order": {"value": None}}
        if color is None:
            encoding |= self._by_name("strokeDash", dashes)
        mark = {"type": "line", "strokeWidth": width, "opacity": opacity} | mark
        return self._layer(mark, data, encoding)

    def points(self, data: Rows, *, size: float = 24, dots: bool = False, **mark: Any) -> Figure:
        """Draw a mark for each row, in the shape of its series or as a dot."""
        shapes = [look.shape or (BROKEN if look.dash else BAR) for look in self.looks.values()]
        encoding = self._color() | ({} if dots else self._by_name("shape", shapes))
        found = {"type": "point", "filled": True, "shape": "circle", "size": size, "opacity": 1}
        return self._layer(found | mark, data, encoding)

    def described(self, data: Rows) -> Rows:
        """Add a `description` to each row, for tooltips and screen readers."""
        return [
            {**row, "description": "; ".join([
                row["name"],
                self.x.describe(*(row[c] for c in ("x", "left", "right") if c in row)),
                self.y.describe(*(row[c] for c in ("y", "low", "high") if c in row)),
            ])}
            for row in data
        ]  # fmt: skip

    def whiskers(self, data: Rows, *, level: bool = False, width: float = 0.9,
                 opacity: float = 0.8) -> Figure:  # fmt: skip
        """Draw vertical lines from `low` to `high`, or `level` ones from `left` to `right`."""
        mark = {"type": "rule", "strokeWidth": width, "opacity": opacity}
        if level:
            return self._layer(mark, data, self._color(), x="left", x2="right")
        return self._layer(mark, data, self._color(), y="low", y2="high")

    def tiles(self, data: Rows, *, color: str) -> Figure:
        """Draw rectangles from `left` to `right` and `low` to `high`, with `share` as opacity."""
        opacity = {"field": "share", "type": "quantitative", "scale": None, "legend": None}
        mark = {"type": "rect", "color": css(color)}
        ends = {"x": "left", "x2": "right", "y": "low", "y2": "high"}
        return self._layer(mark, data, {"opacity": opacity}, **ends)

    def curves(self, found: Iterable[tuple[str, np.ndarray, np.ndarray, np.ndarray]]
               ) -> list[Figure]:  # fmt: skip
        """Draw each (name, steps, values, smoothed values): smoothed thick, over thin values."""
        thin: Rows = []
        thick: Rows = []
        for name, steps, values, smooth in found:
            thick += rows(x=steps, y=smooth, name=name)
            thin += [] if smooth is values else rows(x=steps, y=values, name=name)
        return [self.line(thin, width=0.5, opacity=0.3), self.line(thick)]

    def means(self, data: Rows) -> list[Figure]:
        """Draw rows of `seed_means`: a band, a line, and dots for a single evaluation."""
        single = len({row["x"] for row in data}) == 1
        dots = [self.points(data, dots=True)] if single else []
        return [self.band(data, opacity=0.18), self.line(data), *dots]

    def marks(self, data: Rows, mark: Mapping[str, Any], **encoding: Any) -> Figure:
        """Draw any other mark of Vega-Lite on the same axes."""
        return self._layer(mark, data, encoding)

    def rule(self, *, x: float | None = None, y: float | None = None, color: str = "muted",
             dash: Sequence[float] = (1, 2), width: float = 1) -> Figure:  # fmt: skip
        """Draw a line across the panel, at a value of one axis."""
        mark = {"type": "rule", "color": css(color), "strokeDash": list(dash), "strokeWidth": width}
        layer = self._layer(mark, rows(x=[x], y=[y]), {})
        del layer["encoding"]["x" if x is None else "y"]
        return layer

    def remark(self, text: str, *, x: float, y: float | None = None, color: str = "muted",
               **mark: Any) -> Figure:  # fmt: skip
        """Write text at a point, or above the panel if there is no `y`."""
        mark = {"type": "text", "fontSize": 8.5, "color": css(color), "text": text} | mark
        above = {"y": {"value": 0}} if y is None else {}
        return self._layer(mark, rows(x=[x], y=y), above)

    def _layer(
        self, mark: Mapping[str, Any], data: Rows, encoding: Mapping[str, Any],
        *, x: str = "x", y: str = "y", **ends: str,
    ) -> Figure:  # fmt: skip
        found = {
            "x": {"field": x, **self.x.encoding()},
            "y": {"field": y, **self.y.encoding()},
            **{channel: {"field": column} for channel, column in ends.items()},
        }
        inside = self.x.contains(row.get(c) for row in data for c in ("x", "left", "right")) and (
            self.y.contains(row.get(c) for row in data for c in ("y", "low", "high"))
        )
        if mark["type"] == "point" and all({"name", "x", "y"} <= row.keys() for row in data):
            data, found["description"] = self.described(data), {"field": "description"}
        # Clipping takes a raster of its own, so only what leaves the panel is clipped.
        return {
            "data": {"values": data},
            "mark": {**mark} if inside else {**mark, "clip": True},
            "encoding": {**found, **encoding},
        }

    def _color(self, color: str | None = None) -> dict[str, Any]:
        if color is not None:
            return {"color": {"value": css(color)}, "detail": {"field": "name"}}
        return self._by_name("color", [css(look.color) for look in self.looks.values()])

    def _by_name(self, channel: str, values: Sequence[Any]) -> dict[str, Any]:
        scale = {"domain": list(self.looks), "range": list(values)}
        legend: dict[str, Any] | None = None
        if self.named is None or self.named:
            # Marks are filled; their outlines would be dashed where the line is.
            shaped = any(look.shape for look in self.looks.values())
            names = list(self.named or self.looks)
            room = 24 + 5.2 * max(map(len, names), default=0)
            legend = {
                "symbolStrokeWidth": 0 if shaped else 1.8,
                "columns": max(1, int((NARROW if self.width == NARROW else WIDE) // room)),
                "values": names,
            }
        found = {"field": "name", "type": "nominal", "scale": scale, "legend": legend}
        return {channel: {**found, "title": None}}


def seed_means(name: str, steps: np.ndarray, values: np.ndarray) -> Rows:
    """Return mean, lowest and highest over seeds at each step, in percent.

    Args:
        name: Name of the series.
        steps: Shape (n,).
        values: Rates, shape (seeds, n), NaN where a seed wasn't measured.
    """
    values = 100 * values
    return rows(
        x=steps, y=np.nanmean(values, axis=0), low=np.nanmin(values, axis=0),
        high=np.nanmax(values, axis=0), name=name,
    )  # fmt: skip


def beside(*figures: Figure) -> Figure:
    """Lay panels out in a row."""
    return {"hconcat": list(figures)}


def below(*figures: Figure) -> Figure:
    """Lay panels, or rows of panels, out in a column."""
    return {"vconcat": list(figures)}


def wrapped(figures: Sequence[Figure], columns: int) -> Figure:
    """Lay panels out in rows of `columns`."""
    return below(*(beside(*figures[i : i + columns]) for i in range(0, len(figures), columns)))


def fitted(
    title: str, values: Iterable[Any], *, log: bool | None = False, zero: bool = False,
    quantiles: tuple[float, float] = (0, 1), limits: tuple[float, float] = (-np.inf, np.inf),
) -> Axis:  # fmt: skip
    """Fit an axis to values, with a margin on both sides.

    Args:
        title: Its title.
        values: Arrays; non-finite values are ignored.
        log: Whether it is logarithmic; None to decide by `is_wide`.
        zero: Whether it starts at zero, or below if values are negative.
        quantiles: Quantiles of the values that it spans.
        limits: Lowest and highest end allowed.
    """
    arrays = [np.ravel(np.asarray(array, float)) for array in values]
    found = np.concatenate(arrays) if arrays else np.empty(0)
    found = found[np.isfinite(found)]
    positive = found[found > 0]
    if positive.size and (is_wide([positive]) if log is None else log):
        low, high = np.quantile(positive, quantiles)
        room = max(high / low, 1.1) ** 0.06
        return log_axis(title, float(low / room), float(high * room))
    low, high = np.quantile(found, quantiles) if found.size else (0.0, 1.0)
    low = min(0.0, low) if zero else low
    room = 0.06 * (high - low or abs(high) or 1.0)
    low = low - room if low or not zero else 0.0
    return Axis(title, (max(limits[0], float(low)), min(limits[1], float(high + room))))


def is_wide(values: Sequence[np.ndarray]) -> bool:
    """Return whether positive values span too many orders of magnitude for a linear axis."""
    found = np.concatenate([array.ravel() for array in values]) if values else np.empty(0)
    found = found[np.isfinite(found) & (found > 0)]
    return bool(found.size) and float(np.quantile(found, 0.98) / np.quantile(found, 0.02)) > _WIDE


def blank(width: float, height: float) -> Figure:
    """Leave room for a missing panel."""
    return {"data": {"values": []}, "mark": "rule", "width": width, "height": height}


def density_axis(densities: Iterable[float]) -> Axis:
    """Return a logarithmic axis, dense at the left, with ticks at densities that occur."""
    values = sorted({round(float(value), 6) for value in densities}, reverse=True)
    room = max(1.0, np.log(values[0] / values[-1]))
    ticks = [values[0]]
    for value in values[1:]:
        if np.log(ticks[-1] / value) >= room / 9:
            ticks.append(value)
    return Axis(
        "weights left (%), logarithmic",
        (100 * values[0] * np.exp(room / 40), 100 * values[-1] * np.exp(-room / 40)),
        log=True,
        ticks={100 * tick: percent(tick)[:-2] for tick in ticks},
    )


def step_axis(last: float) -> Axis:
    """Return an axis of optimizer steps from 0 to the last."""
    return Axis("iteration", (0, last))


def log_axis(title: str, low: float, high: float) -> Axis:
    """Return a logarithmic axis with ticks at 1, 2, 5, or at powers of ten if it is long."""
    decades = np.log10(high / low)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    every = max(1, -(-(last - first) // 6)) if decades > 5 else 1
    leads = range(1, 10) if decades < 0.7 else (1, 2, 5) if decades < 2.5 else (1,)
    ticks = [lead * 10.0**power for power in range(first, last + 1, every) for lead in leads]
    shown = {tick: power(tick) for tick in ticks if low <= tick <= high}
    return Axis(title, (low, high), log=True, ticks=shown or None)


def power(value: float) -> str:
    """Format a tick of a logarithmic axis: 0.05, 20, 10⁶."""
    exponent = int(np.floor(np.log10(value) + 1e-9))
    if 1e-3 <= value < 1e5:
        return number(value, max(0, -exponent))
    lead = round(value / 10.0**exponent)
    raised = superscript(exponent)
    return f"10{raised}" if lead == 1 else f"{lead}·10{raised}"


def plain(values: Iterable[float], low: float = 0.0, high: float = np.inf) -> dict[float, str]:
    """Return ticks at the values between `low` and `high`, with short labels."""
    return {float(value): f"{value:g}" for value in values if low <= value <= high}


def spread_out(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, evenly spaced, the first and last among them."""
    places = np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))
    return [items[place] for place in places] if items else []
