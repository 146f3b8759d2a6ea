"""The numbers of a run of the kind `locality`: each network by arrangement and density."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tfticket.display import words
from tfticket.report.expectation import Unit
from tfticket.studies.locality.schema import READ_OFF, TRANSFERRED
from tfticket.studies.variants.summary import (
    TICKET,
    LevelSummary,
    NamedMeasure,
    VariantCondition,
    VariantsSummary,
    difference,
)

_TIMES = NamedMeasure("", Unit(words.factor, neutral=1.0), Unit(words.signed, neutral=0.0))
_COUNT = NamedMeasure("", Unit(lambda value: words.number(value, 1)), Unit(words.signed))
MEASURES: Mapping[str, NamedMeasure] = {
    "accuracy": NamedMeasure("test accuracy"),
    "accuracy_at_end": NamedMeasure("test accuracy at the end of training"),
    "locality": replace(_TIMES, title="locality"),
    "original_locality": replace(_TIMES, title="locality in the order of the signals"),
    "unit_locality": replace(_TIMES, title="locality beyond the inputs that all units prefer"),
    "fan_in": replace(_COUNT, title="inputs of a unit"),
    "span": replace(_COUNT, title="span of a unit"),
    "units_1": NamedMeasure("units left in the first hidden layer"),
    "units_2": NamedMeasure("units left in the second"),
    "width": replace(_COUNT, title="kernel width"),
    "channels": replace(_COUNT, title="channels"),
}
_NAMES = {
    "as_is": "signals as they are",
    "flipped": "flipped signals",
    "shuffled": "shuffled signals",
    "chunks": "signals in shuffled chunks",
}


@dataclass(frozen=True)
class Summary(VariantsSummary):
    """The networks of a run, as far as it is finished; a variant is an arrangement."""

    VARIANT: ClassVar[str] = "arrangement"
    MEASURES: ClassVar[Mapping[str, NamedMeasure]] = MEASURES
    RESULTS: ClassVar[Mapping[str, str]] = {"accuracy_at_early_stop": "accuracy"}
    LAST: ClassVar[str] = "density"

    @staticmethod
    def variant_name(entry: Mapping[str, Any]) -> str:
        """See `VariantsSummary`."""
        return _NAMES[str(entry["arrangement"])]

    @property
    def convolutions(self) -> tuple[LevelSummary, ...]:
        """The convolutional networks."""
        return tuple(level for level in self.levels if "width" in level.measures)

    def planned_levels(self, condition: VariantCondition) -> Collection[int]:
        """See `VariantsSummary`."""
        if condition.network == READ_OFF or condition.network.startswith("width_"):
            return tuple(self.files.table("convolution").get("levels", ()))
        return super().planned_levels(condition)

    def sentences(self, variant: str) -> Iterator[str]:
        """The locality of the sparsest ticket, and how its mask does with new weights."""
        tickets = self.of(variant, TICKET)
        if len(tickets) < 2 or "locality" not in tickets[-1].measures:
            return
        last, found = tickets[-1], tickets[-1].measures["original_locality"]
        said = (
            f"On {self.variants[variant]}, units of the ticket with {words.percent(last.density)} "
            f"of the weights keep {words.factor(found.mean)} as many neighboring points of the "
            f"signal as by chance ({words.interval(found, words.factor) or 'one seed'})"
        )
        compared = [
            f"{words.points(change.mean)} points {name} ({words.interval(change, words.points)})"
            for network, name in (("reinit", "with new weights"), (TRANSFERRED, "transferred"))
            for other in self.of(variant, network)[1:]
            if other.level == last.level and (change := difference(other, last, "accuracy"))
        ]
        yield f"{said}; its mask: {', '.join(compared)}." if compared else f"{said}."
