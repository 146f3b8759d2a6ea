"""Theory beside networks: closed forms and what was observed, and transition matrices.

Chen et al. (2019, arXiv:1905.05040), section 3. Each function draws one figure, or returns None
when the run doesn't hold it; all are to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from tfticket.report.canvas import LIGHT, WIDE, grid, percent_axis
from tfticket.report.noisy.cells import Study
from tfticket.report.noisy.trainings import Training
from tfticket.report.words import number, rate

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
            _draw(here, own, measure, LIGHT[color], kind.replace("_", " "))
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


def _draw(axes: Axes, own: Sequence[Training], measure: str, color: str, kind: str) -> None:
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
