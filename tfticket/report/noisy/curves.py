"""What is measured along training: accuracy on clean data, and what was selected of each batch.

Each function draws one figure, or returns None when the run doesn't hold it; all are to be called
inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfticket.report.canvas import LIGHT, WIDE, grid, percent_axis, step_axis
from tfticket.report.noisy.cells import Cell, Study
from tfticket.report.noisy.styles import method_styles
from tfticket.report.reading import over_seeds

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
