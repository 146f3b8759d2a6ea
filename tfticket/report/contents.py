"""The summary of a run and the contents of its page, which every kind of study makes."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfticket.display import words
from tfticket.report.estimate import CONFIDENCE
from tfticket.report.expectation import Expectation, all_met
from tfticket.report.reading import RunFiles

if TYPE_CHECKING:
    from tfticket.display.charts import Figure

_MOST_SENTENCES = 12


@dataclass(frozen=True)
class Summary(abc.ABC):
    """The numbers of a run, finished or not: what its page, cards and the command line say.

    Attributes:
        files: The run.
    """

    files: RunFiles = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return str(self.files.recipe.get("name", self.files.path.resolve().parent.name))

    @property
    def title(self) -> str:
        """Title of the recipe."""
        return str(self.files.recipe.get("title", ""))

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.files.path.resolve().name

    @property
    def complete(self) -> bool:
        """True if the run wrote its last file."""
        return self.files.complete

    @property
    def confidence(self) -> float:
        """Coverage of the intervals, in (0, 1)."""
        return CONFIDENCE

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations and what came out."""
        return ()

    @property
    def met(self) -> bool:
        """True if there are expectations with a bound, and all are met."""
        return all_met(self.expectations)

    @property
    @abc.abstractmethod
    def missing(self) -> tuple[str, ...]:
        """Sentences about what an unfinished run lacks; empty for a complete run."""

    @property
    @abc.abstractmethod
    def headline(self) -> str:
        """The result in a sentence or two."""

    @abc.abstractmethod
    def results(self) -> dict[str, Any]:
        """The numbers of this kind, as plain values for JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        return {
            "recipe": self.name,
            "kind": str(self.files.recipe.get("kind", "lottery")),
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "claims": [found.to_dict() for found in self.expectations],
            **self.results(),
        }


def unfinished(
    files: RunFiles, lacking: Mapping[str, Collection[int]], *, noun: str, more: str
) -> tuple[str, ...]:
    """Say what a run lacks, a sentence each; nothing for a complete run.

    Args:
        files: The run.
        lacking: What the numbers are of (a branch) to what isn't finished there.
        noun: What the numbers are: `seed`, `level`.
        more: What those are that are left out of a long list.
    """
    if files.complete:
        return ()
    sentences = [
        f"{name}: {noun}{'' if len(numbers) == 1 else 's'} {words.ranges(list(numbers))} "
        "not finished"
        for name, numbers in lacking.items()
        if numbers
    ]
    left_out = len(sentences) - _MOST_SENTENCES
    if left_out > 1:
        sentences[_MOST_SENTENCES:] = [f"and {left_out} {more} more"]
    return tuple(sentences) or ("the run has not written its last file",)


@dataclass(frozen=True)
class Contents:
    """A page before it is set.

    Attributes:
        summary: The numbers; they become `summary.json`.
        values: What the template needs beside them: `facts`, pairs of name and value, and tables.
        figures: Name to title and chart, in the order of their files; None where the run doesn't
            hold the figure.
    """

    summary: Summary
    values: Mapping[str, Any]
    figures: Mapping[str, tuple[str, Figure | None]]
