"""Choice of the auditor: simple learners if they are enough, networks if these gain."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tfticket.errors import DataError
from tfticket.noise.audit.labeled import LabeledData
from tfticket.noise.audit.rows import RowAudit
from tfticket.noise.find import find_label_issues
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.learners import held_out_score
from tfticket.noise.incv.row_selection import select_rows
from tfticket.noise.labels.given import checked_features, checked_probabilities
from tfticket.noise.labels.issues import LabelIssues

if TYPE_CHECKING:
    from tfticket.noise.audit.networks import Network

_GOOD_ENOUGH = 0.05  # mistakes of simple learners, as a share of the labels


def audit_labels(
    labeled: LabeledData,
    *,
    network: Network | None = None,
    folds: int | None = None,
    iterations: int = 1,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
    tell: Callable[[int, int], None] | None = None,
    start: Callable[[], None] | None = None,
) -> CleanSplit:
    """Audit labels by the models that suit the data.

    Rows of numbers are predicted by simple learners (`RowAudit`), and so are small images at first:
    where such learners make few mistakes beside the wrong labels, networks have nothing to gain.
    Else networks predict (`LabelAudit`), and of both the one by which the given labels are more
    likely is taken.

    Args:
        labeled: The labels in question.
        network: Settings of the networks; None decides by the data whether networks are needed.
        folds: Number of parts; None is 2 for networks and 5 for simple learners.
        iterations: Largest number of rounds; one is enough for an estimate.
        seed: Random seed.
        folder: Folder for the predictions of finished networks, see `LabelAudit.run`.
        say: Called with a sentence on what predicts, and what it costs.
        tell: Called before each training with the number of the network and the largest number.
        start: Called once before TensorFlow is needed.

    Raises:
        TFTicketError: when the labels can't be audited.

    Example:
        >>> audit_labels(LabeledData.load("digits", limit=600)).estimate.kind
        'clean'
    """
    say = say or (lambda sentence: None)
    simple: CleanSplit | None = None
    if network is None and (labeled.has_rows or labeled.has_small_images):
        simple = RowAudit(labeled, folds=folds, iterations=iterations, seed=seed).run()
        what = "numbers, scaled by column" if labeled.has_rows else "pixels"
        columns = int(np.prod(labeled.data.input_shape))
        predicted = f"Rows of {columns:,} {what}, predicted by {simple.learner}"
        if labeled.has_rows or _is_good_enough(simple):
            say(f"{predicted}. Give --model for a network.")
            return simple
        say(f"{predicted}: networks may do better.")
    if start is not None:
        start()
    from tfticket.noise.audit.networks import LabelAudit, Network

    audit = LabelAudit(
        labeled, network or Network(), folds=folds or 2, iterations=iterations, seed=seed
    )
    say(audit.description)
    split = audit.run(folder=folder, tell=tell, say=say)
    if simple is None or _score(split) >= _score(simple):
        return split
    say(f"The given labels are more likely by {simple.learner}, which is taken.")
    return simple


def audit_features(
    labeled: LabeledData,
    features: np.ndarray,
    *,
    folds: int | None = None,
    iterations: int = 1,
    seed: int = 0,
) -> CleanSplit:
    """Audit labels by features of the examples, with the simple learners of `RowAudit`.

    Args:
        labeled: The labels in question.
        features: A row of numbers for each example, shape (n, columns), finite: embeddings of any
            network.
        folds: Number of parts; None is 5, and fewer below 10 examples.
        iterations: Largest number of rounds; one is enough for an estimate.
        seed: Random seed.

    Raises:
        DataError: when features and labels differ in number, or there are too few of them.

    Example:
        >>> labeled = LabeledData.load("digits", limit=600)
        >>> pixels = labeled.inputs().reshape(600, -1)
        >>> audit_features(labeled, pixels[:, 16:48]).estimate.identifiable
        True
    """
    rows = checked_features(features, len(labeled))
    classes = labeled.data.num_classes
    return select_rows(
        rows, labeled.given, num_classes=classes, folds=folds, iterations=iterations, seed=seed
    )


def issues_by(labeled: LabeledData, pred_probs: np.ndarray, *, seed: int = 0) -> LabelIssues:
    """Find label issues of data by out-of-sample probabilities that somebody has already.

    Args:
        labeled: The labels in question.
        pred_probs: Out-of-sample probabilities, shape (n, k), the classes in the order of the data.
        seed: Random seed.

    Raises:
        DataError: when they are no probabilities of these examples and classes.

    Example:
        >>> labeled = LabeledData.load("digits", limit=600)
        >>> issues_by(labeled, 0.01 + 0.9 * np.eye(10)[labeled.given])
        LabelIssues(0 of 600 labels)
    """
    rows, data = checked_probabilities(pred_probs, len(labeled)), labeled.data
    if rows.shape[1] != data.num_classes:
        raise DataError(
            f"Probabilities must have a column for each of the {data.num_classes} classes of "
            f"`{data.name}`. Received: {rows.shape[1]}."
        )
    found = find_label_issues(labeled.given, pred_probs=rows, seed=seed)
    return dataclasses.replace(found, class_names=data.class_names)


def _is_good_enough(split: CleanSplit) -> bool:
    """Test whether learners are mistaken on few examples beside those whose label is wrong."""
    estimate = split.estimate
    mistakes = estimate.disagreement[0] - estimate.rate
    return estimate.learned and estimate.identifiable and mistakes <= _GOOD_ENOUGH


def _score(split: CleanSplit) -> float:
    known = split.labels >= 0
    return held_out_score(split.probabilities[known], split.labels[known])
