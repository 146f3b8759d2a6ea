"""Colors, and how a matplotlib figure becomes part of a page.

A figure is drawn once, in the colors for light paper. In the page its colors become CSS variables,
so that the same drawing is legible on a dark screen; as a PNG it keeps them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tfticket.report.words import number, percent, superscript

T = TypeVar("T")

PALETTE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # name: (on white, on dark); the series are told apart with any color vision.
        "ink": ("#1c2127", "#e4e8ec"),
        "muted": ("#626b75", "#9aa5b1"),
        "line": ("#d7dce1", "#3a424b"),
        "wash": ("#f4f6f8", "#20262d"),
        "paper": ("#ffffff", "#161a1f"),
        "blue": ("#0068a8", "#62b5f2"),
        "orange": ("#c94f00", "#ff9257"),
        "green": ("#007f5c", "#45c99e"),
        "purple": ("#9c4586", "#e094cb"),
        "amber": ("#9a6b00", "#e6b64c"),
        "sky": ("#3c8fc4", "#93d3f7"),
        "level1": ("#6c4aa8", "#b9a6f0"),
        "level2": ("#3b5fa8", "#8fb0e8"),
        "level3": ("#26828e", "#66c5d1"),
        "level4": ("#1f9e89", "#58d6b6"),
        "level5": ("#55b045", "#8fe07f"),
        "level6": ("#a3a818", "#d9e05c"),
    }
)
LIGHT: Mapping[str, str] = MappingProxyType({name: pair[0] for name, pair in PALETTE.items()})
WIDE = 11.6
"""Width in inches of a figure that takes the page's whole width."""
LEVELS = tuple(name for name in PALETTE if name.startswith("level"))

_STYLES: Mapping[str, tuple[str, str, Any]] = {
    "ticket": ("blue", "o", "-"),
    "reinit": ("orange", "s", "--"),
    "shuffle": ("green", "^", "-."),
    "random": ("purple", "v", ":"),
    "oneshot": ("amber", "D", (0, (5, 1))),
}
_OTHERS: tuple[tuple[str, str, Any], ...] = (
    ("sky", "P", (0, (3, 1, 1, 1))),
    ("muted", "X", (0, (1, 1))),
    ("ink", "*", "--"),
)
_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": LIGHT["ink"],
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.unicode_minus": True,
    "figure.facecolor": LIGHT["paper"],
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": LIGHT["ink"],
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.fonttype": "none",
    "text.color": LIGHT["ink"],
    "text.parse_math": False,
    "xtick.color": LIGHT["muted"],
    "xtick.labelsize": 9,
    "ytick.color": LIGHT["muted"],
    "ytick.labelsize": 9,
}


def branch_style(branch: str, branches: Sequence[str]) -> dict[str, Any]:
    """Color, marker and line of a branch: fixed for the usual ones, the same within a run else."""
    if branch in _STYLES:
        color, marker, line = _STYLES[branch]
    else:
        unusual = [name for name in branches if name not in _STYLES]
        color, marker, line = _OTHERS[unusual.index(branch) % len(_OTHERS)]
    return {"color": LIGHT[color], "marker": marker, "linestyle": line}


def settings() -> AbstractContextManager[None]:
    """A context in which figures are drawn and saved; outside it matplotlib is as it was."""
    return mpl.rc_context(_SETTINGS)


def new_axes(width: float = 5.6, height: float = 3.5) -> tuple[Figure, Axes]:
    """One drawing of `width` by `height` inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    return figure, axes


def grid(
    rows: int, columns: int, *, width: float, height: float
) -> tuple[Figure, list[list[Axes]]]:
    """Small multiples in `rows` by `columns`, `width` by `height` inches in all."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for each in axes.flat:
        each.set_axisbelow(True)
    return figure, [list(row) for row in axes]


def density_axis(axes: Axes, densities: Iterable[float]) -> None:
    """Logarithmic, dense at the left; ticks at densities that occur, as far as they have room."""
    values = sorted({round(float(value), 6) for value in densities}, reverse=True)
    room = max(1.0, np.log(values[0] / values[-1]))
    ticks = [values[0]]
    for value in values[1:]:
        if np.log(ticks[-1] / value) >= room / 9:
            ticks.append(value)
    axes.set_xscale("log")
    axes.set_xlim(values[0] * np.exp(room / 40), values[-1] * np.exp(-room / 40))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)[:-2]))
    axes.set_xlabel("weights left (%), logarithmic")


def percent_axis(axes: Axes, label: str) -> None:
    """The vertical axis in percent, of values in [0, 1]."""

    def text(value: float, _: int | None) -> str:
        ticks = 100 * axes.get_yticks()
        step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
        digits = next((d for d in range(4) if abs(round(step, d) - step) < 1e-6), 4)
        return number(100 * value, digits)

    axes.yaxis.set_major_formatter(FuncFormatter(text))
    axes.set_ylabel(label)


def step_axis(axes: Axes, last: int) -> None:
    """The horizontal axis counts optimizer steps, from none to the last."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_xlabel("iteration")


def log_axis(axis: Axis) -> None:
    """A logarithmic axis whose ticks are plain numbers, or powers of ten where they are many."""
    if isinstance(axis, XAxis):
        axis.axes.set_xscale("log")
    else:
        axis.axes.set_yscale("log")
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 1.0
    axis.set_major_locator(LogLocator(numticks=6 if decades > 5 else 12))
    fine = [2.0, 5.0] if decades < 2.5 else []
    if decades < 0.7:
        fine = [float(lead) for lead in range(2, 10)]
    axis.set_minor_locator(LogLocator(subs=fine) if fine else NullLocator())
    for kind in (axis.set_major_formatter, axis.set_minor_formatter):
        kind(FuncFormatter(lambda value, _: power(value)))


def power(value: float) -> str:
    """A tick of a logarithmic axis: 0.05, 20, 10⁶."""
    if value <= 0:
        return ""
    if 1e-3 <= value < 1e5:
        return number(value, max(0, -int(np.floor(np.log10(value) + 1e-9))))
    exponent = int(np.floor(np.log10(value) + 1e-9))
    lead = round(value / 10.0**exponent)
    raised = superscript(exponent)
    return f"10{raised}" if lead == 1 else f"{lead}·10{raised}"


def spread_out(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, first and last among them, evenly spaced."""
    places = np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))
    return [items[place] for place in places] if items else []


def to_png(figure: Figure) -> bytes:
    """The drawing as it looks on paper, 200 dots an inch."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=200, metadata={"Software": None})
    # The layout is found by now; finding it again for the SVG would take as long once more.
    figure.set_layout_engine("none")
    return file.getvalue()


def to_svg(figure: Figure, *, name: str) -> str:
    """The drawing as an SVG element whose colors are the page's; the same bytes each time.

    Args:
        figure: The drawing.
        name: Tells its identifiers from those of the other drawings on the page.
    """
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for color, (light, _) in PALETTE.items():
        svg = svg.replace(light, f"var(--{color})")
    return svg
