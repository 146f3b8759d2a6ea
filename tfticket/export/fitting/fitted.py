"""`Fitted`: the result of a search for a network that keeps a budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.export.fitting.budget import Budget
from tfticket.export.fitting.candidates import Candidate


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Displayable):
    """The result of `fit`.

    Attributes:
        budget: The limits.
        candidates: All that was tried, in order; the first is the network as it was given.
        best: The one that keeps the budget, or came nearest.
        control: A dense network of no more bytes, trained from new weights for as many steps; None
            where the network as it was given keeps the budget, or nothing does.
        chosen: What was written: `best`, or `control` where that is at least as accurate; None
            where the budget is out of reach.
        reason: Why, in sentences.
        files: The files that were written.
    """

    budget: Budget
    candidates: tuple[Candidate, ...]
    best: Candidate
    control: Candidate | None
    chosen: Candidate | None
    reason: str
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"Fitted({'met' if self.met else 'out of reach'}, {len(self.candidates)} tried)"

    @property
    def met(self) -> bool:
        """True if the budget is kept."""
        return self.chosen is not None

    def summary(self) -> str:
        """Return what was found, in sentences."""
        return self.reason

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each network that was tried, the control last."""
        control = [] if self.control is None else [self.control]
        return [each.to_dict() for each in (*self.candidates, *control)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "met": self.met,
            "budget": self.budget.describe(),
            "chosen": None if self.chosen is None else self.chosen.name,
            "reason": self.reason,
            "files": [str(path) for path in self.files],
            "tried": self.to_rows(),
        }

    def _figure(self) -> Figure | None:
        found = (
            [each.taken.flash_bytes / 1000 for each in self.candidates],
            [100 * each.taken.accuracy for each in self.candidates],
        )
        return lines({"pruned": found}, "size of the file (kB)", "validation accuracy (%)")


def untrained(given: Candidate, budget: Budget) -> str:
    """Say that a network isn't accurate enough to begin with, and what was seen of it."""
    report = given.draft.report
    because = "the network itself isn't as accurate; train it first"
    if (report.verification.keras_accuracy or 0.0) >= budget.accuracy:
        because = "rounding costs the network as it was given more than that"
    return " ".join([because, *(f"({warning.rstrip('.')})" for warning in report.warnings)])


def against(control: Candidate, better: bool) -> str:
    """Say how the control did, in a sentence."""
    told = (
        f"a dense network of {control.taken.flash_bytes:,} bytes, trained from new weights for as "
        f"many steps, reaches {control.taken.accuracy:.2%}"
    )
    if better:
        return f" But {told}: it is what was written."
    if control.shortfalls:
        told += f" and doesn't keep the limit of {' and '.join(control.shortfalls)}"
    return f" A{told[1:]}."


def kept(candidate: Candidate, budget: Budget) -> str:
    """Say that a network keeps the budget, and what it takes."""
    name = f"{candidate.name[0].upper()}{candidate.name[1:]}{candidate.storage.suffix()}"
    return f"{name} keeps the budget ({budget.describe()}): {candidate.taken.describe()}."
