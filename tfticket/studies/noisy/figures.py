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
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from tfticket.report.canvas import LIGHT, WIDE, grid, new_axes, percent_axis, step_axis
from tfticket.report.reading import over_seeds
from tfticket.report.words import number, rate
from tfticket.studies.noisy.networks import Cell, Study
from tfticket.studies.noisy.results import ACCURACY, Selection, Training

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


_COLUMNS = 3


def accuracy(study: Study) -> Figure | None:
    """Accuracy on clean test data along training, a panel a noise; a band from seed to seed."""
    panels = _with(study, "clean", "accuracy")
    if not panels:
        return None
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = WIDE if columns > 1 else 0.62 * WIDE
    figure, axes = grid(rows, columns, width=width, height=0.6 + 2.9 * rows)
    flat = [each for row in axes for each in row]
    for here, (noise, cells) in zip(flat, panels.items(), strict=False):
        last = _draw(here, study, cells, split="clean", name="accuracy")
        _mark_result(here, study, cells, last)
        here.set_title(study.noises[noise].noise_name)
        percent_axis(here, "clean test accuracy (%)")
    for unused in flat[len(panels) :]:
        unused.set_visible(False)
    _legend(figure, flat[: len(panels)])
    return figure


def quality(study: Study) -> Figure | None:
    """Label precision and recall of what was trained on, a row a noise."""
    panels = _with(study, "train", "label_precision")
    if not panels:
        return None
    figure, axes = grid(len(panels), 2, width=WIDE, height=0.6 + 2.4 * len(panels))
    for row, (noise, cells) in zip(axes, panels.items(), strict=True):
        for here, measure in zip(row, ("label_precision", "label_recall"), strict=True):
            _draw(here, study, cells, split="train", name=measure)
            here.set_title(f"{measure.replace('_', ' ')}, {study.noises[noise].noise_name}")
            percent_axis(here, "share (%)")
    _legend(figure, [each for row in axes for each in row])
    return figure


def _with(study: Study, split: str, name: str) -> dict[str, list[Cell]]:
    """Noise to its trainings that have a curve."""
    found: dict[str, list[Cell]] = {}
    for cell in study.cells:
        if study.curves(cell.branch, split, name):
            found.setdefault(cell.noise, []).append(cell)
    return found


def _draw(axes: Axes, study: Study, cells: Sequence[Cell], *, split: str, name: str) -> int:
    """The mean over seeds of each, with a band from the lowest to the highest; the last step."""
    last = 1
    styles = method_styles(study)
    for cell in cells:
        steps, values = over_seeds(list(study.curves(cell.branch, split, name).values()))
        color = styles[cell.method]["color"]
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
        mean = np.nanmean(values, axis=0)
        marker = "o" if len(steps) == 1 else ""
        axes.plot(steps, mean, color=color, label=cell.method_name, marker=marker)
        last = max(last, int(steps[-1]))
    step_axis(axes, last)
    return last


def _mark_result(axes: Axes, study: Study, cells: Sequence[Cell], last: int) -> None:
    """Shades the evaluations that the result is the mean of."""
    count = int(study.files.recipe.get("last") or 0)
    curves = study.curves(cells[0].branch, "clean", "accuracy")
    steps = next(iter(curves.values())).steps
    if count > 1 and len(steps) > count:
        axes.axvspan(float(steps[-count]), last, color=LIGHT["line"], alpha=0.5, linewidth=0)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One for all panels, each method once."""
    handles: dict[str, Any] = {}
    for here in axes:
        for handle, label in zip(*here.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles=list(handles.values()), loc="outside upper left", ncols=4)


MEASURES = {"accuracy": "accuracy against given labels", "precision": "label precision",
            "recall": "label recall"}  # fmt: skip
_COLORS = ("blue", "orange", "green", "purple", "amber")
_MATRICES = {"realized": "realized", "estimated": "estimated", "confusion": "held-out predictions"}
_MOST_ROWS = 6
_SEEN = 0.005  # a share below it is left blank
_DENSE = 12  # classes up to which the shares are written
_DARK = 0.55  # above it the text is in the color of the paper


def theory(trainings: Sequence[Training]) -> Figure | None:
    """Predicted and observed accuracy, precision and recall over the true rate."""
    known = with_theory(trainings)
    if not known:
        return None
    figure, axes = grid(1, len(MEASURES), width=WIDE, height=3.7)
    kinds = list(dict.fromkeys(found.cell.noise_kind for found in known))
    for here, (measure, title) in zip(axes[0], MEASURES.items(), strict=True):
        for kind, color in zip(kinds, _COLORS, strict=False):
            own = [found for found in known if found.cell.noise_kind == kind]
            _theory_draw(here, own, measure, LIGHT[color], kind.replace("_", " "))
        here.set_title(title)
        here.set_ylim(0, 1.03)
        here.set_xlabel("share of wrong labels (%)")
        here.xaxis.set_major_formatter(FuncFormatter(lambda v, _: rate(round(v, 4))[:-2]))
        percent_axis(here, "%")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4)
    return figure


def with_theory(trainings: Sequence[Training]) -> list[Training]:
    """Those that hold predictions of theory."""
    return [found for found in trainings if "predicted_accuracy" in found.measures]


def _theory_draw(axes: Axes, own: Sequence[Training], measure: str, color: str, kind: str) -> None:
    both = (f"predicted_{measure}", f"observed_{measure}")
    points = sorted(
        (found.values("noise_rate")[seed], found.values(both[0])[seed], found.values(both[1])[seed])
        for found in own
        for seed in found.values(both[0]).keys() & found.values(both[1]).keys()
    )
    if not points:
        return
    rates, predicted, observed = np.array(points).T
    axes.plot(rates, predicted, color=color, linewidth=1.1, marker="", label=f"theory, {kind}")
    axes.plot(rates, observed, "o", color=color, alpha=0.75, label=f"networks, {kind}")


def matrices(study: Study) -> Figure | None:
    """Transition matrices and held-out confusion, means over seeds, a row a noise."""
    found = _matrices(study)
    if not found:
        return None
    figure, axes = grid(len(found), len(_MATRICES), width=WIDE, height=0.3 + 3.75 * len(found))
    for row, (noise, own) in zip(axes, found.items(), strict=True):
        for here, (name, title) in zip(row, _MATRICES.items(), strict=True):
            _heat_map(here, own[name])
            here.set_title(f"{title}, {noise}")
        row[0].set_ylabel("true class")
    for here in axes[-1]:
        here.set_xlabel("given or predicted class")
    return figure


def matrices_left_out(study: Study) -> int:
    """How many noises have matrices beyond those that are drawn."""
    return max(0, sum(bool(study.kept_of(noise)) for noise in study.noises) - _MOST_ROWS)


def _matrices(study: Study) -> dict[str, dict[str, np.ndarray]]:
    """Noise to name to rows that sum to 1, means over seeds."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for noise in study.noises:
        kept = [
            k.arrays for k in study.kept_of(noise).values() if _MATRICES.keys() <= k.arrays.keys()
        ]
        if kept and len(found) < _MOST_ROWS:
            found[noise] = {
                name: np.mean([_normalized(arrays[name]) for arrays in kept], axis=0)
                for name in _MATRICES
            }
    return found


def _normalized(matrix: np.ndarray) -> np.ndarray:
    """Rows that sum to 1; zeros where a class doesn't occur."""
    matrix = np.nan_to_num(np.asarray(matrix, float))
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)


def _heat_map(axes: Axes, matrix: np.ndarray) -> None:
    """Squares whose opacity is the share, so that they are legible on any paper."""
    classes = len(matrix)
    for (row, column), share in np.ndenumerate(matrix):
        if share < _SEEN:
            continue
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, color=LIGHT["blue"],
                      alpha=min(1.0, float(share)))
        )  # fmt: skip
        if classes <= _DENSE:
            color = LIGHT["paper" if share > _DARK else "ink"]
            axes.text(column, row, number(100 * share), ha="center", va="center", color=color,
                      fontsize=6.5)  # fmt: skip
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    step = max(1, -(-classes // _DENSE))
    axes.set_xticks(range(0, classes, step))
    axes.set_yticks(range(0, classes, step))
    for side in ("right", "top"):
        axes.spines[side].set_visible(True)


_STYLES = {
    "cross_entropy": ("orange", "s"),
    "coteaching": ("blue", "o"),
    "incv": ("green", "^"),
    "jocor": ("purple", "v"),
    "coteaching_plus": ("sky", "P"),
    "decoupling": ("amber", "D"),
    "gce": ("level1", "X"),
    "forward": ("level5", "h"),
}
_OTHERS = (("muted", "*"), ("ink", "<"), ("level3", ">"), ("level2", "p"))


def method_styles(study: Study) -> dict[str, dict[str, Any]]:
    """Label to color and marker: the usual ones' are fixed, the same within a run."""
    styles: dict[str, dict[str, Any]] = {}
    free = list(_OTHERS)
    for cell in study.cells:
        kind, label = cell.method_kind, cell.method
        if label in styles:
            continue
        usual = _STYLES.get(kind)
        taken = {(style["color"], style["marker"]) for style in styles.values()}
        if usual is None or (LIGHT[usual[0]], usual[1]) in taken:
            usual = free.pop(0)
            free.append(usual)
        styles[label] = {"color": LIGHT[usual[0]], "marker": usual[1]}
    return styles
