"""The numbers of a run of the kind `noisy`: what the page, `publish` and the command line say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.estimate import Estimate
from tfticket.report.expectation import POINTS, RATE, Expectation, Measured, check
from tfticket.report.reading import RunFiles
from tfticket.studies.noisy.headline import headline
from tfticket.studies.noisy.networks import Study, read_study
from tfticket.studies.noisy.results import (
    ACCURACY,
    MethodSummary,
    Selection,
    selections,
    summarize_trainings,
)


@dataclass(frozen=True)
class Summary(BaseSummary):
    """The trainings and selections of a run, as far as it is finished.

    Attributes:
        study: The run, its files opened.
        trainings: Those with a finished seed, in the order of the recipe.
        selections: What held-out predictions told, noise by noise and seed by seed.
    """

    study: Study = field(repr=False)
    trainings: tuple[MethodSummary, ...]
    selections: tuple[Selection, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a finished training."""
        found = {s for t in self.trainings for m in t.measures.values() for s in m.values}
        return tuple(sorted(found))

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        done = self.files.results
        lacking = {
            each.name: [seed for seed in each.seeds if (seed, each.name, 0) not in done]
            for each in self.study.conditions
        }
        return unfinished(self.files, lacking, noun="seed", more="trainings")

    @property
    def headline(self) -> str:
        """The best method under each noise, and by how much it beats cross-entropy."""
        return headline(self.trainings, self.selections, self.expectations)

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations; one without a noise is held against each noise."""
        noises = list(dict.fromkeys(found.condition.noise for found in self.trainings)) or [""]
        tables = [
            {**table, "noise": noise}
            for table in self.files.expect
            for noise in ([str(table["noise"])] if table.get("noise") else noises)
        ]
        return check(tables, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        method, against, noise = str(table["method"]), table.get("against"), table["noise"]
        several = len({found.condition.noise for found in self.trainings}) > 1
        about = f"{method} minus {against}" if against else f"accuracy of {method}"
        about = f"{about}, {noise}" if several and noise else about
        unit = POINTS if against else RATE
        of_noise = {
            found.condition.method: found.values(ACCURACY)
            for found in reversed(self.trainings)
            if found.condition.noise == noise
        }
        for name in filter(None, (method, against)):
            if not of_noise.get(name):
                return Measured(None, about, unit, remark=f"no finished training of {name}")
        if against is None:
            return Measured(Estimate.of(of_noise[method]), about, unit)
        found = Estimate.of_difference(of_noise[method], of_noise[against])
        return Measured(found, about, unit, remark="" if found else "no seed in common")

    def results(self) -> dict[str, Any]:
        """Trainings and selections."""
        return {
            "seeds": list(self.seeds),
            "confidence": self.confidence,
            "trainings": [found.to_dict() for found in self.trainings],
            "selections": [found.to_dict() for found in self.selections],
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read, finished or not.

    Raises:
        RunError: when its list of trainings is damaged.
    """
    study = read_study(files)
    return Summary(files, study, summarize_trainings(study), selections(study))
