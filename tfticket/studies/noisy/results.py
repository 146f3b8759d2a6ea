"""The trainings and selections of a run: read from its files, and summarized over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfticket.display import words
from tfticket.report.estimate import Estimate, estimates
from tfticket.report.reading import RunFiles
from tfticket.studies.store import (
    Condition,
    ConditionSummary,
    RecordedStudy,
    Trial,
    common_fields,
    read_conditions,
    read_trials,
)

BASELINE = "cross_entropy"
METHODS = {
    "cross_entropy": "cross-entropy",
    "gce": "generalized cross-entropy",
    "forward": "forward correction",
    "coteaching": "co-teaching",
    "coteaching_plus": "co-teaching+",
    "jocor": "JoCoR",
    "decoupling": "decoupling",
    "early_learning": "early-learning regularization",
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
    "human_like": "human-like noise",
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
        """True if it is plain cross-entropy."""
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
                **common_fields(files, entry),
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


ACCURACY = "accuracy_last"
STOPPED = "accuracy_by_validation"


@dataclass(frozen=True)
class MethodSummary(ConditionSummary[MethodCondition]):
    """One method under one noise, over seeds.

    Attributes:
        gain: Accuracy minus that of cross-entropy under the same noise, paired by seed; None
            without a common seed, and for cross-entropy.
    """

    gain: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.condition.name,
            "noise": self.condition.noise,
            "method": self.condition.method,
            "kind": self.condition.method_kind,
            "gain": None if self.gain is None else self.gain.to_dict(),
            "measures": self.measures_dict(),
        }


def summarize_trainings(study: Study) -> tuple[MethodSummary, ...]:
    """Summarize the trainings with a finished seed, in the order of the recipe."""
    trainings = [
        MethodSummary(condition, estimates({seed: trial.results for seed, trial in trials.items()}))
        for condition in study.conditions
        for trials in [study.trials[condition.name]]
    ]
    baselines = {
        each.condition.noise: each.values(ACCURACY)
        for each in reversed(trainings)
        if each.condition.is_baseline
    }

    def gain(training: MethodSummary) -> Estimate | None:
        baseline = baselines.get(training.condition.noise, {})
        return Estimate.of_difference(training.values(ACCURACY), baseline)

    return tuple(
        each if each.condition.is_baseline else replace(each, gain=gain(each))
        for each in trainings
        if each.measures
    )


@dataclass(frozen=True)
class Selection:
    """The held-out predictions of one seed under one noise.

    Attributes:
        noise: What the recipe calls its noise.
        noise_name: The same in a sentence.
        seed: Of the run.
        true_rate: Share of wrong labels that there really is, in [0, 1].
        rate: The estimated share.
        low: Lower end of its interval.
        high: Upper end of its interval.
        identifiable: Whether the estimate was said to be one that can be relied on.
        kind: Type of noise that was inferred; empty when the file of the training is missing.
        reason: Why the estimate can't be relied on; empty where it can.
        sets: `selected`, `candidates` and `removed`: shares of the examples, as far as known.
        precision: Share of the selected labels that is right, or None.
        recall: Share of the right labels that is selected, or None.
        rounds: What each iteration did: `held_out`, `agreement`, `selected`, `removed`.
    """

    noise: str
    noise_name: str
    seed: int
    true_rate: float
    rate: float
    low: float
    high: float
    identifiable: bool
    kind: str
    reason: str
    sets: Mapping[str, float]
    precision: float | None
    recall: float | None
    rounds: tuple[Mapping[str, float], ...]

    @property
    def error(self) -> float:
        """Distance of the estimate from the truth."""
        return abs(self.rate - self.true_rate)

    @property
    def holds(self) -> bool:
        """True if its interval contains the truth."""
        return self.low <= self.true_rate <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "error": self.error, "holds": self.holds}


def selections(study: Study) -> tuple[Selection, ...]:
    """Noise by noise and seed by seed, each once: all methods of a seed share one selection."""
    return tuple(
        _selection(condition, seed, trial)
        for noise, condition in study.noises.items()
        for seed, trial in study.first_of(noise, lambda t: "estimated_rate" in t.results).items()
    )


def _selection(condition: MethodCondition, seed: int, trial: Trial) -> Selection:
    own, header = trial.results, trial.header.get("selection", {})
    estimate, rate = header.get("estimate", {}), own["estimated_rate"]
    return Selection(
        noise=condition.noise,
        noise_name=condition.noise_name,
        seed=seed,
        true_rate=own["noise_rate"],
        rate=rate,
        low=own.get("estimated_low", rate),
        high=own.get("estimated_high", rate),
        identifiable=own.get("identifiable", 1.0) > 0,
        kind=str(estimate.get("kind", "")),
        reason=str(estimate.get("reason", "")),
        sets={name: own[name] for name in ("selected", "candidates", "removed") if name in own},
        precision=own.get("selected_precision"),
        recall=own.get("selected_recall"),
        rounds=tuple(dict(one) for one in header.get("rounds", ())),
    )
