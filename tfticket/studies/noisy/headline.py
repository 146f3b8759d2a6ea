"""The result of a study in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.lottery.comparison import Interval
from tfticket.report import words
from tfticket.report.judging import counted
from tfticket.studies.noisy.claims import CheckedClaim
from tfticket.studies.noisy.results import ACCURACY, Selection, Training

STOPPED = "accuracy_by_validation"
_MOST = 5


def headline(
    trainings: Sequence[Training],
    selections: Sequence[Selection],
    claims: Sequence[CheckedClaim],
) -> str:
    """Says which method ends highest, by how much, how sure that is, and what was estimated.

    Args:
        trainings: Those with a finished seed.
        selections: Estimates by held-out predictions.
        claims: The recipe's expectations.
    """
    noises = dict.fromkeys(found.cell.noise for found in trainings)
    grouped = [[found for found in trainings if found.cell.noise == noise] for noise in noises]
    outcomes = [said for group in grouped for said in outcome(group)]
    if len(outcomes) > _MOST:
        outcomes[_MOST:] = ["The table tells of the other noises."]
    sentences = [
        *outcomes,
        *_theory(trainings),
        *_estimates(selections),
        *counted([claim.reading for claim in claims]),
    ]
    return " ".join(sentences) or "Nothing is trained yet: there is nothing to tell."


def outcome(group: Sequence[Training]) -> list[str]:
    """A sentence or two about the methods under one noise; none where nothing was trained."""
    trained = [found for found in group if ACCURACY in found.measures]
    if not trained:
        return []
    start = trained[0].cell.noise_name
    start = f"With {start}," if trained[0].cell.noise_kind == "none" else f"Under {start},"
    baseline = next((found for found in trained if found.cell.is_baseline), None)
    rivals = [found for found in trained if found.gain is not None]
    if baseline is None or not rivals:
        return [_alone(start, trained, baseline)]
    best = max(rivals, key=_gain)
    return [f"{start} {_against(best, baseline)}.", *_early(best, baseline)]


def _gain(found: Training) -> float:
    return found.gain.mean if found.gain else 0.0


def _alone(start: str, trained: Sequence[Training], baseline: Training | None) -> str:
    best = max(trained, key=lambda found: found.measures[ACCURACY].mean)
    said = f"{start} {best.cell.method_name} ends at {_accuracy(best)} on clean test data"
    if baseline is None:
        return f"{said}; no cross-entropy was trained beside it to compare with."
    return f"{said}; nothing else that could be compared with it is finished."


def _against(best: Training, baseline: Training) -> str:
    gain = best.gain
    assert gain is not None  # only such are rivals
    name, size = best.cell.method_name, _size(gain)
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
    return f"{said} ({_bounds(gain)}){_doubt(gain)}"


def _size(gain: Interval) -> str:
    return f"{words.points(abs(gain.mean)).lstrip('+')} points"


def _bounds(gain: Interval) -> str:
    if gain.seeds < 2:
        return "one seed, so no interval"
    return f"{words.points_interval(gain)}, {words.plural(gain.seeds, 'seed')}"


def _doubt(gain: Interval) -> str:
    if gain.seeds > 1 and gain.lower <= 0 <= gain.upper:
        return ", but the seeds can't tell that from no difference"
    return ""


def _accuracy(found: Training) -> str:
    return words.percent2(found.measures[ACCURACY].mean)


def _early(best: Training, baseline: Training) -> list[str]:
    """That stopping cross-entropy in time does as well, where it does."""
    common = best.values(ACCURACY).keys() & baseline.values(STOPPED).keys()
    if not common or _gain(best) <= 0:
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
        text = (
            f"Without being told, the share of wrong labels was estimated to within {worst} points"
        )
        if len(sure) > 1:
            sentences.append(f"{text}; {held} of {len(sure)} intervals hold the truth.")
        else:
            holds = "holds" if held else "doesn't hold"
            sentences.append(f"{text}, and its interval {holds} the truth.")
    if unsure:
        times = "once" if unsure == 1 else f"{unsure} times"
        sentences.append(
            f"The share of wrong labels was called not identifiable {times} of {len(selections)}."
        )
    return sentences


def _theory(trainings: Sequence[Training]) -> list[str]:
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
