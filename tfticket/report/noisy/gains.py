"""What each method gains over cross-entropy, and what was estimated: dots with their intervals.

Each function draws one figure, or returns None when the run doesn't hold it; all are to be called
inside `canvas.settings()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from tfticket.report.canvas import LIGHT, WIDE, new_axes
from tfticket.report.noisy.cells import Study
from tfticket.report.noisy.selections import Selection
from tfticket.report.noisy.styles import method_styles
from tfticket.report.noisy.trainings import ACCURACY, Training
from tfticket.report.words import number, rate

_DOT: dict[str, Any] = {"marker": "o", "linestyle": "", "markeredgewidth": 1.2}


def gains(study: Study, trainings: Sequence[Training]) -> Figure | None:
    """Accuracy minus that of cross-entropy, a row a method; pale dots are seeds."""
    rows = [found for found in trainings if found.gain is not None]
    if not rows:
        return None
    figure, axes = new_axes(WIDE, 0.9 + 0.34 * len(rows))
    baselines = {
        t.cell.noise: t.values(ACCURACY) for t in reversed(trainings) if t.cell.is_baseline
    }
    drawn = []
    styles = method_styles(study)
    for place, found in enumerate(rows):
        style, baseline = styles[found.cell.method], baselines[found.cell.noise]
        gain = found.gain
        assert gain is not None  # only such are rows
        own = found.values(ACCURACY)
        seeds = [own[seed] - baseline[seed] for seed in sorted(own.keys() & baseline.keys())]
        axes.plot(seeds, [place] * len(seeds), color=style["color"], alpha=0.35, **_DOT)
        if gain.seeds > 1:
            axes.hlines(place, gain.lower, gain.upper, color=style["color"])
            drawn += [gain.lower, gain.upper]
        axes.plot([gain.mean], [place], color=style["color"], **_DOT)
        drawn += seeds
    axes.axvline(0, color=LIGHT["muted"], linewidth=1)
    room = 0.06 * (max([*drawn, 0]) - min([*drawn, 0]) or 0.1)
    axes.set_xlim(min([*drawn, 0]) - room, max([*drawn, 0]) + room)
    _name_rows(axes, [_name(found, len(study.noises) > 1) for found in rows])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(100 * value, 1)))
    axes.set_xlabel("clean test accuracy minus that of cross-entropy, points")
    return figure


def _name(found: Training, several: bool) -> str:
    return f"{found.cell.method_name}, {found.cell.noise}" if several else found.cell.method_name


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def rates(selections: Sequence[Selection]) -> Figure | None:
    """Estimated share of wrong labels with its interval, beside the true one, a row a selection."""
    if not selections:
        return None
    figure, axes = new_axes(WIDE, 1.2 + 0.26 * len(selections))
    several = len({found.seed for found in selections}) > 1
    for place, found in enumerate(selections):
        color = LIGHT["blue" if found.identifiable else "muted"]
        axes.hlines(place, found.low, found.high, color=color, linewidth=2)
        face = color if found.identifiable else LIGHT["paper"]
        axes.plot([found.rate], [place], color=color, markerfacecolor=face, **_DOT)
        axes.plot(
            [found.true_rate], [place], marker="|", color=LIGHT["orange"],
            markersize=13, markeredgewidth=2,
        )  # fmt: skip
    _name_rows(axes, [f"{s.noise}, seed {s.seed}" if several else s.noise for s in selections])
    top = max(max(found.high, found.true_rate) for found in selections)
    axes.set_xlim(-0.01, min(1.0, top * 1.08) + 0.01)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(round(value, 4))[:-2]))
    axes.set_xlabel("share of wrong labels (%)")
    figure.legend(handles=_rate_legend(selections), loc="outside upper left", ncols=3)
    return figure


def _rate_legend(selections: Sequence[Selection]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=LIGHT["blue"], marker="o", linewidth=2, label="estimated"),
        Line2D([], [], color=LIGHT["orange"], marker="|", markersize=11, markeredgewidth=2,
               linestyle="", label="true"),
    ]  # fmt: skip
    if not all(found.identifiable for found in selections):
        handles.append(
            Line2D([], [], color=LIGHT["muted"], marker="o", linewidth=2,
                   markerfacecolor=LIGHT["paper"], label="said not to be identifiable")
        )  # fmt: skip
    return handles


def rounds(selections: Sequence[Selection]) -> Figure | None:
    """Sizes of the sets after each iteration of a selection; None where there was only one."""
    several = [found for found in selections if len(found.rounds) > 1]
    if not several:
        return None
    figure, axes = new_axes(7.2, 3.4)
    noises = list(dict.fromkeys(found.noise for found in several))
    colors = ["blue", "green", "purple", "orange", "amber", "sky", "level1", "ink"]
    for noise, color in zip(noises, colors, strict=False):
        for measure, line in (("selected", "-"), ("removed", ":")):
            values = _rounds(several, noise, measure)
            places = np.arange(1, values.shape[1] + 1)
            axes.plot(
                places, np.nanmean(values, axis=0), line, color=LIGHT[color], marker="o",
                label=f"{measure}, {noise}",
            )  # fmt: skip
    axes.set_xticks(range(1, max(len(found.rounds) for found in several) + 1))
    axes.set_ylim(0, None)
    axes.set_xlabel("iteration")
    axes.set_ylabel("examples")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    figure.legend(loc="outside right upper")
    return figure


def _rounds(selections: Sequence[Selection], noise: str, measure: str) -> np.ndarray:
    """Shape (seeds, iterations), NaN where a selection had become stable before."""
    own = [found.rounds for found in selections if found.noise == noise]
    values = np.full((len(own), max(map(len, own))), math.nan)
    for row, found in zip(values, own, strict=True):
        row[: len(found)] = np.cumsum([one[measure] for one in found])
    return values
