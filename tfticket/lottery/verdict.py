"""Verdicts on tickets from paired intervals over seeds; one of them is "can't tell".

Frankle & Carbin (2019, arXiv:1803.03635, section 1) call a subnetwork a winning ticket when, with
fewer weights than the dense network, it reaches at least its test accuracy (a' >= a) in at most as
many iterations (j' <= j), and no longer does so with new initial weights. Frankle et al. (2020,
arXiv:1912.05671) call a subnetwork that reaches full accuracy *matching*. One training of each can
show none of this, so all of it is put to the test over seeds. The networks of a seed share their
initial weights and the order of the data, so they are compared seed by seed:

    gain_i    = a'_i - a_i           test accuracy at the iteration of minimum validation loss, or
                                     another metric: a_i - a'_i where lower is better
    speedup_i = s_i(L) / s'_i(L)     steps to the loss that both reach; see `lottery.speed`

Each gets a two-sided Student t interval over the seeds, and the verdict on a level reads them so:

    matching     the interval of the gain lies above -margin
    winning      matching; the interval of the speed-up lies above 1 / (1 + time margin); and the
                 reinitialized twin (its mask with new initial weights) is shown to be behind it, in
                 accuracy or in speed, each at half the error since either is enough
    worse        the interval of the gain lies below 0, and the mean loss is at least the margin
    can't tell   anything else; always with one seed

Beside that a ticket is *faster*, or *more accurate*, when the interval lies above 1, or 0. A level
whose twin wasn't trained can match; so can one whose weights weren't rewound.

"Winning" needs three things at once, each at the stated confidence, so no correction is due for
that (an intersection-union test). One is due for looking at many levels and naming the smallest:
`smallest_winning` takes those that survive Holm's step-down procedure over all levels that could
win. One is due for adding seeds because the verdict was open: see `Criteria.looks`. The intervals
are over seeds: the test set is taken as given.

More seeds with the same mean and spread never turn "worse" into "matching" or back: that is why
"worse" asks for a mean loss of at least the margin.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfticket.lottery.comparison import (
    USUAL,
    Comparison,
    Criteria,
    Interval,
    Outcome,
    compare,
    half_widths,
)
from tfticket.wording import brief_repr

__all__ = [
    "Family",
    "LevelOutcomes",
    "LevelVerdict",
    "Verdict",
    "holm",
    "judge",
    "seeds_needed",
    "smallest_matching",
    "smallest_winning",
]

TWIN = "reinit"
"""The control that a winning ticket must be ahead of: its mask with new initial weights."""

_MOST_SEEDS = 1000


class Verdict(enum.StrEnum):
    """Verdict on a ticket; see the module.

    Example:
        >>> Verdict("matching") is Verdict.MATCHING
        True
    """

    WINNING = "winning"
    MATCHING = "matching"
    WORSE = "worse"
    CANT_TELL = "can't tell"


@dataclass(frozen=True)
class LevelOutcomes:
    """Outcomes of one level, the input of `judge`.

    Attributes:
        level: Pruning level, 1 or more.
        density: Mean density over seeds, in (0, 1].
        ticket: Outcomes of the tickets, by seed.
        controls: For each control, its outcomes at this level by seed; those that share no seed
            with the ticket are left out.
    """

    level: int
    density: float
    ticket: Mapping[int, Outcome]
    controls: Mapping[str, Mapping[int, Outcome]] = field(default_factory=dict)

    __repr__ = brief_repr


@dataclass(frozen=True)
class Family:
    """A level among all levels of its study, with intervals and p-values for all of them.

    Attributes:
        gain: Interval of the gain that holds for all levels at once (Bonferroni).
        speedup: Likewise of the speed-up.
        p_matching: Holm's adjusted p-value of "doesn't match", in [0, 1].
        p_winning: Likewise of "doesn't win"; 1 where the level can't win.
        matching: Whether the level still matches, all levels considered.
        winning: Whether it still wins.
    """

    gain: Interval
    speedup: Interval
    p_matching: float
    p_winning: float
    matching: bool
    winning: bool

    __repr__ = brief_repr

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "gain": self.gain.to_dict(), "speedup": self.speedup.to_dict()}


@dataclass(frozen=True)
class LevelVerdict:
    """The verdict on the tickets of one level.

    Attributes:
        level: Pruning level, 1 or more.
        density: Mean density over seeds, in (0, 1].
        verdict: What the intervals of this level show.
        faster: Whether the interval of the speed-up lies above 1.
        more_accurate: Whether the interval of the gain lies above 0, whatever the metric.
        lacking: What keeps a matching ticket from being called winning, in words; else empty.
        against_dense: The ticket against the dense network.
        against_controls: The ticket against each control of the same level, by branch name.
        family: The same level among all levels.
        seeds_needed: Seeds, those at hand included, after which the verdict of this level would be
            settled if means and spreads stayed as they are: worse, winning, or matching and shown
            to be later. None when that can't be said (one seed) or when more seeds would not help
            (over 1000).
    """

    level: int
    density: float
    verdict: Verdict
    faster: bool
    more_accurate: bool
    lacking: str
    against_dense: Comparison
    against_controls: Mapping[str, Comparison]
    family: Family
    seeds_needed: int | None

    __repr__ = brief_repr

    @property
    def twin(self) -> Comparison | None:
        """The ticket against its reinitialized twin, or None when that wasn't trained."""
        return self.against_controls.get(TWIN)

    @property
    def more_seeds(self) -> int | None:
        """Number of further seeds until the verdict would be settled; 0 = settled."""
        if self.seeds_needed is None:
            return None
        return max(0, self.seeds_needed - len(self.against_dense.seeds))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "level": self.level,
            "density": self.density,
            "verdict": str(self.verdict),
            "faster": self.faster,
            "more_accurate": self.more_accurate,
            "lacking": self.lacking,
            "against_dense": self.against_dense.to_dict(),
            "against_controls": {k: v.to_dict() for k, v in self.against_controls.items()},
            "family": self.family.to_dict(),
            "seeds_needed": self.seeds_needed,
            "more_seeds": self.more_seeds,
        }


def judge(
    levels: Sequence[LevelOutcomes],
    dense: Mapping[int, Outcome],
    *,
    criteria: Criteria = USUAL,
    rewound: bool = True,
) -> tuple[LevelVerdict, ...]:
    """Judge the tickets of a study, level by level and all together.

    Args:
        levels: The levels of the search; each shares a seed with `dense`.
        dense: Outcomes of the dense networks, by seed.
        criteria: Metric, margins, confidence, number of looks.
        rewound: Whether tickets began from early weights. Those that went on from trained ones can
            match, but not win: they didn't learn from where the dense network began.

    Returns:
        A verdict for each level, in the order of `levels`.

    Raises:
        RunError: Ticket and dense network have no seed in common.

    Example:
        >>> from tfticket.lottery.speed import LossCurve
        >>> def outcome(accuracy, *losses):
        ...     return Outcome(accuracy, accuracy, 300, (LossCurve((100, 200, 300), losses),))
        >>> dense = {seed: outcome(0.980 + seed / 1000, 0.9, 0.6, 0.3) for seed in range(3)}
        >>> ticket = {seed: outcome(0.984 + seed / 1000, 0.5, 0.3, 0.2) for seed in range(3)}
        >>> twin = {seed: outcome(0.950 + seed / 1000, 1.5, 1.2, 1.0) for seed in range(3)}
        >>> level = LevelOutcomes(1, 0.5, ticket, {"reinit": twin})
        >>> [str(found.verdict) for found in judge([level], dense)]
        ['winning']
    """
    criteria = criteria.against(dense)
    compared = [
        (
            compare(each.ticket, dense, criteria=criteria),
            {
                name: compare(each.ticket, outcomes, criteria=criteria)
                for name, outcomes in each.controls.items()
                if set(each.ticket) & set(outcomes)
            },
        )
        for each in levels
    ]
    tests = [_Tests.of(each, controls, criteria, rewound) for each, controls in compared]
    matching = holm([test.matching for test in tests])
    winning = holm([test.winning if test.could_win else None for test in tests])
    together = 1 - 2 * criteria.alpha / max(1, len(levels))
    return tuple(
        LevelVerdict(
            level=each.level,
            density=each.density,
            verdict=_verdict(against_dense, test, criteria),
            faster=against_dense.speedup.seeds > 1 and against_dense.speedup.lower > 1,
            more_accurate=against_dense.gain.seeds > 1 and against_dense.gain.lower > 0,
            lacking=_lacking(against_dense, test, criteria, rewound),
            against_dense=against_dense,
            against_controls=controls,
            family=Family(
                gain=against_dense.gain.at(together),
                speedup=against_dense.speedup.at(together),
                p_matching=p_matching,
                p_winning=p_winning,
                matching=p_matching <= criteria.alpha,
                winning=p_winning <= criteria.alpha,
            ),
            seeds_needed=seeds_needed(
                against_dense, controls.get(TWIN) if rewound else None, criteria=criteria
            ),
        )
        for each, (against_dense, controls), test, p_matching, p_winning in zip(
            levels, compared, tests, matching, winning, strict=True
        )
    )


def seeds_needed(
    against_dense: Comparison, twin: Comparison | None = None, *, criteria: Criteria = USUAL
) -> int | None:
    """Estimate the smallest number of seeds that settles a verdict, at these means and spreads.

    Settled means: shown to be worse; or shown to match and to be later; or shown to match, to be no
    later and, where there is a twin, to be ahead of it.

    Args:
        against_dense: The ticket against the dense network.
        twin: The ticket against its reinitialized twin; None where that plays no part.
        criteria: Margins and confidence.

    Returns:
        The number of seeds in all, at least those at hand; None with one seed, where the spread is
        unknown, and when 1000 seeds would not do.
    """
    gain, speedup = against_dense.gain, against_dense.speedup
    if gain.seeds < 2:
        return None
    n = np.arange(gain.seeds, _MOST_SEEDS + 1)
    alpha, latest = criteria.alpha, 1 / (1 + criteria.time_margin)
    matching = _shown_above(gain, -criteria.margin, n, alpha)
    worse = _shown_below(gain, 0.0, n, alpha) & (gain.mean <= -criteria.margin)
    wins = _shown_above(speedup, latest, n, alpha)
    if twin is not None:
        ahead = _shown_above(twin.gain, 0.0, n, alpha / 2)
        wins &= ahead | _shown_above(twin.speedup, 1.0, n, alpha / 2)
    settled = worse | (matching & (wins | _shown_below(speedup, latest, n, alpha)))
    return int(n[settled][0]) if settled.any() else None


def smallest_winning(verdicts: Iterable[LevelVerdict]) -> LevelVerdict | None:
    """Return the verdict of lowest density that wins with all levels considered, or None."""
    winning = (found for found in verdicts if found.family.winning)
    return min(winning, key=lambda found: found.density, default=None)


def smallest_matching(verdicts: Iterable[LevelVerdict]) -> LevelVerdict | None:
    """Return the verdict of lowest density that matches with all levels considered, or None."""
    matching = (found for found in verdicts if found.family.matching)
    return min(matching, key=lambda found: found.density, default=None)


def holm(p_values: Sequence[float | None]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down procedure.

    Rejecting those of at most alpha rejects a true hypothesis anywhere with probability at most
    alpha. Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    Args:
        p_values: In [0, 1]; None where there was no test, which then counts as none.

    Returns:
        The adjusted values, each in [0, 1]; 1 where there was no test.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, None])]
        [0.03, 0.06, 0.06, 1.0]
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


@dataclass(frozen=True)
class _Tests:
    """One-sided p-values of one level; what could not be tested is 1.

    Attributes:
        matching: Of "worse than dense by the margin or more".
        not_later: Of "later than dense by the time margin or more".
        behind: Of "its twin is not behind in anything".
        could_win: Whether there is a twin, and weights were rewound.
    """

    matching: float
    not_later: float
    behind: float
    could_win: bool

    @classmethod
    def of(
        cls,
        against_dense: Comparison,
        controls: Mapping[str, Comparison],
        criteria: Criteria,
        rewound: bool,
    ) -> _Tests:
        """Return the tests of a level."""
        twin = controls.get(TWIN)
        return cls(
            matching=against_dense.gain.p_value(-criteria.margin),
            not_later=against_dense.speedup.p_value(1 / (1 + criteria.time_margin)),
            behind=1.0 if twin is None else _p_behind(twin),
            could_win=rewound and twin is not None,
        )

    @property
    def winning(self) -> float:
        """Of "isn't winning": all three must be rejected (an intersection-union test)."""
        return max(self.matching, self.not_later, self.behind) if self.could_win else 1.0


def _p_behind(against_twin: Comparison) -> float:
    # Either is enough, so each may have half of the error (Bonferroni).
    return min(1.0, 2 * min(against_twin.gain.p_value(0.0), against_twin.speedup.p_value(1.0)))


def _verdict(against_dense: Comparison, test: _Tests, criteria: Criteria) -> Verdict:
    gain = against_dense.gain
    if gain.seeds < 2:
        return Verdict.CANT_TELL
    if test.matching <= criteria.alpha:
        return Verdict.WINNING if test.winning <= criteria.alpha else Verdict.MATCHING
    if gain.upper < 0 and gain.mean <= -criteria.margin:
        return Verdict.WORSE
    return Verdict.CANT_TELL


def _lacking(against_dense: Comparison, test: _Tests, criteria: Criteria, rewound: bool) -> str:
    if test.matching > criteria.alpha or test.winning <= criteria.alpha:
        return ""
    if not rewound:
        return "weights not rewound"
    found = []
    if test.not_later > criteria.alpha:
        later = against_dense.speedup.upper < 1 / (1 + criteria.time_margin)
        found.append("learns later" if later else "not shown to be as soon")
    if not test.could_win:
        found.append("reinitialized control not trained")
    elif test.behind > criteria.alpha:
        found.append("reinitialized control not shown to be behind")
    return "; ".join(found)


def _shown_above(interval: Interval, bound: float, seeds: np.ndarray, alpha: float) -> np.ndarray:
    """Tell for each number of seeds whether this mean and spread would show it above `bound`."""
    distance = math.log(interval.mean / bound) if interval.ratio else interval.mean - bound
    return distance - half_widths(interval.spread, seeds, confidence=1 - 2 * alpha) > 0


def _shown_below(interval: Interval, bound: float, seeds: np.ndarray, alpha: float) -> np.ndarray:
    distance = math.log(interval.mean / bound) if interval.ratio else interval.mean - bound
    return distance + half_widths(interval.spread, seeds, confidence=1 - 2 * alpha) < 0
