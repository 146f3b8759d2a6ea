"""The tables of a report: numbers turned into text, ready to be set."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.lottery.comparison import Comparison, Interval
from tfticket.lottery.verdict import LevelVerdict
from tfticket.report import words
from tfticket.report.lottery.claims import CheckedClaim
from tfticket.report.lottery.summary import Summary
from tfticket.report.spread import Spread
from tfticket.report.tables import Cell, Strip, Table


def verdict_table(summary: Summary) -> Table:
    """The verdict on each level, with its intervals and the seeds that would settle it."""
    strips = _strips([v.against_dense.gain for v in summary.verdicts], summary.criteria.margin)
    columns = ("level", "weights left", "<verdict", "accuracy against dense, points", "<",
               "times as fast", "reinitialized, points", "times as fast", "early stop, times",
               "seeds", "more needed")  # fmt: skip
    rows = []
    for verdict, strip in zip(summary.verdicts, strips, strict=True):
        against, twin = verdict.against_dense, verdict.twin
        remaining = summary.level("ticket", verdict.level)
        rows.append(
            (
                Cell(str(verdict.level)),
                Cell(
                    words.percent(verdict.density),
                    words.number(remaining.remaining) if remaining else "",
                ),
                Cell(str(verdict.verdict), _beside(verdict), tag=verdict.verdict.name.lower()),
                Cell(words.points(against.gain.mean), words.points_interval(against.gain)),
                Cell("", strip=strip),
                Cell(words.factor(against.speedup.mean), words.factor_interval(against.speedup)),
                *_twin_cells(twin),
                Cell(
                    words.factor(against.early_stop_speedup.mean),
                    words.factor_interval(against.early_stop_speedup),
                ),
                Cell(str(len(against.seeds))),
                Cell(_more_seeds(verdict)),
            )
        )
    return Table(columns, tuple(rows))


def family_table(summary: Summary) -> Table | None:
    """All levels together: simultaneous intervals and adjusted p-values; None with one seed."""
    told = [v for v in summary.verdicts if v.against_dense.gain.seeds > 1]
    if not told:
        return None
    columns = ("level", "weights left", "<all levels considered", "accuracy against dense, points",
               "times as fast", "p, not matching", "p, not winning")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(str(verdict.level)),
                Cell(words.percent(verdict.density)),
                _family_cell(verdict),
                Cell(words.points_interval(verdict.family.gain)),
                Cell(words.factor_interval(verdict.family.speedup)),
                Cell(words.p_value(verdict.family.p_matching)),
                Cell(
                    words.NONE if verdict.twin is None else words.p_value(verdict.family.p_winning)
                ),
            )
            for verdict in told
        ),
    )


def control_table(summary: Summary) -> Table | None:
    """The ticket against each control of its level; None without controls."""
    controls = [name for name in summary.branches if name != "ticket"]
    if not any(verdict.against_controls for verdict in summary.verdicts):
        return None
    columns = ["level", "weights left"]
    for name in controls:
        columns += [f"against {name}, points", "times as fast"]
    rows = []
    for verdict in summary.verdicts:
        if not verdict.against_controls:
            continue
        row = [Cell(str(verdict.level)), Cell(words.percent(verdict.density))]
        for name in controls:
            found = verdict.against_controls.get(name)
            if found is None:
                row += [Cell(words.NONE), Cell(words.NONE)]
                continue
            row += [
                Cell(words.points(found.gain.mean), words.points_interval(found.gain)),
                Cell(words.factor(found.speedup.mean), words.factor_interval(found.speedup)),
            ]
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows))


def claim_table(claims: Sequence[CheckedClaim]) -> Table:
    """The paper's claims beside ours."""
    columns = ("<claim", "<where", "paper", "ours", "read at", "<agreement")
    return Table(
        columns,
        tuple(
            (
                Cell(claim.claim),
                Cell(claim.source),
                Cell(_claimed(claim.measure, claim.value)),
                Cell(
                    _claimed(claim.measure, claim.ours.mean) if claim.ours else words.NONE,
                    _bounds(claim),
                ),
                Cell(words.percent(claim.density) if claim.density else ""),
                Cell(claim.reading),
            )
            for claim in claims
        ),
    )


def results_table(summary: Summary) -> Table:
    """Every branch and level: means, and minimum to maximum over seeds."""
    columns = ("<branch", "level", "weights left", "count", "accuracy, early stop",
               "accuracy, last step", "early-stop iteration", "seeds", "time")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(level.branch if level.level else "dense"),
                Cell(str(level.level)),
                Cell(words.percent(level.density)),
                Cell(words.number(level.remaining)),
                _accuracy(level.accuracy),
                _accuracy(level.accuracy_at_end),
                Cell(
                    words.number(level.early_stop_step.mean),
                    _range(
                        words.number(level.early_stop_step.smallest),
                        words.number(level.early_stop_step.largest),
                    ),
                ),
                Cell(str(len(level.accuracy.values))),
                Cell(words.duration(level.seconds)),
            )
            for level in summary.levels
        ),
    )


def _beside(verdict: LevelVerdict) -> str:
    """What is said beside a verdict."""
    said = ["faster"] if verdict.faster else []
    said += ["more accurate"] if verdict.more_accurate else []
    return "; ".join([", ".join(said), verdict.lacking] if said else [verdict.lacking]).strip("; ")


def _twin_cells(twin: Comparison | None) -> tuple[Cell, Cell]:
    """The twin against its ticket: signs and ratios are the twin's."""
    if twin is None:
        return Cell(words.NONE), Cell(words.NONE)
    gain, speed = twin.reverse().gain, twin.reverse().speedup
    return (
        Cell(words.points(gain.mean), words.points_interval(gain)),
        Cell(words.factor(speed.mean), words.factor_interval(speed)),
    )


def _family_cell(verdict: LevelVerdict) -> Cell:
    if verdict.family.winning:
        return Cell("winning", tag="winning")
    return Cell("matching", tag="matching") if verdict.family.matching else Cell(words.NONE)


def _accuracy(spread: Spread) -> Cell:
    bounds = _range(words.percent2(spread.smallest), words.percent2(spread.largest))
    return Cell(words.percent2(spread.mean), bounds if len(spread.values) > 1 else "")


def _range(low: str, high: str) -> str:
    return "" if low == high else f"{low} to {high}"


def _more_seeds(verdict: LevelVerdict) -> str:
    if verdict.more_seeds is not None:
        return words.number(verdict.more_seeds)
    return "at least 2" if len(verdict.against_dense.seeds) < 2 else "over 1000"


def _claimed(measure: str, value: float) -> str:
    if measure in ("speedup", "early_stop_speedup"):
        return words.factor(value)
    return words.points(value) if measure == "gain" else words.percent(value)


def _bounds(claim: CheckedClaim) -> str:
    if claim.ours is None or claim.measure == "smallest_density" or claim.ours.seeds < 2:
        return ""
    low, high = claim.ours.lower, claim.ours.upper
    return f"{_claimed(claim.measure, low)} to {_claimed(claim.measure, high)}"


def _strips(gains: Sequence[Interval], margin: float) -> list[Strip | None]:
    """All intervals on one scale, which no single wide one may stretch."""
    known = [gain for gain in gains if gain.seeds > 1]
    if not known:
        return [None] * len(gains)
    means = [gain.mean for gain in known]
    low, high = min(-1.5 * margin, *means), max(margin, 1e-4, *means)
    room = 0.25 * (high - low)

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - low + room) / (high - low + 2 * room)))

    return [
        Strip(place(g.lower), place(g.mean), place(g.upper), place(0.0), place(-margin))
        if g.seeds > 1
        else None
        for g in gains
    ]
