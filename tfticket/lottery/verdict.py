"""Is a ticket winning? Paired intervals over seeds, and a verdict that may be "can't tell".

Frankle & Carbin (2019, arXiv:1803.03635, section 1) call a subnetwork a winning ticket when, with
fewer weights than the dense network, it reaches at least its test accuracy (a' >= a) in at most as
many training iterations (j' <= j). One pair of runs can't show either, so both are put to the test
over seeds. A seed's dense network and its ticket share their initial weights and the order of the
data; they are compared seed by seed:

    gain_i    = a'_i - a_i           test accuracy at the iteration of minimum validation loss
    speedup_i = j_i / j'_i           that iteration, dense over ticket; analysed as its logarithm

Each gets a two-sided Student t interval over the n seeds, and the verdict reads it so:

    winning      the interval of the gain lies above -margin, and that of the speed-up at or above 1
    matching     the interval of the gain lies above -margin; sooner is not shown
    worse        the interval of the gain lies below 0, and the mean loss is at least the margin
    can't tell   anything else; always with one seed

"Winning" needs both conditions at once, each at the stated confidence, so no correction is due for
testing two things (an intersection-union test). Every level is judged by itself: of 20 levels at
95 %, one may well be misjudged in one of its bounds, which is why the neighbors of a smallest
winning ticket deserve a look. The interval is over seeds: the test set is taken as given.

More seeds with the same mean and spread never turn "worse" into "matching" or back: that is why
"worse" asks for a mean loss of at least the margin.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfticket.lottery.comparison import (
    USUAL,
    Comparison,
    Criteria,
    Outcome,
    compare,
    half_widths,
)

_MOST_SEEDS = 1000


class Verdict(enum.StrEnum):
    """What the intervals show about a ticket, against the dense network."""

    WINNING = "winning"
    MATCHING = "matching"
    WORSE = "worse"
    CANT_TELL = "can't tell"


@dataclass(frozen=True)
class LevelVerdict:
    """The verdict on the tickets of one level.

    Attributes:
        level: Pruning level, 1 or more.
        density: Mean density over seeds, in (0, 1].
        verdict: What the intervals against the dense network show.
        against_dense: The ticket against the dense network.
        against_controls: The ticket against each control of the same level, by branch name.
        seeds_needed: Seeds, those at hand included, after which both questions (as accurate?
            sooner?) would be settled if mean and spread stayed as they are. None when that can't
            be said (one seed) or when more seeds would not help (over 1000).
    """

    level: int
    density: float
    verdict: Verdict
    against_dense: Comparison
    against_controls: Mapping[str, Comparison] = field(default_factory=dict)
    seeds_needed: int | None = None

    @property
    def more_seeds(self) -> int | None:
        """How many seeds are missing until both questions would be settled; 0 = settled."""
        if self.seeds_needed is None:
            return None
        return max(0, self.seeds_needed - len(self.against_dense.seeds))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "level": self.level,
            "density": self.density,
            "verdict": str(self.verdict),
            "against_dense": self.against_dense.to_dict(),
            "against_controls": {k: v.to_dict() for k, v in self.against_controls.items()},
            "seeds_needed": self.seeds_needed,
            "more_seeds": self.more_seeds,
        }


def verdict_of(comparison: Comparison, *, margin: float = 0.002) -> Verdict:
    """Read the verdict off a comparison with the dense network, as the module's table says."""
    gain = comparison.gain
    if gain.seeds < 2:
        return Verdict.CANT_TELL
    if gain.lower > -margin:
        return Verdict.WINNING if comparison.speedup.lower >= 1 else Verdict.MATCHING
    if gain.upper < 0 and gain.mean <= -margin:
        return Verdict.WORSE
    return Verdict.CANT_TELL


def seeds_needed(comparison: Comparison, *, margin: float = 0.002) -> int | None:
    """Smallest number of seeds that would settle the verdict, at the present means and spreads.

    Settled means: the accuracy is shown to be within the margin or shown to be worse; and, in the
    first case, the ticket is shown to be sooner or shown to be later than the dense network.

    Returns:
        The number of seeds in all, at least those at hand; None with one seed, where the spread is
        unknown, and when 1000 seeds would not do.
    """
    gain, speedup = comparison.gain, comparison.speedup
    if gain.seeds < 2:
        return None
    n = np.arange(gain.seeds, _MOST_SEEDS + 1)
    half = half_widths(gain.spread, n, confidence=gain.confidence)
    as_accurate = gain.mean - half > -margin
    worse = (gain.mean + half < 0) & (gain.mean <= -margin)
    half = half_widths(speedup.spread, n, confidence=speedup.confidence)
    log_mean = math.log(speedup.mean)
    timed = (log_mean - half >= 0) | (log_mean + half < 0)
    settled = worse | (as_accurate & timed)
    return int(n[settled][0]) if settled.any() else None


def judge(
    level: int,
    density: float,
    *,
    ticket: Mapping[int, Outcome],
    dense: Mapping[int, Outcome],
    controls: Mapping[str, Mapping[int, Outcome]] | None = None,
    criteria: Criteria = USUAL,
) -> LevelVerdict:
    """Judge the tickets of one level against the dense network and against their controls.

    Args:
        level: Pruning level, 1 or more.
        density: Mean density over seeds, in (0, 1].
        ticket: Outcomes of the tickets, by seed.
        dense: Outcomes of the dense networks, by seed.
        controls: For each control, its outcomes at this level by seed; those that share no seed
            with the ticket are left out.
        criteria: Margin, confidence and resolutions.

    Returns:
        The verdict with its intervals.

    Raises:
        RunError: Ticket and dense network have no seed in common.
    """
    against_dense = compare(ticket, dense, criteria=criteria)
    against_controls = {
        name: compare(ticket, outcomes, criteria=criteria)
        for name, outcomes in (controls or {}).items()
        if set(ticket) & set(outcomes)
    }
    return LevelVerdict(
        level=level,
        density=density,
        verdict=verdict_of(against_dense, margin=criteria.margin),
        against_dense=against_dense,
        against_controls=against_controls,
        seeds_needed=seeds_needed(against_dense, margin=criteria.margin),
    )


def smallest_winning(verdicts: Iterable[LevelVerdict]) -> LevelVerdict | None:
    """The winning ticket of lowest density, or None."""
    winning = (v for v in verdicts if v.verdict is Verdict.WINNING)
    return min(winning, key=lambda v: v.density, default=None)
