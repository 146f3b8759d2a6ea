"""`FittedSeeds`: what came of fitting networks over seeds, and which of them is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from tfticket.display.words import plural
from tfticket.export.fitting.budget import Budget
from tfticket.export.fitting.candidates import Candidate, Target
from tfticket.export.fitting.fitted import Fitted
from tfticket.report.estimate import Estimate

Way = Literal["fitted", "control"]


@dataclass(frozen=True)
class Settings:
    """Settings of fitting.

    Attributes:
        budget: The limits.
        target: As for `export.fit`.
        steps: Steps after each round, as for `Training`.
        learning_rate: As for `Training`.
        control: Whether to train controls.
    """

    budget: Budget
    target: Target = "micro"
    steps: int | None = None
    learning_rate: float = 1e-3
    control: bool = True


@dataclass(frozen=True, eq=False)
class FittedSeeds:
    """Results of the searches of all seeds.

    Attributes:
        settings: How they were fitted.
        seeds: Seed to its search.
        seed: The seed of the file that was written; None where the budget is out of reach.
        way: Whether that is a fitted network or a control; None likewise.
        reason: Why, in sentences.
        files: The files that were written, the page last.
    """

    settings: Settings
    seeds: Mapping[int, Fitted]
    seed: int | None
    way: Way | None
    reason: str
    files: tuple[Path, ...] = ()

    @property
    def met(self) -> bool:
        """True if the budget is kept."""
        return self.seed is not None

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was written."""
        return None if self.seed is None else _of(self.seeds[self.seed], self.way)

    def accuracies(self, way: Way) -> dict[int, float]:
        """Return the test accuracy of each seed's network that keeps the budget."""
        return _accuracies(self.seeds, way)

    @property
    def gain(self) -> Estimate | None:
        """Test accuracy of the fitted networks less that of their controls, paired by seed."""
        return _gain(self.seeds)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        accuracies = {way: self.accuracies(way) for way in get_args(Way)}
        return {
            "met": self.met,
            "budget": self.settings.budget.describe(),
            "reason": self.reason,
            "seed": self.seed,
            "chosen": self.way,
            "test_accuracy": {
                way: Estimate.of(found).to_dict() for way, found in accuracies.items() if found
            },
            "gain": None if self.gain is None else self.gain.to_dict(),
            "seeds": {str(seed): found.to_dict() for seed, found in self.seeds.items()},
            "files": [str(path) for path in self.files],
        }


def _of(fitted: Fitted, way: Way | None) -> Candidate | None:
    return fitted.control if way == "control" else fitted.best


def _accuracies(seeds: Mapping[int, Fitted], way: Way) -> dict[int, float]:
    of_seeds = {seed: _of(found, way) for seed, found in seeds.items() if found.met}
    return {
        seed: each.test_accuracy
        for seed, each in of_seeds.items()
        if each is not None and each.test_accuracy is not None
    }


def _gain(seeds: Mapping[int, Fitted]) -> Estimate | None:
    return Estimate.of_difference(_accuracies(seeds, "fitted"), _accuracies(seeds, "control"))


def choose(settings: Settings, seeds: Mapping[int, Fitted]) -> FittedSeeds:
    """Choose the file by validation data: the way that is better on average, its best seed.

    Args:
        settings: The limits.
        seeds: Seed to its search.

    Returns:
        What is to be written, and why, in sentences.
    """
    first, count = next(iter(seeds.values())), plural(len(seeds), "seed")
    met = {seed: found for seed, found in seeds.items() if found.met}
    if not met:
        several = f"In none of {count} is the budget kept. Of the first: "
        reason = first.reason if len(seeds) == 1 else several + first.reason
        return FittedSeeds(settings, seeds, None, None, reason)
    if len(seeds) == 1:
        way: Way = "control" if first.chosen is first.control else "fitted"
        return FittedSeeds(settings, seeds, next(iter(seeds)), way, first.reason)
    pairs = {seed: (f.best, f.control) for seed, f in met.items() if f.control is not None}
    gain = [best.taken.accuracy - control.taken.accuracy for best, control in pairs.values()]
    way, usable = "fitted", {seed: found.best for seed, found in met.items()}
    kept = {seed: control for seed, (_, control) in pairs.items() if not control.shortfalls}
    if len(pairs) == len(met) and kept and sum(gain) <= 0:
        way, usable = "control", kept
    seed = max(usable, key=lambda each: usable[each].taken.accuracy)
    chosen = usable[seed]
    test = "" if chosen.test_accuracy is None else f", test accuracy {chosen.test_accuracy:.2%}"
    reason = (
        f"The budget ({settings.budget.describe()}) is kept in {len(met)} of {count}."
        f"{_compared(met)} Written is the {way} network of seed {seed}, by validation data: "
        f"{chosen.taken.describe()}{test}."
    )
    return FittedSeeds(settings, seeds, seed, way, reason)


def _compared(seeds: Mapping[int, Fitted]) -> str:
    """Say over seeds how the fitted networks did against their controls, on test data."""
    gain = _gain(seeds)
    if gain is None:
        return ""
    verdict = "not significant"
    if gain.seeds > 1 and not gain.includes(0.0):
        verdict = "the fitted ones are ahead" if gain.mean > 0 else "the controls are ahead"
    bounds = f" ({100 * gain.lower:+.2f} to {100 * gain.upper:+.2f})" if gain.seeds > 1 else ""
    fitted, control = (fmean(_accuracies(seeds, way).values()) for way in get_args(Way))
    return (
        f" On test data the fitted networks reach {fitted:.2%}, dense networks of no more bytes, "
        f"trained as long, {control:.2%}: {100 * gain.mean:+.2f} points{bounds}, {verdict}."
    )
