"""The result of a search in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.display.words import (
    TIMES,
    factor,
    percent,
    plural,
    ranges,
    significant,
    size_in_points,
)
from tfticket.lottery.comparison import Comparison, Interval
from tfticket.lottery.metric import ACCURACY, Metric
from tfticket.lottery.verdict import LevelVerdict, Verdict, smallest_matching, smallest_winning


def headline(
    verdicts: Sequence[LevelVerdict], *, has_dense: bool = True, metric: Metric = ACCURACY
) -> str:
    """Name the smallest winning ticket with its numbers, or say what stands in the way.

    Args:
        verdicts: One a level, levels rising.
        has_dense: Whether a dense network is finished.
        metric: What networks are judged by.
    """
    if not verdicts:
        if has_dense:
            return "Only the dense network is trained so far: there is no ticket to judge yet."
        return "No network is trained yet: there is nothing to judge."
    winning = smallest_winning(verdicts)
    if winning is None:
        return f"No winning ticket is established. {_instead(verdicts, metric)}"
    return f"Smallest winning ticket: {_place(winning)}. {_numbers(winning, metric)}"


def hypothesis(verdicts: Sequence[LevelVerdict], *, metric: Metric = ACCURACY) -> str:
    """Say where tickets learn fastest, where they are back at the dense speed, what reinit costs.

    Args:
        verdicts: One a level, levels rising.
        metric: What networks are judged by.

    Returns:
        One sentence; empty with fewer than two seeds or without levels.
    """
    told = [found for found in verdicts if found.against_dense.speedup.seeds > 1]
    if not told:
        return ""
    fastest = max(told, key=lambda found: found.against_dense.speedup.mean)
    speedup = fastest.against_dense.speedup
    if speedup.lower <= 1:
        said = ["No level is shown to learn faster than the dense network"]
    else:
        said = [
            f"Tickets learn fastest at {percent(fastest.density)} of the weights, "
            f"{_times(speedup)} as fast as the dense network ({_bounds(speedup)})"
        ]
        sparser = [found for found in told if found.density < fastest.density]
        back = next((v for v in sparser if v.against_dense.speedup.lower <= 1), None)
        if back is not None:
            said.append(
                f"are back at its speed at {percent(back.density)} "
                f"({_times(back.against_dense.speedup)})"
            )
        elif sparser:
            said.append(f"are still faster at {percent(sparser[-1].density)}")
    sentence = ", and ".join(said)
    with_twin = [found for found in told if found.twin is not None]
    if with_twin:
        twin = with_twin[-1].twin
        assert twin is not None
        sentence += (
            f"; reinitialized, the ticket of {percent(with_twin[-1].density)} "
            f"{_against(twin, metric)}"
        )
    return f"{sentence}."


def _place(verdict: LevelVerdict) -> str:
    return f"{percent(verdict.density)} of the weights (level {verdict.level})"


def _numbers(verdict: LevelVerdict, metric: Metric) -> str:
    gain, speedup = verdict.against_dense.gain, verdict.against_dense.speedup
    higher = metric.direction == "max"
    said = (
        f"{'Test' if higher else 'Gain in test'} {metric.label} {_gain(gain.mean, metric)} "
        f"against the dense network ({100 * gain.confidence:.6g} % CI {metric.say_gains(gain)}, "
        f"{'' if higher else 'positive is better, '}{plural(gain.seeds, 'seed')}); "
        f"learns {_times(speedup)} as fast ({_bounds(speedup)})."
    )
    if verdict.twin is not None:
        said += f" Reinitialized, it {_against(verdict.twin, metric)}."
    return said


def _gain(gain: float, metric: Metric) -> str:
    return f"{metric.say_gain(gain)} points" if metric.is_share else metric.say_gain(gain)


def _against(twin: Comparison, metric: Metric) -> str:
    """Say how the twin falls behind, from the comparison of the ticket with it."""
    behind, size = twin.gain.mean >= 0, abs(twin.gain.mean)
    if metric.is_share:
        said = f"{'loses' if behind else 'gains'} {size_in_points(size)}"
    else:
        said = f"is {'worse' if behind else 'better'} by {significant(size)}"
    slower = twin.speedup.mean
    times = factor(max(slower, 1 / slower)).removesuffix(TIMES)
    return f"{said} and learns {times} times {'slower' if slower >= 1 else 'faster'}"


def _times(speedup: Interval) -> str:
    return f"{factor(speedup.mean).removesuffix(TIMES)} times"


def _bounds(speedup: Interval) -> str:
    bounds = (factor(bound).removesuffix(TIMES) for bound in (speedup.lower, speedup.upper))
    return " to ".join(bounds)


def _of_one_seed(verdicts: Sequence[LevelVerdict], metric: Metric) -> str:
    """The sparsest ticket that is at least as good as the dense network in the only seed."""
    as_good = [v for v in verdicts if v.against_dense.gain.mean >= 0]
    if not as_good:
        worse = "less accurate" if metric.is_accuracy else "worse"
        return f"In the only seed every ticket is {worse} than the dense network. "
    smallest = min(as_good, key=lambda v: v.density)
    gain, speedup = smallest.against_dense.gain, smallest.against_dense.speedup
    gained = f"reach {_gain(gain.mean, metric)}"
    if not metric.is_accuracy:
        gained += f" ({metric.difference})"
    return (
        f"In the only seed, {_place(smallest)} {gained} against the dense "
        f"network and learn {_times(speedup)} as fast. "
    )


def _instead(verdicts: Sequence[LevelVerdict], metric: Metric) -> str:
    if max(verdict.against_dense.gain.seeds for verdict in verdicts) < 2:
        alone = _of_one_seed(verdicts, metric)
        return f"{alone}One seed can't tell that from luck: run at least two more."
    winning = [found for found in verdicts if found.verdict is Verdict.WINNING]
    if winning:
        smallest = min(winning, key=lambda found: found.density)
        return (
            f"{_place(smallest)} would win if it were the only level that was tried, but not with "
            f"{len(verdicts)} levels considered{_hint(smallest)}"
        )
    matching = smallest_matching(verdicts)
    if matching is not None:
        lacking = f": {matching.lacking}" if matching.lacking else ""
        return (
            f"The smallest matching ticket has {_place(matching)}, but doesn't win{lacking}"
            f"{_hint(matching)}"
        )
    undecided = [found for found in verdicts if found.verdict is not Verdict.WORSE]
    if not undecided:
        return "All tickets are worse than the dense network."
    noun = "level" if len(undecided) == 1 else "levels"
    return (
        f"Not significant over these seeds at {noun} {ranges([v.level for v in undecided])}"
        f"{_hint(min(undecided, key=lambda v: v.more_seeds or 10**6))}"
    )


def _hint(verdict: LevelVerdict) -> str:
    more = verdict.more_seeds
    return f". About {plural(more, 'more seed')} would settle it." if more else "."
