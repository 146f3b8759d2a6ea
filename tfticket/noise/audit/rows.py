"""Audits by simple learners, which take seconds."""

from __future__ import annotations

from tfticket.errors import DataError
from tfticket.noise.audit.labeled import LabeledData
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.row_selection import select_rows
from tfticket.wording import brief_repr


class RowAudit:
    """An audit of rows of numbers, by learners that take seconds instead of networks.

        audit = RowAudit(LabeledData.load("npz:features.npz"))
        split = audit.run()
        print(audit.learner, split.estimate.rate)

    Rows are scaled by column; small images count as rows, of pixels that are scaled by one number.
    Logistic regression, kernel logistic regression, a linear discriminant, nearest neighbors and a
    mean of two predict every row in the first iteration; the one that agrees with most given labels
    goes on. Else it is what `LabelAudit` does with networks.

    Args:
        labeled: The labels in question, of examples that are rows of numbers, or small images.
        folds: Number of parts, at least 2; each is predicted by learners trained on the others.
            None is 5, and fewer below 10 examples.
        iterations: Largest number of rounds, at least 1; each trains on what was found clean
            before.
        seed: Random seed.

    Attributes:
        learner: Name of the chosen learner; empty before `run`.

    Raises:
        DataError: when a number is out of range, or examples aren't rows of numbers.
    """

    __repr__ = brief_repr

    def __init__(
        self, labeled: LabeledData, *, folds: int | None = None, iterations: int = 1, seed: int = 0
    ) -> None:
        if (folds is not None and folds < 2) or iterations < 1:
            raise DataError(
                "`folds` must be at least 2 and `iterations` at least 1. Received: "
                f"folds={folds}, iterations={iterations}."
            )
        if not labeled.has_rows and not labeled.has_small_images:
            raise DataError(
                "Examples must be rows of floats, or small images, to be audited as features. "
                f"Received: {labeled.data.name} of shape {labeled.data.input_shape}, "
                f"{labeled.data.train.x.dtype}. Use `LabelAudit`."
            )
        self.labeled = labeled
        self.folds = folds
        self.iterations = iterations
        self.seed = seed
        self.learner = ""

    def run(self) -> CleanSplit:
        """Train, predict and select.

        Raises:
            DataError: when there are too few examples, or only one label occurs.
            RunError: when no label was predicted.
        """
        x = self.labeled.data.train.x
        split = select_rows(
            x.reshape(len(x), -1),
            self.labeled.given,
            num_classes=self.labeled.data.num_classes,
            folds=self.folds,
            iterations=self.iterations,
            image_shape=() if self.labeled.has_rows else self.labeled.data.input_shape,
            seed=self.seed,
        )
        self.learner = split.learner
        return split
