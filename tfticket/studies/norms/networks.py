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
from tfticket.norms.landscape import SmoothnessRecord
from tfticket.norms.landscape.records import ShiftRecord
from tfticket.report.reading import RunFiles, Trial, Trials, read_trials
from tfticket.studies.norms.names import label


@dataclass(frozen=True)
class Branch:
    """Networks that differ by their seed alone.

    Attributes:
        name: Names the branch in the table of measurements: `batch-lr0.1`.
        norm: Kind of normalization.
        label: The same with its options, where a run holds several of one kind.
        learning_rate: Of its training.
        batch_size: Of its training.
        subnetwork: `dense`, `ticket` or `random`.
        steps: Length of the training, in optimizer steps.
        seeds: The seeds that the recipe asks for.
    """

    name: str
    norm: str
    label: str
    learning_rate: float
    batch_size: int
    subnetwork: str
    steps: int
    seeds: tuple[int, ...]

    @property
    def condition(self) -> tuple[float, int]:
        """Learning rate and batch size; norms are compared where they agree."""
        return (self.learning_rate, self.batch_size)


class Network(Trial):
    """One finished training, with what was tracked in it."""

    @property
    def diverged(self) -> bool:
        """Whether its loss stopped being a number."""
        return bool(self.results.get("diverged", 0.0))

    @cached_property
    def landscape(self) -> SmoothnessRecord | None:
        """Measurements of the loss landscape; None if it wasn't tracked."""
        own = self._tracked("landscape/")
        return SmoothnessRecord.from_arrays(own) if own else None

    @cached_property
    def shift(self) -> ShiftRecord | None:
        """What the layers' gradients did; None when it wasn't tracked."""
        own = self._tracked("shift/")
        return ShiftRecord.from_arrays(own) if own else None

    def _tracked(self, prefix: str) -> dict[str, np.ndarray]:
        return {n.removeprefix(prefix): a for n, a in self.arrays.items() if n.startswith(prefix)}


@dataclass(frozen=True)
class Study:
    """All branches of a run.

    Attributes:
        files: The run.
        branches: In the order of the recipe.
        networks: Branch name to seed to network, of those that are finished.
        damaged: A sentence for each file that couldn't be read.
    """

    files: RunFiles
    branches: tuple[Branch, ...]
    networks: Trials[Network]
    damaged: tuple[str, ...]

    @property
    def begun(self) -> list[Branch]:
        """The branches with a finished network."""
        return [branch for branch in self.branches if self.of(branch)]

    def of(self, branch: Branch) -> dict[int, Network]:
        """The finished networks of a branch by seed, those that diverged among them."""
        return {seed: net for seed, net in self.networks[branch.name].items() if net.finished}

    def landscapes(self, branch: Branch) -> dict[int, SmoothnessRecord]:
        """The records of smoothness of a branch by seed, those with at least one moment."""
        networks = self.of(branch).items()
        return {seed: r for seed, net in networks if (r := net.landscape) and len(r.step)}

    def shifts(self, branch: Branch) -> dict[int, ShiftRecord]:
        """The records of shift of a branch by seed, those with at least one moment."""
        networks = self.of(branch).items()
        return {seed: r for seed, net in networks if (r := net.shift) and len(r.step)}


def read_study(files: RunFiles) -> Study:
    """Read `cells.json` and the files of the trainings that are there.

    Raises:
        RunError: `cells.json` can't be read.
    """
    branches = files.cells(_branches)
    seeds = {branch.name: branch.seeds for branch in branches}
    return Study(files, branches, *read_trials(files, seeds, kind="cell", make=Network))


def _branches(entries: Sequence[Mapping[str, Any]]) -> list[Branch]:
    options: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        options[entry["norm"]].add(json.dumps(entry["options"], sort_keys=True))
    return [
        Branch(
            name=checked_name(entry["branch"], "cells.json"),
            norm=str(entry["norm"]),
            label=label(entry["norm"], entry["options"] if len(options[entry["norm"]]) > 1 else {}),
            learning_rate=float(entry["learning_rate"]),
            batch_size=int(entry["batch_size"]),
            subnetwork=str(entry["subnetwork"]),
            steps=int(entry["steps"]),
            seeds=tuple(int(seed) for seed in entry["seeds"]),
        )
        for entry in entries
    ]


def reference_condition(study: Study) -> tuple[float, int] | None:
    """The learning rate and batch size that most norms were tracked at, for the main figures.

    Ties go to the recipe's own values, then to the order of the recipe. None when nothing was
    tracked.
    """
    found = [b for b in study.branches if b.subnetwork == "dense" and study.landscapes(b)]
    if not found:
        return None
    usual = (
        study.files.table("train").get("learning_rate"),
        study.files.table("data").get("batch_size"),
    )
    conditions = list(dict.fromkeys(b.condition for b in found))

    def rank(condition: tuple[float, int]) -> tuple[int, bool]:
        norms = {b.label for b in found if b.condition == condition}
        return (len(norms), condition == usual)

    return max(conditions, key=rank)


def usual_batch_size(study: Study, among: Sequence[Branch]) -> int:
    """The recipe's own batch size if one of the branches has it, else their largest."""
    sizes = {branch.batch_size for branch in among}
    usual = study.files.table("data").get("batch_size")
    return usual if usual in sizes else max(sizes)


def find(study: Study, norm: str, wanted: Mapping[str, Any]) -> Branch | None:
    """Find the dense branch of a norm that a claim is about, among those with a finished network.

    Args:
        study: The cells of the run.
        norm: Kind of normalization, or the name of a branch.
        wanted: May hold `learning_rate` and `batch_size`; what it doesn't hold is as in the
            recipe's `train` and `data` where such a branch exists, else the first that there is.
    """
    candidates = [
        branch
        for branch in study.begun
        if branch.name == norm or (branch.norm == norm and branch.subnetwork == "dense")
    ]
    for table, name in (("data", "batch_size"), ("train", "learning_rate")):
        value = wanted.get(name)
        looked_for = value or study.files.table(table).get(name)
        exact = [
            branch
            for branch in candidates
            if isinstance(looked_for, int | float)
            and math.isclose(getattr(branch, name), looked_for, rel_tol=1e-6)
        ]
        candidates = exact if exact or value is not None else candidates
    return candidates[0] if candidates else None


def tracked(study: Study) -> list[Branch]:
    """The dense branches with a landscape under the reference condition, in the run's order."""
    condition = reference_condition(study)
    return [
        branch
        for branch in study.branches
        if branch.subnetwork == "dense"
        and branch.condition == condition
        and study.landscapes(branch)
    ]
