"""The trained networks of a run, read from its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfticket.display import words
from tfticket.files import checked_name
from tfticket.report.reading import RunFiles
from tfticket.studies.store import Condition, RecordedStudy, Trial, read_conditions, read_trials

BASELINE = "cross_entropy"
METHODS = {
    "cross_entropy": "cross-entropy",
    "gce": "generalized cross-entropy",
    "forward": "forward correction",
    "coteaching": "co-teaching",
    "coteaching_plus": "co-teaching+",
    "jocor": "JoCoR",
    "decoupling": "decoupling",
    "incv": "INCV",
    "held_out": "held-out predictions",
}
"""A method's own name to what it is called in a sentence."""
NOISES = {
    "none": "no added noise",
    "symmetric": "symmetric noise",
    "symmetric_inclusive": "symmetric noise that may draw the true label",
    "pair": "pair noise",
    "cifar10_asymmetric": "asymmetric noise",
    "instance": "instance-dependent noise",
    "matrix": "noise by a matrix",
    "file": "labels of a file",
    "open_set": "open-set noise",
}
"""Kind of noise to what it is called in a sentence."""


def noise_name(kind: str, rate: float) -> str:
    """A noise in a sentence: `symmetric noise of 50 %`."""
    name = NOISES.get(kind, kind)
    return name if kind in ("none", "matrix", "file") else f"{name} of {words.rate(rate)}"


@dataclass(frozen=True)
class MethodCondition(Condition):
    """One method under one noise.

    Attributes:
        noise: What the recipe calls its noise: `symmetric0.5`.
        noise_kind: The noise's own name.
        nominal_rate: The rate that the recipe asks for, in [0, 1].
        method: What the recipe calls the method.
        method_kind: The method's own name.
    """

    noise: str
    noise_kind: str
    nominal_rate: float
    method: str
    method_kind: str

    @property
    def method_name(self) -> str:
        """The method in a sentence: `co-teaching`, or the label that the recipe gave it."""
        known = METHODS.get(self.method_kind, self.method_kind)
        return known if self.method == self.method_kind else self.method

    @property
    def noise_name(self) -> str:
        """The noise in a sentence."""
        return noise_name(self.noise_kind, self.nominal_rate)

    @property
    def is_baseline(self) -> bool:
        """Whether it is plain cross-entropy."""
        return self.method_kind == BASELINE


class Study(RecordedStudy[MethodCondition, Trial]):
    """The conditions of a run, and its trainings."""

    @property
    def noises(self) -> dict[str, MethodCondition]:
        """Each noise of the recipe, with the first of its conditions."""
        found: dict[str, MethodCondition] = {}
        for condition in self.conditions:
            found.setdefault(condition.noise, condition)
        return found

    def first_of(self, noise: str, told: Callable[[Trial], object]) -> dict[int, Trial]:
        """Seed to the first trial under a noise that tells something, seeds rising."""
        found: dict[int, Trial] = {}
        for condition in self.conditions:
            for seed, trial in self.trials[condition.name].items():
                if condition.noise == noise and told(trial):
                    found.setdefault(seed, trial)
        return dict(sorted(found.items()))

    def selecting(self, noise: str) -> dict[int, Trial]:
        """Seed to the first trial under a noise whose file holds a selection."""
        return self.first_of(noise, lambda trial: "selection" in trial.header)


def read_study(files: RunFiles) -> Study:
    """Open the trainings of a run, finished or not.

    Raises:
        RunError: when its list of trainings is damaged.
    """
    conditions = read_conditions(
        files,
        lambda entries: [
            MethodCondition(
                name=checked_name(entry["branch"], files.path / "cells.json"),
                steps=int(entry["steps"]),
                seeds=tuple(sorted(files.seeds)),
                noise=str(entry["noise"]),
                noise_kind=str(entry["noise_kind"]),
                nominal_rate=float(entry["nominal_rate"]),
                method=str(entry["method"]),
                method_kind=str(entry["method_kind"]),
            )
            for entry in entries
        ],
    )
    return Study(files, conditions, *read_trials(files, conditions, kind="noisy_cell", make=Trial))
