"""The trained networks of a run, read from its files."""

from __future__ import annotations

from dataclasses import dataclass

from tfticket.files import checked_name
from tfticket.report import words
from tfticket.report.reading import Curve, RunFiles, Trial, Trials, read_trials

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
class Cell:
    """One method under one noise.

    Attributes:
        branch: Its name in the run.
        noise: What the recipe calls its noise: `symmetric0.5`.
        noise_kind: The noise's own name.
        nominal_rate: The rate that the recipe asks for, in [0, 1].
        method: What the recipe calls the method.
        method_kind: The method's own name.
        steps: Optimizer steps; 0 where nothing is trained.
    """

    branch: str
    noise: str
    noise_kind: str
    nominal_rate: float
    method: str
    method_kind: str
    steps: int

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


@dataclass(frozen=True)
class Study:
    """A run whose files have been opened.

    Attributes:
        files: The run.
        cells: All trainings that it is to make, in the order of the recipe.
        trials: Branch to seed to what is known of that training.
        damaged: What could not be read, a sentence each.
    """

    files: RunFiles
    cells: tuple[Cell, ...]
    trials: Trials[Trial]
    damaged: tuple[str, ...]

    @property
    def noises(self) -> dict[str, Cell]:
        """Each noise of the recipe, with the first of its cells."""
        found: dict[str, Cell] = {}
        for cell in self.cells:
            found.setdefault(cell.noise, cell)
        return found

    def curves(self, branch: str, split: str, name: str) -> dict[int, Curve]:
        """Along training: seed to curve, of the seeds that have one."""
        return {
            seed: trial.curves[split, name]
            for seed, trial in self.trials[branch].items()
            if (split, name) in trial.curves
        }

    def kept_of(self, noise: str) -> dict[int, Trial]:
        """Seed to the first trial under a noise whose file holds a selection."""
        found: dict[int, Trial] = {}
        for cell in self.cells:
            for seed, trial in self.trials[cell.branch].items():
                if cell.noise == noise and "selection" in trial.header:
                    found.setdefault(seed, trial)
        return dict(sorted(found.items()))


def read_study(files: RunFiles) -> Study:
    """Open the trainings of a run, finished or not.

    Raises:
        RunError: when its list of trainings is damaged.
    """
    cells = files.cells(
        lambda entries: [
            Cell(
                branch=checked_name(entry["branch"], files.path / "cells.json"),
                noise=str(entry["noise"]),
                noise_kind=str(entry["noise_kind"]),
                nominal_rate=float(entry["nominal_rate"]),
                method=str(entry["method"]),
                method_kind=str(entry["method_kind"]),
                steps=int(entry["steps"]),
            )
            for entry in entries
        ]
    )
    seeds = {cell.branch: sorted(files.seeds) for cell in cells}
    return Study(files, cells, *read_trials(files, seeds, kind="noisy_cell", make=Trial))
