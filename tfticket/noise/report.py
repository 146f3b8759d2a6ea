"""The files of an audit: a row for every example, the label issues as a page, probabilities."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfticket.files import write_atomic, write_json, write_text
from tfticket.noise import CleanSplit, LabelIssues
from tfticket.noise.audit import LabeledData
from tfticket.noise.features import find_duplicates, find_outliers, thumbnails
from tfticket.noise.origin import SUMMARY, Origin
from tfticket.noise.page import Relations, render
from tfticket.noise.table import COLUMNS, csv_text

_SPLIT = "clean_split.npz"
_SIDE = 16  # pixels of the thumbnails by which images are outliers


@dataclass(frozen=True)
class Detection:
    """Detection of wrong labels, where the true ones are known; all in [0, 1].

    Attributes:
        precision: Share of the issues whose label is wrong; NaN without issues.
        recall: Share of the wrong labels that are issues; NaN without wrong labels.
        average_precision: Mean precision over the ranks of the wrong labels, by score, which no
            cut decides on; NaN without wrong labels.
    """

    precision: float
    recall: float
    average_precision: float


@dataclass(frozen=True)
class LabelReport:
    """The files of an audit.

    Attributes:
        labels: A row for every example, the most suspicious first.
        table: The same for the label issues alone.
        page: The most suspicious label issues, for a person to decide on.
        probabilities: Out-of-sample probabilities of all examples, shape (n, k), for any other
            tool.
        split: The `CleanSplit`; None where the predictions were given.
        audit: What the audit found, as plain values for JSON.
        detection: How well the issues find wrong labels; None where the true ones aren't known.
    """

    labels: Path
    table: Path
    page: Path
    probabilities: Path
    split: Path | None
    audit: Mapping[str, Any]
    detection: Detection | None = None

    def files(self) -> dict[str, Path]:
        """Return the files by name."""
        return {key: value for key, value in vars(self).items() if isinstance(value, Path)}


def write_label_report(
    folder: str | os.PathLike[str],
    labeled: LabeledData,
    split: CleanSplit | None,
    issues: LabelIssues,
    *,
    origin: Origin | None = None,
    features: np.ndarray | None = None,
) -> LabelReport:
    """Write all files of an audit, each whole or not at all.

    Args:
        folder: Where to; files of these names are replaced.
        labeled: The labels in question, with their examples.
        split: The result of the audit; None where the predictions were given.
        issues: Its label issues.
        origin: Where the data are from, for `apply`; None takes the name that they were loaded by.
        features: Features of the examples, shape (n, columns), by which duplicates and outliers are
            found; None looks at the examples themselves.

    Raises:
        RunError: when a file can't be written.
    """
    folder = Path(folder)
    origin = origin or Origin.of(labeled.data.name)
    found = detection(labeled, issues)
    others = relations(labeled, features)
    everyone = np.concatenate([issues.ranking, np.flatnonzero(np.isnan(issues.score))])

    def write_probabilities(file: BinaryIO) -> None:
        np.lib.format.write_array(file, issues.pred_probs, allow_pickle=False)

    probabilities = write_atomic(folder / "pred_probs.npy", write_probabilities)
    rows = label_rows(labeled, issues, others, everyone) + unreadable_rows(labeled)
    everything = write_text(folder / "labels.csv", csv_text(COLUMNS, rows))
    suspects = label_rows(labeled, issues, others, issues.ids)
    table = write_text(folder / "suspects.csv", csv_text(COLUMNS, suspects))
    page = write_text(folder / "index.html", render(labeled, issues, others))
    saved = None
    if split is None:
        (folder / _SPLIT).unlink(missing_ok=True)  # of an earlier audit
    else:
        saved = split.save(folder / _SPLIT)
    audit = audit_dict(issues) if split is None else split.to_dict()
    write_json(
        folder / SUMMARY,
        {
            **origin.to_dict(),
            "suspects": len(issues),
            **audit,
            "unreadable": len(labeled.data.unreadable),
            "detection": None if found is None else asdict(found),
        },
    )
    return LabelReport(everything, table, page, probabilities, saved, audit, found)


def audit_dict(issues: LabelIssues) -> dict[str, Any]:
    """Return the audit of given predictions as plain values for JSON."""
    return {"examples": len(issues.given), "estimate": issues.estimate.to_dict()}


def detection(labeled: LabeledData, issues: LabelIssues) -> Detection | None:
    """Compare issues with the wrong labels; None where the true labels aren't known.

    Args:
        labeled: The labels in question, with the true ones.
        issues: The label issues.
    """
    if labeled.corruption is None:
        return None
    known = issues.ranking[labeled.data.train.y[issues.ranking] >= 0]
    wrong, is_issue = labeled.corruption.changed[known], issues.is_issue[known]
    hits = int((wrong & is_issue).sum())
    return Detection(
        precision=hits / int(is_issue.sum()) if is_issue.any() else math.nan,
        recall=hits / int(wrong.sum()) if wrong.any() else math.nan,
        average_precision=_average_precision(wrong, issues.score[known]),
    )


def _average_precision(wrong: np.ndarray, score: np.ndarray) -> float:
    if not wrong.any():
        return math.nan
    from sklearn.metrics import average_precision_score  # half a second that others don't need

    return float(average_precision_score(wrong, score))


def relations(labeled: LabeledData, features: np.ndarray | None = None) -> Relations:
    """Find duplicates and outliers.

    Rows of numbers are compared as they are, images by their looks.

    Args:
        labeled: The examples.
        features: Their features, shape (n, columns), or None.
    """
    x = labeled.data.train.x
    rows = features
    if rows is None and x.ndim == 4:
        rows = thumbnails(x, *(min(side, _SIDE) for side in x.shape[1:3])).reshape(len(x), -1)
    elif rows is None:
        rows = x.reshape(len(x), -1)
    return Relations(find_duplicates(x, features=features), find_outliers(rows))


def label_rows(
    labeled: LabeledData, issues: LabelIssues, others: Relations, ids: np.ndarray
) -> list[Sequence[str]]:
    """Format a row for each of some examples.

    Args:
        labeled: The labels in question, with their examples.
        issues: What was found about each of them.
        others: Their duplicates, and which are outliers.
        ids: The examples, in the order of the rows, shape (m,).
    """
    names, files = labeled.data.class_names, labeled.data.train.files

    def row(example: int) -> Sequence[str]:
        given, suggested = int(issues.given[example]), int(issues.suggested[example])
        return (
            str(example),
            "" if files is None else str(files[example]),
            *(("", "") if given < 0 else (str(given), names[given])),
            str(suggested),
            names[suggested],
            _cell(issues.score[example]),
            _truth(issues.is_issue[example]),
            "" if issues.fold[example] < 0 else str(issues.fold[example]),
            _cell(issues.margin[example]),
            _cell(issues.expected_precision[example]),
            " ".join(map(str, others.duplicates[example])),
            _truth(others.outliers[example]),
            "no label" if given < 0 else "",
        )

    return [row(example) for example in ids.tolist()]


def unreadable_rows(labeled: LabeledData) -> list[Sequence[str]]:
    """Format a row for each file that couldn't be read; it has no id."""
    names = labeled.data.class_names
    return [
        (
            "",
            each.file,
            str(names.index(each.class_name)) if each.class_name in names else "",
            each.class_name,
            *("", "", "", _truth(False), "", "", "", "", _truth(False)),
            f"unreadable: {each.reason}",
        )
        for each in labeled.data.unreadable
    ]


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
