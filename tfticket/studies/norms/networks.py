"""The trained networks of a run, read from its files."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tfticket.files import checked_name
from tfticket.norms.landscape import CurvatureRecord, SmoothnessRecord
from tfticket.norms.landscape.records import ShiftRecord
from tfticket.report.reading import RunFiles
from tfticket.studies.norms.names import label
from tfticket.studies.store import Condition, RecordedStudy, Trial, read_conditions, read_trials


@dataclass(frozen=True)
class NormCondition(Condition):
    """Networks that differ by their seed alone.

    Attributes:
        norm: Kind of normalization.
        label: The same with its options, where a run holds several of one kind.
        learning_rate: Of its training.
        batch_size: Of its training.
        subnetwork: `dense`, `ticket` or `random`.
    """

    norm: str
    label: str
    learning_rate: float
    batch_size: int
    subnetwork: str

    @property
    def setting(self) -> tuple[float, int]:
        """Learning rate and batch size; norms are compared where they agree."""
        return (self.learning_rate, self.batch_size)


class Network(Trial):
    """One finished training, with what was tracked in it."""

    @property
    def diverged(self) -> bool:
        """True if its loss stopped being a number."""
        return bool(self.results.get("diverged", 0.0))

    @cached_property
    def landscape(self) -> SmoothnessRecord | None:
        """Measurements of the loss landscape; None if it wasn't tracked."""
        own = self._tracked("landscape/")
        return SmoothnessRecord.from_arrays(own) if own else None

    @cached_property
    def shift(self) -> ShiftRecord | None:
        """Shift of the layers' gradients; None when it wasn't tracked."""
        own = self._tracked("shift/")
        return ShiftRecord.from_arrays(own) if own else None

    @cached_property
    def curvature(self) -> CurvatureRecord | None:
        """Measurements of curvature; None when it wasn't tracked."""
        own = self._tracked("curvature/")
        return CurvatureRecord.from_arrays(own) if own else None

    def _tracked(self, prefix: str) -> dict[str, np.ndarray]:
        return {n.removeprefix(prefix): a for n, a in self.arrays.items() if n.startswith(prefix)}


class Study(RecordedStudy[NormCondition, Network]):
    """The conditions of a run, and its networks."""

    @property
    def begun(self) -> list[NormCondition]:
        """The conditions with a finished network."""
        return [each for each in self.conditions if self.of(each)]

    def of(self, condition: NormCondition) -> dict[int, Network]:
        """The finished networks of a condition by seed, those that diverged among them."""
        return {seed: net for seed, net in self.trials[condition.name].items() if net.finished}

    def landscapes(self, condition: NormCondition) -> dict[int, SmoothnessRecord]:
        """The records of smoothness of a condition by seed, those with at least one moment."""
        networks = self.of(condition).items()
        return {seed: r for seed, net in networks if (r := net.landscape) and len(r.step)}

    def shifts(self, condition: NormCondition) -> dict[int, ShiftRecord]:
        """The records of shift of a condition by seed, those with at least one moment."""
        networks = self.of(condition).items()
        return {seed: r for seed, net in networks if (r := net.shift) and len(r.step)}

    def curvatures(self, condition: NormCondition) -> dict[int, CurvatureRecord]:
        """The records of curvature of a condition by seed, those with at least one moment."""
        networks = self.of(condition).items()
        return {seed: r for seed, net in networks if (r := net.curvature) and len(r.step)}


def read_study(files: RunFiles) -> Study:
    """Read `cells.json` and the files of the trainings that are there.

    Raises:
        RunError: `cells.json` can't be read.
    """
    conditions = read_conditions(files, _conditions)
    return Study(files, conditions, *read_trials(files, conditions, kind="cell", make=Network))


def _conditions(entries: Sequence[Mapping[str, Any]]) -> list[NormCondition]:
    options: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        options[entry["norm"]].add(json.dumps(entry["options"], sort_keys=True))
    return [
        NormCondition(
            name=checked_name(entry["branch"], "cells.json"),
            steps=int(entry["steps"]),
            seeds=tuple(int(seed) for seed in entry["seeds"]),
            norm=str(entry["norm"]),
            label=label(entry["norm"], entry["options"] if len(options[entry["norm"]]) > 1 else {}),
            learning_rate=float(entry["learning_rate"]),
            batch_size=int(entry["batch_size"]),
            subnetwork=str(entry["subnetwork"]),
        )
        for entry in entries
    ]


def reference_setting(study: Study) -> tuple[float, int] | None:
    """The learning rate and batch size that most norms were tracked at, for the main figures.

    Ties go to the recipe's own values, then to the order of the recipe. None when nothing was
    tracked.
    """
    found = [b for b in study.conditions if b.subnetwork == "dense" and study.landscapes(b)]
    if not found:
        return None
    usual = (
        study.files.table("train").get("learning_rate"),
        study.files.table("data").get("batch_size"),
    )
    settings = list(dict.fromkeys(b.setting for b in found))

    def rank(setting: tuple[float, int]) -> tuple[int, bool]:
        norms = {b.label for b in found if b.setting == setting}
        return (len(norms), setting == usual)

    return max(settings, key=rank)


def usual_batch_size(study: Study, among: Sequence[NormCondition]) -> int:
    """The recipe's own batch size if one of the conditions has it, else their largest."""
    sizes = {each.batch_size for each in among}
    usual = study.files.table("data").get("batch_size")
    return usual if usual in sizes else max(sizes)


def find(study: Study, norm: str, wanted: Mapping[str, Any]) -> NormCondition | None:
    """Find the dense condition of a norm that a claim is about, if a network of it is finished.

    Args:
        study: The run.
        norm: Kind of normalization, or the name of a condition.
        wanted: May hold `learning_rate` and `batch_size`; what it doesn't hold is as in the
            recipe's `train` and `data` where such a condition is there, else the first.
    """
    candidates = [
        each
        for each in study.begun
        if each.name == norm or (each.norm == norm and each.subnetwork == "dense")
    ]
    for table, name in (("data", "batch_size"), ("train", "learning_rate")):
        value = wanted.get(name)
        looked_for = value or study.files.table(table).get(name)
        exact = [
            each
            for each in candidates
            if isinstance(looked_for, int | float)
            and math.isclose(getattr(each, name), looked_for, rel_tol=1e-6)
        ]
        candidates = exact if exact or value is not None else candidates
    return candidates[0] if candidates else None


def tracked(study: Study) -> list[NormCondition]:
    """The dense conditions with a landscape under the reference condition, in the run's order."""
    setting = reference_setting(study)
    return [
        each
        for each in study.conditions
        if each.subnetwork == "dense" and each.setting == setting and study.landscapes(each)
    ]
