"""Memorization of wrong labels by networks, tickets and random controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.display import words
from tfticket.display.words import listed
from tfticket.report.estimate import Estimate
from tfticket.studies.noisy.results import noise_name
from tfticket.studies.norms.headline import difference
from tfticket.studies.norms.measures import MEMORIZATION
from tfticket.studies.norms.names import norm
from tfticket.studies.norms.networks import NormCondition, Study
from tfticket.studies.norms.results import Contrast, NormSummary

_PAIRS = (("ticket", "dense"), ("random", "dense"), ("ticket", "random"))


@dataclass(frozen=True)
class MemorizationSummary:
    """Memorized shares of wrong labels.

    Attributes:
        noise: The noise in a sentence: `symmetric noise of 40 %`.
        realized: Share of training labels that are wrong, over seeds.
        last: How many of the last evaluations results are the mean of.
        conditions: Those with a result.
        contrasts: Ticket against dense, random against dense, ticket against random, for each
            normalization: differences of `MEMORIZATION`, paired by seed.
    """

    noise: str
    realized: Estimate
    last: int
    conditions: tuple[NormSummary, ...]
    contrasts: tuple[Contrast, ...]

    @property
    def sentences(self) -> list[str]:
        """Answer for each normalization to the question whether a ticket memorizes less."""
        tickets = [c for c in self.contrasts if c.condition.subnetwork == "ticket"]
        against_dense = [c for c in tickets if c.against.subnetwork == "dense"]
        if not against_dense:
            shares = [f"{self._share(e.condition)} by {e.condition.name}" for e in self.conditions]
            return [f"Under {self.noise}, of the wrong labels are memorized: {listed(shares)}."]
        when = (
            "At the last evaluation."
            if self.last == 1
            else f"Means of the last {self.last} evaluations."
        )
        return [
            f"Does a ticket found under {self.noise} memorize less than its dense network? "
            f"({when})",
            *(said for contrast in against_dense for said in self._answer(contrast)),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "noise": self.noise,
            "realized_rate": self.realized.to_dict(),
            "last": self.last,
            "contrasts": [contrast.to_dict() for contrast in self.contrasts],
        }

    def _answer(self, contrast: Contrast) -> Iterator[str]:
        apart = contrast.measures["memorized_last"]
        ticket, dense = self._share(contrast.condition), self._share(contrast.against)
        yield (
            f"With {norm(contrast.condition.label)}, {_verdict(apart)}: it memorizes {ticket} of "
            f"the wrong labels and the dense network {dense} (difference {_points(apart)})"
            f"{self._control(contrast)}."
        )
        along = contrast.measures.get("memorized_mean")
        if along is not None and _verdict(along) != _verdict(apart):
            yield (
                "In the mean of all evaluations, which tells who is sooner, the ticket's share is "
                f"{difference(along)}."
            )
        if "accuracy_last" in contrast.measures:
            clean = difference(contrast.measures["accuracy_last"])
            yield f"The ticket's accuracy on clean test data is {clean}."

    def _control(self, contrast: Contrast) -> str:
        """Say how much a random subnetwork memorizes, if there is one: is it sparsity alone?"""
        for other in self.contrasts:
            alike = _setting(other.condition) == _setting(contrast.condition)
            if alike and other.condition.subnetwork == "random":
                share, apart = self._share(other.condition), other.measures["memorized_last"]
                return (
                    f"; a random subnetwork with as many weights {share} "
                    f"(against the dense network {_points(apart)})"
                )
        return ""

    def _share(self, condition: NormCondition) -> str:
        found = next(each for each in self.conditions if each.condition == condition)
        return words.percent(found.measures["memorized_last"].mean)


def summarize_memorization(
    study: Study, conditions: Sequence[NormSummary]
) -> MemorizationSummary | None:
    """Summarize a run with noise; None where no network has a result."""
    found = tuple(each for each in conditions if each.values("memorized_last"))
    if not found:
        return None
    table = study.files.table("noise")
    rates = {seed: rate for each in found for seed, rate in each.values("noise_rate").items()}
    return MemorizationSummary(
        noise=noise_name(str(table.get("kind", "noise")), float(table.get("rate") or 0)),
        realized=Estimate.of(dict(sorted(rates.items()))),
        last=int(study.files.recipe.get("last") or 1),
        conditions=found,
        contrasts=tuple(_contrasts(found)),
    )


def _contrasts(found: Sequence[NormSummary]) -> Iterator[Contrast]:
    summaries = {(_setting(each.condition), each.condition.subnetwork): each for each in found}
    for setting in dict.fromkeys(setting for setting, _ in summaries):
        for own, other in _PAIRS:
            first, second = (summaries.get((setting, kind)) for kind in (own, other))
            if first is None or second is None:
                continue
            known = {
                name: apart
                for name in MEMORIZATION
                if (apart := Estimate.of_difference(first.values(name), second.values(name)))
            }
            if "memorized_last" in known:
                yield Contrast(first.condition, known, second.condition)


def _setting(condition: NormCondition) -> tuple[Any, ...]:
    return (condition.label, *condition.setting, condition.steps)


def _verdict(apart: Estimate) -> str:
    if apart.seeds < 2:
        return "one seed can't tell"
    if apart.includes(0):
        return "not significantly"
    return "yes" if apart.upper < 0 else "no"


def _points(apart: Estimate) -> str:
    """`+6.70 points, +5.10 to +8.30, 3 seeds`."""
    interval = f", {words.interval(apart, words.points)}, {words.plural(apart.seeds, 'seed')}"
    return f"{words.points(apart.mean)} points{interval if apart.seeds > 1 else ''}"
