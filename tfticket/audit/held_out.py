"""Looking at labels with networks that weren't trained on them."""

from __future__ import annotations

import os

from tfticket.audit.network import Network
from tfticket.audit.subject import Subject
from tfticket.noisy import INCV, CleanSplit
from tfticket.noisy.incv import Cost, Tell


class LabelAudit:
    """Predicts each example by networks that were trained on others, and compares with its label.

        audit = LabelAudit(Subject.load("digits"))
        print(audit.cost)
        split = audit.run()
        print(split.estimate.rate)

    Args:
        subject: The labels in question.
        network: What looks at them.
        folds: Each network is trained on all but one of so many parts, at least 2.
        iterations: How often this is done at most; each time the networks are trained on what was
            found clean before, see `INCV`. Once is enough for an estimate.
        seed: Seed of everything.

    Raises:
        DataError: when a number is out of range.
    """

    def __init__(
        self,
        subject: Subject,
        network: Network | None = None,
        *,
        folds: int = 2,
        iterations: int = 1,
        seed: int = 0,
    ) -> None:
        self.subject = subject
        self.network = network or Network()
        self._incv = INCV(
            lambda fold_seed: self.network.build(subject, fold_seed),
            epochs=self.network.epochs_for(subject),
            folds=folds,
            iterations=iterations,
            batch_size=self.network.batch_size_for(subject),
            seed=seed,
        )

    @property
    def cost(self) -> Cost:
        """What it takes at most, before anything is trained."""
        return self._incv.cost(len(self.subject))

    def run(
        self, *, folder: str | os.PathLike[str] | None = None, tell: Tell | None = None
    ) -> CleanSplit:
        """Trains, predicts and selects.

        Args:
            folder: Where finished networks leave their predictions, so that what was stopped goes
                on there; None keeps nothing.
            tell: Is told before each training which network it is, from 1, and of how many at most.

        Raises:
            TFTicketError: when the labels can't be looked at, or `folder` is about others.
        """
        return self._incv.select(
            self.subject.inputs(), self.subject.given, folder=folder, tell=tell
        )
