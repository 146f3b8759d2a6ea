"""The result of a run in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.lottery.comparison import Interval
from tfticket.lottery.verdict import LevelVerdict, Verdict, smallest_winning
from tfticket.report.words import TIMES, factor, percent, plural, points, points_interval, ranges


def headline(verdicts: Sequence[LevelVerdict], *, has_dense: bool = True) -> str:
    """Says which ticket wins, or why none is known to.

    Args:
        verdicts: One a level, levels rising.
        has_dense: Whether a dense network is finished.
    """
    if not verdicts:
        if has_dense:
            return "Only the dense network is trained so far: there is no ticket to judge yet."
        return "No network is trained yet: there is nothing to judge."
    winning = smallest_winning(verdicts)
    if winning is not None:
        return f"Smallest winning ticket: {_place(winning)}. {_against_dense(winning)}"
    return f"No ticket is shown to win. {_instead(verdicts)}"


def _place(verdict: LevelVerdict) -> str:
    return f"{percent(verdict.density)} of the weights (level {verdict.level})"


def _against_dense(verdict: LevelVerdict) -> str:
    gain, speedup = verdict.against_dense.gain, verdict.against_dense.speedup
    return (
        f"Its test accuracy is {_higher(gain)} the dense network's "
        f"({percent(gain.confidence, 0)} interval {points_interval(gain)}, "
        f"{plural(gain.seeds, 'seed')}), and it learns {_faster(speedup)}.{_control(verdict)}"
    )


def _control(verdict: LevelVerdict) -> str:
    """How the ticket stands against reinitialization, the paper's control, or the first one."""
    controls = verdict.against_controls
    if not controls:
        return " No control was run beside it."
    name = "reinit" if "reinit" in controls else min(controls)
    found = controls[name]
    verb = "gains" if found.gain.mean >= 0 else "loses"
    return (
        f" Against {name}, its control, it {verb} {_size(found.gain)} "
        f"and learns {_faster(found.speedup)}."
    )


def _higher(gain: Interval) -> str:
    return f"{_size(gain)} {'above' if gain.mean >= 0 else 'below'}"


def _size(gain: Interval) -> str:
    return f"{points(abs(gain.mean)).lstrip('+')} points"


def _faster(speedup: Interval) -> str:
    ratio = speedup.mean if speedup.mean >= 1 else 1 / speedup.mean
    times = factor(ratio).removesuffix(TIMES)
    return f"{times} times as fast" if speedup.mean >= 1 else f"{times} times slower"


def _of_one_seed(verdicts: Sequence[LevelVerdict]) -> str:
    """The sparsest ticket that is at least as accurate as the dense network in the only seed."""
    as_good = [v for v in verdicts if v.against_dense.gain.mean >= 0]
    if not as_good:
        return "In the only seed every ticket is less accurate than the dense network. "
    best = min(as_good, key=lambda v: v.density)
    gain, speedup = best.against_dense.gain, best.against_dense.speedup
    return (
        f"In the only seed {_place(best)} are enough to be {_higher(gain)} the dense network's "
        f"accuracy and to learn {_faster(speedup)}. "
    )


def _instead(verdicts: Sequence[LevelVerdict]) -> str:
    if max(verdict.against_dense.gain.seeds for verdict in verdicts) < 2:
        return f"{_of_one_seed(verdicts)}One seed can't tell that from luck: run at least two more."
    matching = [v for v in verdicts if v.verdict is Verdict.MATCHING]
    if matching:
        smallest = min(matching, key=lambda v: v.density)
        more = smallest.more_seeds
        hint = f" About {plural(more, 'more seed')} would settle that." if more else ""
        return (
            f"The smallest that matches the dense network's accuracy has {_place(smallest)}; "
            f"that it learns sooner is not shown.{hint}"
        )
    open_levels = [v for v in verdicts if v.verdict is Verdict.CANT_TELL]
    if not open_levels:
        return "All tickets are worse than the dense network."
    noun = "level" if len(open_levels) == 1 else "levels"
    levels = f"{noun} {ranges([v.level for v in open_levels])}"
    more_seeds = [v.more_seeds for v in open_levels if v.more_seeds is not None]
    hint = (
        f" About {plural(min(more_seeds), 'more seed')} would settle the first of them."
        if more_seeds
        else ""
    )
    return f"The seeds at hand can't tell for {levels}.{hint}"
