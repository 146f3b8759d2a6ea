"""`FittedSeeds`: what came of fitting networks over seeds, and which of them is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
        name: Of the model or the recipe.
        data: Description of the data.
        settings: How they were fitted.
        seeds: Seed to its search.
        seed: The seed of the file that was written; None where the budget is out of reach.
        way: Whether that is a fitted network or a control; None likewise.
        reason: Why, in sentences.
        files: The files that were written, the page last.
    """

    name: str
    data: str
    settings: Settings
    seeds: Mapping[int, Fitted]
    seed: int | None
    way: Way | None
    reason: str
    files: tuple[Path, ...] = ()

    @property
    def met(self) -> bool:
        """Whether the budget is kept."""
        return self.seed is not None

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was written."""
        return None if self.seed is None else _of(self.seeds[self.seed], self.way)

    def accuracies(self, way: Way, *, test: bool = True) -> dict[int, float]:
        """Return the accuracy of each seed's network that keeps the budget.

        Args:
            way: Of the fitted networks, or of their controls.
            test: On test data, else on validation data.
        """
        found: dict[int, float] = {}
        for seed, each in self.seeds.items():
            candidate = _of(each, way) if each.met else None
            if candidate is not None:
                accuracy = candidate.test_accuracy if test else candidate.taken.accuracy
                found |= {} if accuracy is None else {seed: accuracy}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        ways: tuple[Way, Way] = ("fitted", "control")
        accuracies = {way: self.accuracies(way) for way in ways}
        gain = Estimate.of_difference(accuracies["fitted"], accuracies["control"])
        return {
            "met": self.met,
            "budget": self.settings.budget.describe(),
            "reason": self.reason,
            "seed": self.seed,
            "chosen": self.way,
            "test_accuracy": {
                way: Estimate.of(found).to_dict() for way, found in accuracies.items() if found
            },
            "gain": None if gain is None else gain.to_dict(),
            "seeds": {str(seed): found.to_dict() for seed, found in self.seeds.items()},
            "files": [str(path) for path in self.files],
        }


def _of(fitted: Fitted, way: Way | None) -> Candidate | None:
    return fitted.control if way == "control" else fitted.best


def choose(settings: Settings, seeds: Mapping[int, Fitted]) -> tuple[int | None, Way | None, str]:
    """Choose the file by validation data: the way that is better on average, its best seed.

    Args:
        settings: The limits.
        seeds: Seed to its search.

    Returns:
        Seed and way, None where no seed keeps the budget, and why, in sentences.
    """
    first, *others = seeds.items()
    if not others:
        seed, found = first
        if not found.met:
            return None, None, found.reason
        return seed, "control" if found.chosen is found.control else "fitted", found.reason
    met = {seed: found for seed, found in seeds.items() if found.met}
    count = plural(len(seeds), "seed")
    if not met:
        return None, None, f"In none of {count} is the budget kept. Of the first: {first[1].reason}"
    pairs = {seed: (f.best, f.control) for seed, f in met.items() if f.control is not None}
    gain = [best.taken.accuracy - control.taken.accuracy for best, control in pairs.values()]
    way: Way = "fitted"
    usable = {seed: found.best for seed, found in met.items()}
    kept = {seed: control for seed, (_, control) in pairs.items() if not control.shortfalls}
    if len(pairs) == len(met) and kept and sum(gain) <= 0:
        way, usable = "control", kept
    seed = max(usable, key=lambda each: usable[each].taken.accuracy)
    chosen = usable[seed]
    made = FittedSeeds("", "", settings, seeds, seed, way, "")
    test = "" if chosen.test_accuracy is None else f", test accuracy {chosen.test_accuracy:.2%}"
    return seed, way, (
        f"The budget ({settings.budget.describe()}) is kept in {len(met)} of {count}."
        f"{_compared(made)} Written is the {way} network of seed {seed}, by validation data: "
        f"{chosen.taken.describe()}{test}."
    )  # fmt: skip


def _compared(made: FittedSeeds) -> str:
    """Say over seeds how the fitted networks did against their controls, on test data."""
    fitted, control = made.accuracies("fitted"), made.accuracies("control")
    gain = Estimate.of_difference(fitted, control)
    if gain is None:
        return ""
    verdict = "not significant"
    if gain.seeds > 1 and not gain.includes(0.0):
        verdict = "the fitted ones are ahead" if gain.mean > 0 else "the controls are ahead"
    bounds = f" ({100 * gain.lower:+.2f} to {100 * gain.upper:+.2f})" if gain.seeds > 1 else ""
    return (
        f" On test data the fitted networks reach {Estimate.of(fitted).mean:.2%}, dense networks of"
        f" no more bytes that were trained as long {Estimate.of(control).mean:.2%}: "
        f"{100 * gain.mean:+.2f} points{bounds}, {verdict}."
    )
