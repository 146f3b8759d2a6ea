"""The files of an audit: label issues as a table and as a page, and probabilities."""

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
from tfticket.display.palette import PALETTE
from tfticket.files import table_cell, write_atomic, write_json, write_text
from tfticket.noise import CleanSplit, LabelIssues
from tfticket.noise.audit import LabeledData

_SHOWN = 120  # label issues on the page

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
        table: A row for each label issue, the most certain first.
        page: The most certain label issues, as images with both labels.
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
    """Write all files of an audit, each whole or not at all.

    Args:
        folder: Where to; files of these names are replaced.
        labeled: The labels in question, with their examples.
        split: The result of the audit.
        issues: Its label issues.

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
    """Format label issues as CSV text; `given` and `suggested` count from 0, as labels do."""
    names = labeled.data.class_names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for example in issues.ids.tolist():
        given, suggested = int(issues.given[example]), int(issues.suggested[example])
        votes, agreed = split.votes[example].tolist()
        probability = f"{issues.score[example]:.6g}"
        named = (table_cell(names[given]), table_cell(names[suggested]))
        writer.writerow((example, given, suggested, probability, agreed, votes, *named))
    return text.getvalue()


def render(labeled: LabeledData, split: CleanSplit, issues: LabelIssues) -> str:
    """Render the page as HTML text.

    Args:
        labeled: The labels in question, with their examples.
        split: The result of the audit.
        issues: Its label issues; the first ones are shown.
    """
    names, x = labeled.data.class_names, labeled.data.train.x
    ids = issues.ids
    first = (ids, issues.given[ids], issues.suggested[ids], issues.score[ids])
    cards = [
        {
            "number": number,
            "given": names[given],
            "suggested": names[suggested],
            "probability": probability,
            "image": _data_uri(x[number]),
        }
        for number, given, suggested, probability in zip(
            *(each[:_SHOWN].tolist() for each in first), strict=True
        )
    ]
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
        expected=issues.precision,
        cards=cards,
        palette=PALETTE,
        version=__version__,
    )


def _data_uri(x: np.ndarray) -> str:
    """An example as PNG in a data URI; empty when it isn't one with one channel or three."""
    if x.ndim != 3 or x.shape[2] not in (1, 3):
        return ""
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
