"""The numbers of a run of the kind `noisy`: what the page, `publish` and the command line say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfticket.report import words
from tfticket.report.reading import RunFiles
from tfticket.studies.noisy.claims import CheckedClaim, check_claims
from tfticket.studies.noisy.headline import headline
from tfticket.studies.noisy.networks import Study, read_study
from tfticket.studies.noisy.results import (
    CONFIDENCE,
    Selection,
    Training,
    selections,
    summarize_trainings,
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
        trainings: Those with a finished seed, in the order of the recipe.
        selections: What held-out predictions told, noise by noise and seed by seed.
        claims: The recipe's expectations beside what came out.
    """

    name: str
    title: str
    run: str
    complete: bool
    missing: tuple[str, ...]
    trainings: tuple[Training, ...]
    selections: tuple[Selection, ...]
    claims: tuple[CheckedClaim, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a finished training."""
        return tuple(
            sorted({s for t in self.trainings for m in t.measures.values() for s in m.values})
        )

    @property
    def headline(self) -> str:
        """Which method is best under each noise, and whether cross-entropy is."""
        return headline(self.trainings, self.selections, self.claims)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        return {
            "recipe": self.name,
            "kind": "noisy",
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "seeds": list(self.seeds),
            "confidence": CONFIDENCE,
            "claims": [claim.to_dict() for claim in self.claims],
            "trainings": [found.to_dict() for found in self.trainings],
            "selections": [found.to_dict() for found in self.selections],
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarizes a run that has been read, finished or not.

    Raises:
        RunError: when its list of trainings is damaged.
    """
    return summarize_study(read_study(files))


def summarize_study(study: Study) -> Summary:
    """The same for a run whose files have been opened already."""
    files, trainings = study.files, summarize_trainings(study)
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=_missing(study),
        trainings=trainings,
        selections=selections(study),
        claims=check_claims(list(files.recipe.get("expect") or ()), trainings),
    )


def _missing(study: Study) -> tuple[str, ...]:
    if study.files.complete:
        return ()
    sentences = []
    for cell in study.cells:
        done = {seed for seed, branch, _ in study.files.results if branch == cell.branch}
        lacking = [seed for seed in study.seeds if seed not in done]
        if lacking:
            noun = "seed" if len(lacking) == 1 else "seeds"
            sentences.append(f"{cell.branch}: {noun} {words.ranges(lacking)} not finished")
    more = len(sentences) - _MOST_SENTENCES
    if more > 1:
        sentences[_MOST_SENTENCES:] = [f"and {more} trainings more"]
    return tuple(sentences) or ("the run has not written its last file",)
