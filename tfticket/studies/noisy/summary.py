"""The numbers of a run of the kind `noisy`: what the page, `publish` and the command line say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tfticket.display import words
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.estimate import Estimate
from tfticket.report.expectation import POINTS, RATE, Expectation, Measured, check, counted
from tfticket.report.reading import RunFiles
from tfticket.studies.noisy.results import (
    ACCURACY,
    STOPPED,
    MethodSummary,
    Selection,
    Study,
    read_study,
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


_MOST = 5


def headline(
    trainings: Sequence[MethodSummary],
    selections: Sequence[Selection],
    expectations: Sequence[Expectation],
) -> str:
    """Say which method ends highest, by how much, how sure that is, and what was estimated.

    Args:
        trainings: Those with a finished seed.
        selections: Estimates by held-out predictions.
        expectations: Those of the recipe.
    """
    noises = dict.fromkeys(found.condition.noise for found in trainings)
    grouped = [[found for found in trainings if found.condition.noise == noise] for noise in noises]
    outcomes = [said for group in grouped for said in outcome(group)]
    if len(outcomes) > _MOST:
        outcomes[_MOST:] = ["The table tells of the other noises."]
    sentences = [*outcomes, *_theory(trainings), *_estimates(selections), *counted(expectations)]
    return " ".join(sentences) or "Nothing is trained yet: there is nothing to tell."


def outcome(group: Sequence[MethodSummary]) -> list[str]:
    """Say in a sentence or two which method is best under one noise; nothing if none is trained."""
    trained = [found for found in group if ACCURACY in found.measures]
    if not trained:
        return []
    condition = trained[0].condition
    start = f"{'With' if condition.noise_kind == 'none' else 'Under'} {condition.noise_name},"
    baseline = next((found for found in trained if found.condition.is_baseline), None)
    rivals = [(found.gain, found) for found in trained if found.gain is not None]
    if baseline is not None and rivals:
        gain, best = max(rivals, key=lambda pair: pair[0].mean)
        return [f"{start} {_against(best, gain, baseline)}.", *_early(best, gain, baseline)]
    best = max(trained, key=lambda found: found.measures[ACCURACY].mean)
    lacking = (
        "no cross-entropy was trained beside it to compare with."
        if baseline is None
        else "nothing else that could be compared with it is finished."
    )
    name = best.condition.method_name
    return [f"{start} {name} ends at {_accuracy(best)} on clean test data; {lacking}"]


def _against(best: MethodSummary, gain: Estimate, baseline: MethodSummary) -> str:
    name, size = best.condition.method_name, words.size_in_points(gain.mean)
    if gain.mean <= 0:
        said = f"plain cross-entropy wins: it ends at {_accuracy(baseline)} on clean test data"
        if gain.mean == 0:
            return f"{said}, and so does {name}"
        said = f"{said}, and the best other method, {name}, {size} below it"
    else:
        said = (
            f"{name} ends highest, at {_accuracy(best)} on clean test data, {size} above plain "
            "cross-entropy"
        )
    bounds = (
        "one seed, so no interval"
        if gain.seeds < 2
        else f"{words.interval(gain, words.points)}, {words.plural(gain.seeds, 'seed')}"
    )
    return f"{said} ({bounds}){', which is not significant' if gain.includes(0) else ''}"


def _accuracy(found: MethodSummary) -> str:
    return words.percent2(found.measures[ACCURACY].mean)


def _early(best: MethodSummary, gain: Estimate, baseline: MethodSummary) -> list[str]:
    """Say that stopping cross-entropy in time does as well, where it does."""
    common = best.values(ACCURACY).keys() & baseline.values(STOPPED).keys()
    if not common or gain.mean <= 0:
        return []
    stopped = sum(baseline.values(STOPPED)[seed] for seed in common) / len(common)
    ended = sum(best.values(ACCURACY)[seed] for seed in common) / len(common)
    if stopped < ended:
        return []
    return [
        "Yet cross-entropy stopped where noisy validation data says reaches "
        f"{words.percent2(stopped)}, which is as much or more."
    ]


def _estimates(selections: Sequence[Selection]) -> list[str]:
    sure = [found for found in selections if found.identifiable]
    unsure = len(selections) - len(sure)
    sentences = []
    if sure:
        worst = words.number(100 * max(found.error for found in sure), 1)
        held = sum(found.holds for found in sure)
        sentences.append(
            f"Without knowing it, the noise rate was estimated to within {worst} points; {held} of "
            f"{words.plural(len(sure), 'interval')} {'contains' if held == 1 else 'contain'} it."
        )
    if unsure:
        cases = f"{unsure} of {words.plural(len(selections), 'estimate')}"
        sentences.append(f"The noise rate was not identifiable in {cases}.")
    return sentences


def _theory(trainings: Sequence[MethodSummary]) -> list[str]:
    apart = [
        abs(found.measures["predicted_accuracy"].mean - found.measures["observed_accuracy"].mean)
        for found in trainings
        if {"predicted_accuracy", "observed_accuracy"} <= found.measures.keys()
    ]
    if not apart:
        return []
    worst = words.number(100 * max(apart), 1)
    settings = "the only noise" if len(apart) == 1 else f"the worst of {len(apart)} noises"
    return [
        "Held-out accuracy against the given labels is "
        f"{worst} points from what theory predicts, in {settings}."
    ]
