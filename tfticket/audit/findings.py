"""What an audit leaves on disk: suspicious labels as a table and as a page, and probabilities."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfticket.audit.page import render
from tfticket.audit.subject import Subject
from tfticket.files import table_cell, write_atomic, write_json, write_text
from tfticket.noisy import CleanSplit, Suspects, find_suspects

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
class Findings:
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


def suspects_of(split: CleanSplit) -> Suspects:
    """The labels of a split that are probably wrong; none where nothing was learned from them."""
    learned = split.estimate.learned
    matrix = split.estimate.matrix if learned else np.eye(split.probabilities.shape[1])
    return find_suspects(split.labels, split.probabilities, transition=matrix)


def write_findings(
    folder: str | os.PathLike[str], subject: Subject, split: CleanSplit, suspects: Suspects
) -> Findings:
    """Writes all files of an audit, each whole or not at all.

    Args:
        folder: Where to; files of these names are replaced.
        subject: What was looked at.
        split: What was predicted.
        suspects: What follows from it.

    Raises:
        RunError: when a file can't be written.
    """
    folder = Path(folder)

    def write_probabilities(file: BinaryIO) -> None:
        np.lib.format.write_array(file, split.probabilities, allow_pickle=False)

    probabilities = write_atomic(folder / "pred_probs.npy", write_probabilities)
    table = write_text(folder / "suspects.csv", to_csv(subject, split, suspects))
    page = write_text(folder / "index.html", render(subject, split, suspects))
    saved = split.save(folder / "clean_split.npz")
    write_json(folder / "summary.json", {"suspects": len(suspects), **split.to_dict()})
    return Findings(table, page, probabilities, saved)


def to_csv(subject: Subject, split: CleanSplit, suspects: Suspects) -> str:
    """Suspicious labels as CSV text; `given` and `suggested` count from 0, as labels do."""
    names = subject.data.class_names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, example in enumerate(suspects.ids.tolist()):
        given, suggested = int(suspects.given[place]), int(suspects.suggested[place])
        asked, agreed = split.votes[example].tolist()
        probability = f"{suspects.probability[place]:.4f}"
        named = (table_cell(names[given]), table_cell(names[suggested]))
        writer.writerow((example, given, suggested, probability, agreed, asked, *named))
    return text.getvalue()
