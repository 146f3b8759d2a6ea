"""The numbers of a run of the kind `memorization`: each network by noise and density."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfticket.display import words
from tfticket.studies.noisy.results import noise_name
from tfticket.studies.variants.summary import TICKET, LevelSummary, NamedMeasure, VariantsSummary

MEASURES: Mapping[str, NamedMeasure] = {
    "memorized": NamedMeasure("wrong labels memorized"),
    "accuracy": NamedMeasure("test accuracy"),
    "calibration_error": NamedMeasure("calibration error"),
    "accuracy_at_early_stop": NamedMeasure("test accuracy, stopped by noisy validation"),
    "recovered": NamedMeasure("true labels recovered"),
    "right_accuracy": NamedMeasure("right labels learned"),
}


@dataclass(frozen=True)
class Summary(VariantsSummary):
    """The networks of a run, as far as it is finished; a variant is a noise."""

    VARIANT: ClassVar[str] = "noise"
    MEASURES: ClassVar[Mapping[str, NamedMeasure]] = MEASURES
    RESULTS: ClassVar[Mapping[str, str]] = {
        "accuracy_at_end": "accuracy",
        "calibration_error_at_end": "calibration_error",
    }
    LAST: ClassVar[str] = "noise_rate"

    @staticmethod
    def variant_name(entry: Mapping[str, Any]) -> str:
        """See `VariantsSummary`."""
        return noise_name(str(entry["noise_kind"]), float(entry["nominal_rate"]))

    def sentences(self, variant: str) -> Iterator[str]:
        """Summarize memorization and accuracy of the dense network and its tickets, by noise."""
        tickets = [level for level in self.of(variant, TICKET) if "accuracy" in level.measures]
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
        under = "Without wrong labels" if variant == "none" else f"Under {self.variants[variant]}"
        yield (
            f"{under}, the dense network{memory} has a test accuracy of "
            f"{_percent(dense, 'accuracy')}; that of tickets is between "
            f"{_percent(low, 'accuracy')} (at {words.percent(low.density)} of the weights) and "
            f"{_percent(high, 'accuracy')} (at {words.percent(high.density)})."
        )


def _percent(level: LevelSummary, measure: str) -> str:
    return words.percent(level.measures[measure].mean)
