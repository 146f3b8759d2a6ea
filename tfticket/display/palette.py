"""Colors of pages and figures, on light and on dark paper, and the looks of series."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

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
LEVELS = tuple(name for name in PALETTE if name.startswith("level"))
"""Colors in an order, from violet to yellow."""


@dataclass(frozen=True)
class Look:
    """Color, dash and marker of a series.

    Attributes:
        color: A name of `PALETTE`.
        shape: A shape of Vega, such as `circle`, or an SVG path; None for a line without marks.
        dash: Lengths of strokes and gaps in pixels; empty for a solid line.
    """

    color: str
    shape: str | None = None
    dash: tuple[float, ...] = ()


DASHED, DOTTED, DASH_DOT, LONG, FINE = (6, 3), (1.5, 2.5), (6, 2, 1.5, 2), (8, 2), (3, 1.5, 1, 1.5)
PLUS = "M-.3,-1h.6v.7h.7v.6h-.7v.7h-.6v-.7h-.7v-.6h.7Z"
SAW = "M0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0L-1,-.6L-.6,-1Z"
STAR = "M0,-1L.24,-.32L.95,-.31L.38,.12L.59,.81L0,.4L-.59,.81L-.38,.12L-.95,-.31L-.24,-.32Z"
PENTAGON = "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z"
HEXAGON = "M0,-1L.87,-.5V.5L0,1L-.87,.5V-.5Z"
UPRIGHT = "M-.17,-1h.34v2h-.34Z"
RING = "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0ZM.6,0A.6,.6,0,1,0,-.6,0A.6,.6,0,1,0,.6,0Z"
BAR = "M-1.4,-.13h2.8v.26h-2.8Z"
BROKEN = "M-1.4,-.13h.7v.26h-.7ZM-.35,-.13h.7v.26h-.7ZM.7,-.13h.7v.26h-.7Z"


def looks(
    names: Sequence[str], usual: Mapping[str, Look], others: Sequence[Look]
) -> dict[str, Look]:
    """Return the look of each series: fixed for usual names, else the next of `others`."""
    unusual = [name for name in names if name not in usual]
    return {name: usual.get(name) or others[unusual.index(name) % len(others)] for name in names}


def css(color: str) -> str:
    """Return the CSS variable of a color, which pages define."""
    return f"var(--{color})"


def light(svg: str) -> str:
    """Replace the CSS variables in an SVG by the light colors, for use outside a page."""
    return re.sub(r"var\(--(\w+)\)", lambda found: PALETTE[found[1]][0], svg)
