"""The numbers of a study of normalization: per condition over seeds, contrasts, and expectations.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tfticket.display import words
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.expectation import Expectation, Measured, check
from tfticket.report.reading import RunFiles
from tfticket.studies.norms.headline import headline
from tfticket.studies.norms.measures import MEASURES, SMOOTHNESS
from tfticket.studies.norms.memorization import MemorizationSummary, summarize_memorization
from tfticket.studies.norms.networks import (
    NormCondition,
    Study,
    find,
    read_study,
    reference_setting,
)
from tfticket.studies.norms.results import (
    BatchLoss,
    Contrast,
    NormSummary,
    batch_losses,
    contrast_norms,
    contrast_subnetworks,
    cut,
    paired,
    sides,
    summarize_conditions,
)


@dataclass(frozen=True)
class Summary(BaseSummary):
    """The conditions of a run and their contrasts, as far as it is finished.

    Attributes:
        study: The run, its trials read.
        first: Share of training, from its start, that smoothness and shift are summarized over.
        reference: Learning rate and batch size that the headline and the main figures are of;
            None when no landscape was tracked.
        conditions: Those with a finished network, in the order of the recipe.
        norms: Each normalization against the baseline that was trained the same way.
        subnetworks: Tickets and random subnetworks against their dense network.
        batch_losses: What smaller batches cost each normalization.
        memorization: What was memorized of wrong labels; None where the labels were right.
    """

    study: Study = field(repr=False)
    first: float
    reference: tuple[float, int] | None
    conditions: tuple[NormSummary, ...]
    norms: tuple[Contrast, ...]
    subnetworks: tuple[Contrast, ...]
    batch_losses: tuple[BatchLoss, ...]
    memorization: MemorizationSummary | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have a finished network."""
        return tuple(sorted({seed for found in self.conditions for seed in found.seeds}))

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        lacking = {
            each.name: [seed for seed in each.seeds if seed not in self.study.of(each)]
            for each in self.study.conditions
        }
        return unfinished(self.files, lacking, noun="seed", more="branches")

    @property
    def headline(self) -> str:
        """The result in a few sentences."""
        reference = sorted(self.norms, key=lambda c: c.condition.setting != self.reference)
        return headline(
            reference,
            self.subnetworks,
            self.batch_losses,
            self.expectations,
            first=self.first,
            trained=bool(self.conditions),
            memorization=self.memorization.sentences if self.memorization else (),
        )

    def condition(self, condition: NormCondition) -> NormSummary | None:
        """The summary of a condition, or None when none of its networks is finished."""
        return next((found for found in self.conditions if found.condition == condition), None)

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations, each of two norms, or of one at two batch sizes."""
        return check(self.files.expect, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        name, norm = str(table["measure"]), str(table.get("norm"))
        measure, first = MEASURES[name], float(table.get("first") or 1.0)
        part = "" if first >= 1 else f"first {words.percent(first, 0)} of training"

        def lacking(why: str) -> Measured:
            return Measured(None, measure.title, measure.unit, part, remark=why)

        if name == "accuracy_drop":
            drops = [
                loss.drop
                for loss in self.batch_losses
                if loss.label.partition(" ")[0] == norm
                and table.get("batch_size") in (None, loss.batch_size)
            ]
            if not drops:
                return lacking(f"{norm} was not trained at two batch sizes")
            return Measured(drops[-1], measure.title, measure.unit)
        against = str(table.get("against") or "none")
        own, other = find(self.study, norm, table), find(self.study, against, table)
        if own is None or other is None:
            absent = norm if own is None else against
            return lacking(f"no finished network with norm = {absent}")
        found = paired(name, *sides(self.study, own, other, first=first))
        if found is None:
            return lacking(f"{measure.title} in no common seed")
        step = cut(own, other)
        until = f"both after {words.number(step)} iterations" if step else ""
        return Measured(found, measure.title, measure.unit, part, remark=until)

    def results(self) -> dict[str, Any]:
        """Branches and contrasts."""
        return {
            "seeds": list(self.seeds),
            "confidence": self.confidence,
            "first": self.first,
            "norms": [found.to_dict() for found in self.norms],
            "subnetworks": [found.to_dict() for found in self.subnetworks],
            "batch_losses": [found.to_dict() for found in self.batch_losses],
            "branches": [found.to_dict() for found in self.conditions],
            **({"memorization": self.memorization.to_dict()} if self.memorization else {}),
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read, finished or not."""
    return summarize_study(read_study(files))


def summarize_study(study: Study) -> Summary:
    """Summarize a run whose trials have been read already."""
    # The share of training that the recipe's first claim about smoothness is about.
    shares = [c.get("first", 1.0) for c in study.files.expect if c.get("measure") in SMOOTHNESS]
    first = float(shares[0]) if shares else 1.0
    conditions = summarize_conditions(study, first=first)
    return Summary(
        files=study.files,
        study=study,
        first=first,
        reference=reference_setting(study),
        conditions=conditions,
        norms=contrast_norms(study, first=first),
        subnetworks=contrast_subnetworks(study, first=first),
        batch_losses=batch_losses(conditions),
        memorization=summarize_memorization(study, conditions),
    )
