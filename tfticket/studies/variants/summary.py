"""The numbers of such a run: each network by variant of the data and density."""

from __future__ import annotations

import abc
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

from tfticket.display import words
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.estimate import Estimate, estimates
from tfticket.report.expectation import POINTS, RATE, Expectation, Measured, Unit, check, counted
from tfticket.report.reading import RunFiles
from tfticket.studies.lottery.schema import control_levels
from tfticket.studies.store import Condition, ConditionSummary, common_fields, read_conditions

TICKET = "ticket"
_NEAR = 1.3  # a level whose density differs by more than this factor measures something else


@dataclass(frozen=True)
class NamedMeasure:
    """A measure of a network.

    Attributes:
        title: What it is called.
        unit: How it is shown.
        difference: How a difference of two is shown.
    """

    title: str
    unit: Unit = RATE
    difference: Unit = POINTS


@dataclass(frozen=True)
class VariantCondition(Condition):
    """The networks of one branch in one variant of the data, at all densities.

    Attributes:
        variant: What the recipe calls the variant: `symmetric0.4`.
        variant_name: The variant in a sentence.
        network: `ticket`, whose level 0 is the dense network, or the name of a control.
    """

    variant: str
    variant_name: str
    network: str


@dataclass(frozen=True)
class LevelSummary(ConditionSummary[VariantCondition]):
    """The networks of one branch, variant and level over seeds.

    Attributes:
        level: Number of prunings; 0 is the dense network.
        density: Share of the prunable weights that is left, mean over seeds.
    """

    level: int
    density: float


@dataclass(frozen=True)
class VariantsSummary(BaseSummary, abc.ABC):
    """The networks of a run, as far as it is finished. Abstract.

    Attributes:
        VARIANT: Key of a variant in claims and in `cells.json`.
        MEASURES: Measure of a network to what it is called.
        RESULTS: Name in the table of measurements to the measure, where the two differ.
        LAST: Name of what is measured last: a network counts once it is there.
        conditions: In the order of the recipe.
        levels: Those with a finished network; variant by variant, branch by branch, dense first.
    """

    VARIANT: ClassVar[str]
    MEASURES: ClassVar[Mapping[str, NamedMeasure]]
    RESULTS: ClassVar[Mapping[str, str]]
    LAST: ClassVar[str]

    conditions: tuple[VariantCondition, ...] = field(repr=False)
    levels: tuple[LevelSummary, ...]

    @classmethod
    def read(cls, files: RunFiles) -> Self:
        """Summarize a run that has been read, finished or not.

        Raises:
            RunError: when its list of branches is damaged.
        """

        def made(entry: Mapping[str, Any]) -> VariantCondition:
            return VariantCondition(
                **common_fields(files, entry),
                variant=str(entry[cls.VARIANT]),
                variant_name=cls.variant_name(entry),
                network=str(entry["network"]),
            )

        conditions = read_conditions(files, lambda entries: map(made, entries))
        levels = [
            LevelSummary(condition, measures, level, measures["density"].mean)
            for condition in conditions
            for level in sorted({n for _, branch, n in files.results if branch == condition.name})
            if (measures := cls._measures(files, condition, level))
        ]
        return cls(files, conditions, tuple(levels))

    @classmethod
    def _measures(
        cls, files: RunFiles, condition: VariantCondition, level: int
    ) -> dict[str, Estimate]:
        found: dict[int, dict[str, float]] = {}
        for seed in condition.seeds:
            values = files.results.get((seed, condition.name, level), {})
            if cls.LAST in values:
                renamed = {cls.RESULTS.get(n, n): value for n, (_, value) in values.items()}
                kept = (*cls.MEASURES, "density", "seconds", cls.LAST)
                found[seed] = {name: renamed[name] for name in renamed if name in kept}
        return estimates(found)

    @staticmethod
    @abc.abstractmethod
    def variant_name(entry: Mapping[str, Any]) -> str:
        """Return the name of a variant in a sentence, from an entry of `cells.json`."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a finished network."""
        return tuple(sorted({seed for level in self.levels for seed in level.values("accuracy")}))

    @property
    def variants(self) -> dict[str, str]:
        """Each variant with a finished network, to its name in a sentence."""
        found = [level.condition for level in self.levels]
        return {condition.variant: condition.variant_name for condition in found}

    @property
    def networks(self) -> tuple[str, ...]:
        """Branches with a finished network: `ticket`, then controls."""
        return tuple(dict.fromkeys(level.condition.network for level in self.levels))

    def of(self, variant: str, network: str) -> list[LevelSummary]:
        """The levels of a branch, from dense to sparse; a control begins as the dense network."""
        dense = [x for x in self._of(variant, TICKET) if x.level == 0]
        own = self._of(variant, network)
        return own if own and own[0].level == 0 else dense + own

    def _of(self, variant: str, network: str) -> list[LevelSummary]:
        wanted = (variant, network)
        return [x for x in self.levels if (x.condition.variant, x.condition.network) == wanted]

    def planned_levels(self, condition: VariantCondition) -> Collection[int]:
        """The levels that a branch will have."""
        last = int(self.files.table("lottery").get("levels", 0))
        if condition.network == TICKET:
            return range(last + 1)
        return control_levels(self.files.table("controls").get("levels"), last)

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        lacking = {
            f"{each.name}, seed {seed}": [
                level
                for level in self.planned_levels(each)
                if (seed, each.name, level) not in self.files.results
            ]
            for each in self.conditions
            for seed in each.seeds
        }
        return unfinished(self.files, lacking, noun="level", more="searches")

    @property
    def headline(self) -> str:
        """Results of each variant, and the number of expectations that are met."""
        said = [sentence for variant in self.variants for sentence in self.sentences(variant)]
        return " ".join([*said, *counted(self.expectations)]) or "Nothing is trained yet."

    @abc.abstractmethod
    def sentences(self, variant: str) -> Iterator[str]:
        """Yield the result of a variant in a sentence; nothing where too little is trained."""

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations, each read at the levels nearest to the densities it names."""
        return check(self.files.expect, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        measure, variant = str(table["measure"]), str(table[self.VARIANT])
        branch, density = str(table["branch"]), float(table["density"])
        against, there = table.get("against"), table.get("against_density")
        named = self.MEASURES[measure]
        about = f"{named.title}, {self.variants.get(variant, variant)}"
        own = self.at(variant, branch, density)
        if own is None or measure not in own.measures:
            remark = f"no {branch} near {words.percent(density)}"
            return Measured(None, about, named.unit, remark=remark)
        detail = described(own)
        if against is None and there is None:
            return Measured(own.measures[measure], about, named.unit, detail)
        wanted = (str(against or branch), float(there or density))
        other = self.at(variant, *wanted)
        found = None if other is None else difference(own, other, measure)
        if other is None or found is None:
            remark = f"no {wanted[0]} near {words.percent(wanted[1])}"
            return Measured(None, about, named.difference, detail, remark=remark)
        return Measured(found, about, named.difference, f"{detail} minus {described(other)}")

    def at(self, variant: str, network: str, density: float) -> LevelSummary | None:
        """The level of a branch that is nearest to a density; None where none is near."""
        levels = self.of(variant, network)
        if not levels:
            return None
        nearest = min(levels, key=lambda level: abs(math.log(level.density / density)))
        near = abs(math.log(nearest.density / density)) <= math.log(_NEAR)
        return nearest if near else None

    def results(self) -> dict[str, Any]:
        """Every branch and level, with all that was measured."""
        return {
            "seeds": list(self.seeds),
            "confidence": self.confidence,
            f"{self.VARIANT}s": self.variants,
            "levels": [
                {
                    self.VARIANT: level.condition.variant,
                    "network": level.condition.network,
                    "level": level.level,
                    "density": level.density,
                    "networks": len(level.values("accuracy")),
                    "measures": level.measures_dict(),
                }
                for level in self.levels
            ],
        }


def difference(own: LevelSummary, other: LevelSummary, measure: str) -> Estimate | None:
    """Estimate `own - other` over the seeds that both have; None without one."""
    return Estimate.of_difference(own.values(measure), other.values(measure))


def described(level: LevelSummary) -> str:
    """A branch and its density in words."""
    if level.level == 0:
        return "dense network"
    return f"{level.condition.network} at {words.percent(level.density)}"
