"""The numbers of a run of the kind `memorization`: each network by noise and density."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tfticket.display import words
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.estimate import Estimate, estimates
from tfticket.report.expectation import POINTS, RATE, Expectation, Measured, check, counted
from tfticket.report.reading import RunFiles
from tfticket.studies.lottery.schema import control_levels
from tfticket.studies.noisy.results import noise_name
from tfticket.studies.store import Condition, ConditionSummary, common_fields, read_conditions

TICKET = "ticket"
MEASURES: Mapping[str, str] = {
    "memorized": "wrong labels memorized",
    "accuracy": "test accuracy",
    "calibration_error": "calibration error",
    "accuracy_at_early_stop": "test accuracy, stopped by noisy validation",
    "recovered": "true labels recovered",
    "right_accuracy": "right labels learned",
}
"""Measure of a network to what it is called."""
_RESULTS = {"accuracy_at_end": "accuracy", "calibration_error_at_end": "calibration_error"}
_KEPT = (*MEASURES, "density", "noise_rate", "seconds")
_NEAR = 1.3  # a level whose density differs by more than this factor measures something else


@dataclass(frozen=True)
class NetworkCondition(Condition):
    """The networks of one branch under one noise, at all densities.

    Attributes:
        noise: What the recipe calls its noise: `symmetric0.4`.
        noise_name: The noise in a sentence.
        network: `ticket`, whose level 0 is the dense network, or the name of a control.
    """

    noise: str
    noise_name: str
    network: str


@dataclass(frozen=True)
class LevelSummary(ConditionSummary[NetworkCondition]):
    """The networks of one branch, noise and level over seeds.

    Attributes:
        level: Number of prunings; 0 is the dense network.
        density: Share of the prunable weights that is left, mean over seeds.
    """

    level: int
    density: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "noise": self.condition.noise,
            "network": self.condition.network,
            "level": self.level,
            "density": self.density,
            "networks": len(self.values("accuracy")),
            "measures": self.measures_dict(),
        }


@dataclass(frozen=True)
class Summary(BaseSummary):
    """The networks of a run, as far as it is finished.

    Attributes:
        conditions: In the order of the recipe.
        levels: Those with a finished network; noise by noise, branch by branch, dense first.
    """

    conditions: tuple[NetworkCondition, ...] = field(repr=False)
    levels: tuple[LevelSummary, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a finished network."""
        return tuple(sorted({seed for level in self.levels for seed in level.values("accuracy")}))

    @property
    def noises(self) -> dict[str, str]:
        """Each noise with a finished network, to its name in a sentence."""
        return {level.condition.noise: level.condition.noise_name for level in self.levels}

    @property
    def networks(self) -> tuple[str, ...]:
        """Branches with a finished network: `ticket`, then controls."""
        return tuple(dict.fromkeys(level.condition.network for level in self.levels))

    def of(self, noise: str, network: str) -> list[LevelSummary]:
        """The levels of a branch, from dense to sparse; a control begins as the dense network."""
        dense = [x for x in self._of(noise, TICKET) if x.level == 0]
        own = self._of(noise, network)
        return own if own and own[0].level == 0 else dense + own

    def _of(self, noise: str, network: str) -> list[LevelSummary]:
        wanted = (noise, network)
        return [x for x in self.levels if (x.condition.noise, x.condition.network) == wanted]

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        last = int(self.files.table("lottery").get("levels", 0))
        levels = control_levels(self.files.table("controls").get("levels"), last)
        lacking = {
            f"{each.name}, seed {seed}": [
                level
                for level in (range(last + 1) if each.network == TICKET else levels)
                if (seed, each.name, level) not in self.files.results
            ]
            for each in self.conditions
            for seed in each.seeds
        }
        return unfinished(self.files, lacking, noun="level", more="searches")

    @property
    def headline(self) -> str:
        """What dense network and tickets memorize under each noise, and their accuracy."""
        said = [sentence for noise in self.noises for sentence in self._sentences(noise)]
        return " ".join([*said, *counted(self.expectations)]) or "Nothing is trained yet."

    def _sentences(self, noise: str) -> Iterator[str]:
        tickets = [level for level in self.of(noise, TICKET) if "accuracy" in level.measures]
        if not tickets or tickets[0].level or len(tickets) < 2:
            return
        dense, *pruned = tickets
        low = min(pruned, key=lambda level: level.measures["accuracy"].mean)
        high = max(pruned, key=lambda level: level.measures["accuracy"].mean)
        memory = ""
        if "memorized" in dense.measures:
            most = max(pruned, key=lambda level: level.measures["memorized"].mean)
            memory = (
                f" memorizes {_percent(dense, 'memorized')} of the wrong labels (of tickets at "
                f"most {_percent(most, 'memorized')}, at {words.percent(most.density)} of the "
                "weights) and"
            )
        under = "Without wrong labels" if noise == "none" else f"Under {self.noises[noise]}"
        yield (
            f"{under}, the dense network{memory} has a test accuracy of "
            f"{_percent(dense, 'accuracy')}; that of tickets is between "
            f"{_percent(low, 'accuracy')} (at {words.percent(low.density)} of the weights) and "
            f"{_percent(high, 'accuracy')} (at {words.percent(high.density)})."
        )

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations, each read at the levels nearest to the densities it names."""
        return check(self.files.expect, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        measure, noise = str(table["measure"]), str(table["noise"])
        branch, density = str(table["branch"]), float(table["density"])
        against, there = table.get("against"), table.get("against_density")
        about = f"{MEASURES[measure]}, {self.noises.get(noise, noise)}"
        own = self.at(noise, branch, density)
        if own is None or measure not in own.measures:
            return Measured(None, about, RATE, remark=f"no {branch} near {words.percent(density)}")
        detail = _named(own)
        if against is None and there is None:
            return Measured(own.measures[measure], about, RATE, detail)
        wanted = (str(against or branch), float(there or density))
        other = self.at(noise, *wanted)
        found = None if other is None else difference(own, other, measure)
        if other is None or found is None:
            remark = f"no {wanted[0]} near {words.percent(wanted[1])}"
            return Measured(None, about, POINTS, detail, remark=remark)
        return Measured(found, about, POINTS, f"{detail} minus {_named(other)}")

    def at(self, noise: str, network: str, density: float) -> LevelSummary | None:
        """The level of a branch that is nearest to a density; None where none is near."""
        levels = self.of(noise, network)
        if not levels:
            return None
        nearest = min(levels, key=lambda level: abs(math.log(level.density / density)))
        near = abs(math.log(nearest.density / density)) <= math.log(_NEAR)
        return nearest if near else None

    def results(self) -> dict[str, Any]:
        """Levels, and each against the dense network of its noise."""
        return {
            "seeds": list(self.seeds),
            "confidence": self.confidence,
            "noises": self.noises,
            "levels": [level.to_dict() for level in self.levels],
        }


def difference(own: LevelSummary, other: LevelSummary, measure: str) -> Estimate | None:
    """Estimate `own - other` over the seeds that both have; None without one."""
    return Estimate.of_difference(own.values(measure), other.values(measure))


def _named(level: LevelSummary) -> str:
    if level.level == 0:
        return "dense network"
    return f"{level.condition.network} at {words.percent(level.density)}"


def _percent(level: LevelSummary, measure: str) -> str:
    return words.percent(level.measures[measure].mean)


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read, finished or not.

    Raises:
        RunError: when its list of branches is damaged.
    """
    conditions = read_conditions(
        files,
        lambda entries: [
            NetworkCondition(
                **common_fields(files, entry),
                noise=str(entry["noise"]),
                noise_name=noise_name(str(entry["noise_kind"]), float(entry["nominal_rate"])),
                network=str(entry["network"]),
            )
            for entry in entries
        ],
    )
    levels = [level for each in conditions for level in _levels(files, each)]
    return Summary(files, conditions, tuple(levels))


def _levels(files: RunFiles, condition: NetworkCondition) -> Iterator[LevelSummary]:
    """The finished levels of a branch; a network counts once its last measurement is there."""
    numbers = sorted({level for _, branch, level in files.results if branch == condition.name})
    for level in numbers:
        found: dict[int, dict[str, float]] = {}
        for seed in condition.seeds:
            values = files.results.get((seed, condition.name, level), {})
            if "noise_rate" in values:
                named = {_RESULTS.get(name, name): value for name, (_, value) in values.items()}
                found[seed] = {name: v for name, v in named.items() if name in _KEPT}
        if found:
            measures = estimates(found)
            yield LevelSummary(condition, measures, level, measures["density"].mean)
