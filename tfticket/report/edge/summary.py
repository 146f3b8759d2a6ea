"""The numbers of a run of the kind `edge`: what the page, `publish` and the command line say."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from tfticket.report import words
from tfticket.report.edge.claims import CheckedClaim, check_claims
from tfticket.report.edge.study import Study, read_study
from tfticket.report.judging import counted
from tfticket.report.reading import RunFiles


@dataclass(frozen=True)
class Summary:
    """What a run came to, as far as it is finished.

    Attributes:
        name: Name of the recipe.
        title: Its title.
        run: Name of the run.
        complete: Whether the run is finished.
        missing: What isn't there yet, a sentence each; empty for a complete run.
        study: The table of files.
        claims: The recipe's expectations beside what came out.
    """

    name: str
    title: str
    run: str
    complete: bool
    missing: tuple[str, ...]
    study: Study
    claims: tuple[CheckedClaim, ...]

    @property
    def headline(self) -> str:
        """Which file to ship, and what it is worth."""
        row = self.study.chosen
        if row is None:
            reason = self.study.choice.get("reason") or self.study.failure
            return f"No file to ship. {reason}" if reason else "No file is chosen yet."
        found = [each for each in self.study.replicates if each["failure"] is None]
        losses = [100 * (each["dense_test_accuracy"] - each["test_accuracy"]) for each in found]
        parts = [
            f"Ship {row['name']}: {row['smaller']:.1f} times smaller and {row['speedup']:.1f} "
            f"times as fast as the dense fp32 file on {self.study.host}."
        ]
        if losses:
            spread = f" ({min(losses):+.2f} to {max(losses):+.2f})" if len(losses) > 1 else ""
            parts.append(
                f"It loses {statistics.mean(losses):+.2f} points of test accuracy{spread}, over "
                f"{words.plural(len(losses), 'seed')}."
            )
        return " ".join([*parts, *counted([claim.reading for claim in self.claims])])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        return {
            "recipe": self.name,
            "kind": "edge",
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "host": self.study.host,
            "seed": self.study.seed,
            "choice": dict(self.study.choice),
            "replicates": [dict(each) for each in self.study.replicates],
            "claims": [claim.to_dict() for claim in self.claims],
            "rows": [dict(row) for row in self.study.rows],
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarizes a run that has been read, finished or not.

    Raises:
        RunError: when its table is damaged.
    """
    return summarize_study(read_study(files))


def summarize_study(study: Study) -> Summary:
    """The same for a run whose table has been read already."""
    files = study.files
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=() if files.complete else _missing(study),
        study=study,
        claims=check_claims(study) if study.rows else (),
    )


def _missing(study: Study) -> tuple[str, ...]:
    searches = [str(search.get("structure", "unstructured")) for search in study.searches]
    sentences = [
        f"the search {name} is not finished"
        for name in searches
        if not (study.files.path / "searches" / name / "COMPLETE").is_file()
    ]
    return tuple(sentences) or ("the table of files is not made yet",)
