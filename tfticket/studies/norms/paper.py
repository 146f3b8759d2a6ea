"""The paper's curves, digitized."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np

from tfticket.report.reading import RunFiles

PAPER = "arXiv:1805.11604"
_FILE = "santurkar_figure4.json"


@dataclass(frozen=True)
class PaperCurve:
    """One band or line of the figure.

    Attributes:
        share: Place in the training, in [0, 1], shape (T,).
        low: Lower edge of the band, shape (T,); the line itself in the panel of beta.
        high: Upper edge, shape (T,).
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def figure_of(files: RunFiles) -> Mapping[str, Mapping[str, PaperCurve]]:
    """The paper's figure if the run's recipe is of the same experiment; else empty.

    Returns:
        Measure (`loss_band`, `predictiveness`, `beta`) to normalization (`none`, `batch`) to curve.
    """
    is_vgg = str(files.table("model").get("name") or "").startswith("vgg")
    if files.recipe.get("paper") != PAPER or not is_vgg:
        return {}
    return paper_figure4()


def paper_figure4() -> Mapping[str, Mapping[str, PaperCurve]]:
    """The digitized figure; see `figure_of`."""
    text = resources.files("tfticket.studies.norms").joinpath(_FILE).read_text(encoding="utf-8")
    content = json.loads(text)
    return {
        measure: {norm: _curve(points, content["steps"]) for norm, points in curves.items()}
        for measure, curves in content["panels"].items()
    }


def _curve(points: Mapping[str, list[float]], steps: int) -> PaperCurve:
    value = points.get("value")
    return PaperCurve(
        share=np.array(points["step"]) / steps,
        low=np.array(value or points["low"]),
        high=np.array(value or points["high"]),
    )
