"""Trainings and selections of a study over its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfticket.report.estimate import Estimate, estimates
from tfticket.studies.noisy.networks import MethodCondition, Study
from tfticket.studies.store import ConditionSummary, Trial

ACCURACY = "accuracy_last"


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
        """Whether its interval contains the truth."""
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
