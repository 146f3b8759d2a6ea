"""The numbers of a run of the kind `widths`: those of the searches at each width, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from tfticket.display import words
from tfticket.lottery.comparison import Interval
from tfticket.lottery.metric import Metric
from tfticket.lottery.over_seeds.levels import LevelSummary
from tfticket.lottery.verdict import TWIN
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.expectation import Expectation, Measured, check, counted
from tfticket.report.reading import DENSE, Place, RunFiles
from tfticket.studies.lottery.summary import Summary as SearchSummary
from tfticket.studies.lottery.summary import summarize_files as summarize_search
from tfticket.studies.widths.schema import label

T = TypeVar("T")


@dataclass(frozen=True)
class Summary(BaseSummary):
    """The searches of a run, as far as they are finished.

    Attributes:
        searches: Width to the levels and verdicts there, in the order of the recipe.
    """

    searches: Mapping[float, SearchSummary] = field(repr=False)

    @property
    def metric(self) -> Metric:
        """Metric that networks are judged by."""
        return next(iter(self.searches.values())).metric

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a finished network."""
        return tuple(sorted({seed for each in self.searches.values() for seed in each.seeds}))

    @property
    def branches(self) -> tuple[str, ...]:
        """Branches with a finished network: `ticket`, then controls."""
        return tuple(dict.fromkeys(b for each in self.searches.values() for b in each.branches))

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        return tuple(
            f"width {width:g}: {sentence}"
            for width, each in self.searches.items()
            for sentence in each.missing
        )

    def compared(self) -> Iterator[tuple[float, LevelSummary, LevelSummary]]:
        """Yield width, ticket and reinitialized control of each level that has both."""
        for width, search in self.searches.items():
            for ticket in search.branch(DENSE[0]):
                twin = search.level(TWIN, ticket.level)
                if twin is not None:
                    yield width, ticket, twin

    def gains(self, width: float, level: int) -> dict[str, Interval]:
        """Return what each branch gains over the ticket's mask as it is on new weights."""
        search = self.searches[width]
        found = {name: search.level(name, level) for name in search.branches if name != TWIN}
        compared = {n: search.compare(own, TWIN) for n, own in found.items() if own is not None}
        return {name: each.gain for name, each in compared.items() if each is not None}

    @property
    def headline(self) -> str:
        """Gain of the matched mask at the sparsest level of each width."""
        sparsest = {width: ticket for width, ticket, _ in self.compared()}
        said = [
            f"{gain} at width {width:g} and {words.percent(ticket.density)} of the weights"
            for width, ticket in sparsest.items()
            if (gain := self._said(width, ticket.level))
        ]
        gains = "A mask that is matched to a new initialization gains over the mask as it is: "
        start = [f"{gains}{'; '.join(said)}."] if said else []
        return " ".join([*start, *counted(self.expectations)]) or "Nothing is trained yet."

    def _said(self, width: float, level: int) -> str:
        gain = self.gains(width, level).get("aligned")
        if gain is None:
            return ""
        return words.joined(self.metric.say_gain(gain.mean), self.metric.say_gains(gain), by=", ")

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations, each read at its width and the level of its density."""
        return check(self.files.expect, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        width = float(table["width"])
        found = self.searches[width].measure(table)
        return replace(found, measure=f"width {width:g}, {found.measure}")

    def results(self) -> dict[str, Any]:
        """Levels and verdicts at each width, and what branches gain over the mask as it is."""
        gains = [
            {"width": width, "density": ticket.density, "branch": branch, **gain.to_dict()}
            for width, ticket, _ in self.compared()
            for branch, gain in self.gains(width, ticket.level).items()
        ]
        found = self.searches.items()
        return {
            "seeds": list(self.seeds),
            "confidence": self.confidence,
            f"gains_over_{TWIN}": gains,
            "levels": [
                {"width": w, **level.to_dict(each.metric)}
                for w, each in found
                for level in each.levels
            ],
            "verdicts": [{"width": w, **v.to_dict()} for w, each in found for v in each.verdicts],
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read, finished or not."""
    widths = [float(width) for width in files.recipe.get("widths") or ()]
    return Summary(files, {width: summarize_search(_at(files, width)) for width in widths})


def _at(files: RunFiles, width: float) -> RunFiles:
    """The searches at one width, as a run of their own."""
    prefix = f"{label(width)}-"

    def own(networks: Mapping[Place, T]) -> dict[Place, T]:
        return {
            (seed, branch.removeprefix(prefix), level): found
            for (seed, branch, level), found in networks.items()
            if branch.startswith(prefix)
        }

    return replace(files, results=own(files.results), curves=own(files.curves))
