"""What an audit leaves on disk: suspicious labels as a table and as a page, and probabilities."""

from __future__ import annotations

import base64
import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import jinja2
import numpy as np
from PIL import Image

from tfticket import __version__
from tfticket.files import table_cell, write_atomic, write_json, write_text
from tfticket.noise import CleanSplit, LabelIssues
from tfticket.noise.audit import LabeledData
from tfticket.report.canvas import PALETTE

COLUMNS = (
    "id",
    "given",
    "suggested",
    "probability",
    "votes_for_given",
    "votes",
    "given_name",
    "suggested_name",
)


@dataclass(frozen=True)
class LabelReport:
    """The files of an audit.

    Attributes:
        table: A row a suspicious label, the most certain first.
        page: The most suspicious images with both labels.
        probabilities: Out-of-sample probabilities of all examples, shape (n, k), for any other
            tool.
        split: The `CleanSplit`.
    """

    table: Path
    page: Path
    probabilities: Path
    split: Path


def write_label_report(
    folder: str | os.PathLike[str], labeled: LabeledData, split: CleanSplit, issues: LabelIssues
) -> LabelReport:
    """Writes all files of an audit, each whole or not at all.

    Args:
        folder: Where to; files of these names are replaced.
        labeled: What was looked at.
        split: What was predicted.
        issues: What follows from it.

    Raises:
        RunError: when a file can't be written.
    """
    folder = Path(folder)

    def write_probabilities(file: BinaryIO) -> None:
        np.lib.format.write_array(file, split.probabilities, allow_pickle=False)

    probabilities = write_atomic(folder / "pred_probs.npy", write_probabilities)
    table = write_text(folder / "suspects.csv", to_csv(labeled, split, issues))
    page = write_text(folder / "index.html", render(labeled, split, issues))
    saved = split.save(folder / "clean_split.npz")
    write_json(folder / "summary.json", {"suspects": len(issues), **split.to_dict()})
    return LabelReport(table, page, probabilities, saved)


def to_csv(labeled: LabeledData, split: CleanSplit, issues: LabelIssues) -> str:
    """Suspicious labels as CSV text; `given` and `suggested` count from 0, as labels do."""
    names = labeled.data.class_names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, example in enumerate(issues.ids.tolist()):
        given, suggested = int(issues.given[place]), int(issues.suggested[place])
        asked, agreed = split.votes[example].tolist()
        probability = f"{issues.probability[place]:.4f}"
        named = (table_cell(names[given]), table_cell(names[suggested]))
        writer.writerow((example, given, suggested, probability, agreed, asked, *named))
    return text.getvalue()


_SHOWN = 120
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Card:
    """One suspicious example as the page shows it; `image` is a data URI, or empty."""

    number: int
    given: str
    suggested: str
    probability: float
    image: str


def render(labeled: LabeledData, split: CleanSplit, issues: LabelIssues) -> str:
    """The page as HTML text.

    Args:
        labeled: What was looked at.
        split: What was predicted.
        issues: What follows from it; the first ones are shown.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfticket", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("noise/page.html.j2").render(
        data=labeled.data,
        examples=len(labeled),
        estimate=split.estimate,
        issues=len(issues),
        expected=issues.expected_precision,
        cards=[_card(labeled, issues, place) for place in range(min(_SHOWN, len(issues)))],
        palette=PALETTE,
        version=__version__,
    )


def _card(labeled: LabeledData, issues: LabelIssues, place: int) -> Card:
    names = labeled.data.class_names
    number = int(issues.ids[place])
    return Card(
        number=number,
        given=names[issues.given[place]],
        suggested=names[issues.suggested[place]],
        probability=float(issues.probability[place]),
        image=_image(labeled.data.train.x[number]),
    )


def _image(x: np.ndarray) -> str:
    """An example as PNG; empty when it isn't one with one channel or three."""
    if x.ndim != 3 or x.shape[2] not in _CHANNELS:
        return ""
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
