"""The result of a search in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.display.words import (
    TIMES,
    factor,
    percent,
    plural,
    points,
    points_interval,
    ranges,
    size_in_points,
)
from tfticket.lottery.comparison import Comparison, Interval
from tfticket.lottery.verdict import (
    LevelVerdict,
    Verdict,
    smallest_matching,
    smallest_winning,
)


def headline(verdicts: Sequence[LevelVerdict], *, has_dense: bool = True) -> str:
    """Name the smallest winning ticket with its numbers, or say what stands in the way.

    Args:
        verdicts: One a level, levels rising.
        has_dense: Whether a dense network is finished.
    """
    if not verdicts:
        if has_dense:
            return "Only the dense network is trained so far: there is no ticket to judge yet."
        return "No network is trained yet: there is nothing to judge."
    winning = smallest_winning(verdicts)
    if winning is None:
        return f"No winning ticket is established. {_instead(verdicts)}"
    return f"Smallest winning ticket: {_place(winning)}. {_numbers(winning)}"


def hypothesis(verdicts: Sequence[LevelVerdict]) -> str:
    """Say where tickets learn fastest, where they are back at the dense speed, what reinit costs.

    Args:
        verdicts: One a level, levels rising.

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
            f"; reinitialized, the ticket of {percent(with_twin[-1].density)} {_against(twin)}"
        )
    return f"{sentence}."


def _place(verdict: LevelVerdict) -> str:
    return f"{percent(verdict.density)} of the weights (level {verdict.level})"


def _numbers(verdict: LevelVerdict) -> str:
    gain, speedup = verdict.against_dense.gain, verdict.against_dense.speedup
    said = (
        f"Test accuracy {points(gain.mean)} points against the dense network "
        f"({100 * gain.confidence:.6g} % CI {points_interval(gain)}, "
        f"{plural(gain.seeds, 'seed')}); "
        f"learns {_times(speedup)} as fast ({_bounds(speedup)})."
    )
    if verdict.twin is not None:
        said += f" Reinitialized, it {_against(verdict.twin)}."
    return said


def _against(twin: Comparison) -> str:
    """Say how the twin falls behind, from the comparison of the ticket with it."""
    verb = "loses" if twin.gain.mean >= 0 else "gains"
    slower = twin.speedup.mean
    times = factor(max(slower, 1 / slower)).removesuffix(TIMES)
    return (
        f"{verb} {size_in_points(twin.gain.mean)} and learns {times} times "
        f"{'slower' if slower >= 1 else 'faster'}"
    )


def _times(speedup: Interval) -> str:
    return f"{factor(speedup.mean).removesuffix(TIMES)} times"


def _bounds(speedup: Interval) -> str:
    bounds = (factor(bound).removesuffix(TIMES) for bound in (speedup.lower, speedup.upper))
    return " to ".join(bounds)


def _of_one_seed(verdicts: Sequence[LevelVerdict]) -> str:
    """The sparsest ticket that is at least as accurate as the dense network in the only seed."""
    as_good = [v for v in verdicts if v.against_dense.gain.mean >= 0]
    if not as_good:
        return "In the only seed every ticket is less accurate than the dense network. "
    smallest = min(as_good, key=lambda v: v.density)
    gain, speedup = smallest.against_dense.gain, smallest.against_dense.speedup
    return (
        f"In the only seed, {_place(smallest)} reach {points(gain.mean)} points against the dense "
        f"network and learn {_times(speedup)} as fast. "
    )


def _instead(verdicts: Sequence[LevelVerdict]) -> str:
    if max(verdict.against_dense.gain.seeds for verdict in verdicts) < 2:
        return f"{_of_one_seed(verdicts)}One seed can't tell that from luck: run at least two more."
    alone = [found for found in verdicts if found.verdict is Verdict.WINNING]
    if alone:
        smallest = min(alone, key=lambda found: found.density)
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
