"""The numbers of a study of normalization: per branch over seeds, contrasts, and its claims.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfticket.report.reading import RunFiles
from tfticket.report.words import ranges
from tfticket.studies.norms.claims import CheckedClaim, check_claims
from tfticket.studies.norms.headline import headline
from tfticket.studies.norms.measures import (
    SMOOTHNESS,
)
from tfticket.studies.norms.memorization import MemorizationSummary, summarize_memorization
from tfticket.studies.norms.networks import Branch, Study, read_study, reference_condition
from tfticket.studies.norms.results import (
    CONFIDENCE,
    BatchLoss,
    BranchSummary,
    Contrast,
    batch_losses,
    contrast_norms,
    contrast_subnetworks,
    summarize_branches,
)

_MOST_SENTENCES = 12


@dataclass(frozen=True)
class Summary:
    """What a run came to, as far as it is finished.

    Attributes:
        name: Name of the recipe.
        title: Its title.
        run: Name of the run.
        complete: Whether the run is finished.
        missing: What isn't there yet, a sentence each; empty for a complete run.
        first: Share of training, from its start, that smoothness and shift are summarized over.
        reference: Learning rate and batch size that the headline and the main figures are of;
            None when no landscape was tracked.
        branches: Those with a finished network, in the order of the recipe.
        norms: Each normalization against the baseline that was trained the same way.
        subnetworks: Tickets and random subnetworks against their dense network.
        batch_losses: What smaller batches cost each normalization.
        claims: The recipe's expectations beside what came out.
        memorization: What was memorized of wrong labels; None where the labels were right.
    """

    name: str
    title: str
    run: str
    complete: bool
    missing: tuple[str, ...]
    first: float
    reference: tuple[float, int] | None
    branches: tuple[BranchSummary, ...]
    norms: tuple[Contrast, ...]
    subnetworks: tuple[Contrast, ...]
    batch_losses: tuple[BatchLoss, ...]
    claims: tuple[CheckedClaim, ...]
    memorization: MemorizationSummary | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have a finished network."""
        return tuple(sorted({seed for found in self.branches for seed in found.seeds}))

    @property
    def headline(self) -> str:
        """The result in a few sentences of plain words."""
        reference = sorted(self.norms, key=lambda c: c.branch.condition[:2] != self.reference)
        return headline(
            reference,
            self.subnetworks,
            self.batch_losses,
            self.claims,
            first=self.first,
            trained=bool(self.branches),
            memorization=self.memorization.sentences if self.memorization else (),
        )

    def branch(self, branch: Branch) -> BranchSummary | None:
        """The summary of a branch, or None when none of its networks is finished."""
        return next((found for found in self.branches if found.branch == branch), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        return {
            "recipe": self.name,
            "kind": "norms",
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "seeds": list(self.seeds),
            "confidence": CONFIDENCE,
            "first": self.first,
            "claims": [claim.to_dict() for claim in self.claims],
            "norms": [found.to_dict() for found in self.norms],
            "subnetworks": [found.to_dict() for found in self.subnetworks],
            "batch_losses": [found.to_dict() for found in self.batch_losses],
            "branches": [found.to_dict() for found in self.branches],
            **({"memorization": self.memorization.to_dict()} if self.memorization else {}),
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarizes a run that has been read, finished or not."""
    return summarize_study(read_study(files))


def summarize_study(study: Study) -> Summary:
    """The same for a run whose cells have been opened already."""
    files, first = study.files, _first(study.files)
    branches = summarize_branches(study, first=first)
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=_missing(study),
        first=first,
        reference=reference_condition(study),
        branches=branches,
        norms=contrast_norms(study, first=first),
        subnetworks=contrast_subnetworks(study, first=first),
        batch_losses=batch_losses(branches),
        claims=check_claims(list(files.recipe.get("expect") or ()), study),
        memorization=summarize_memorization(study, branches),
    )


def _first(files: RunFiles) -> float:
    """The share of training that the recipe's first claim about smoothness is about."""
    for claim in files.recipe.get("expect") or ():
        if claim.get("measure") in SMOOTHNESS:
            return float(claim.get("first", 1.0))
    return 1.0


def _missing(study: Study) -> tuple[str, ...]:
    if study.files.complete:
        return ()
    sentences = []
    for branch in study.branches:
        lacking = [seed for seed in branch.seeds if seed not in study.of(branch)]
        if lacking:
            noun = "seed" if len(lacking) == 1 else "seeds"
            sentences.append(f"{branch.name}: {noun} {ranges(lacking)} not finished")
    more = len(sentences) - _MOST_SENTENCES
    if more > 1:
        sentences[_MOST_SENTENCES:] = [f"and {more} branches more"]
    return tuple(sentences) or ("the run has not written its last file",)
