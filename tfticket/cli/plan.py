"""A run's plan as lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tfticket.cli.common import columns
from tfticket.runs.plan import Plan

_MOST_KEYS = 8


def plan_lines(plan: Plan) -> list[str]:
    """What a run will do, below its title: its networks, its steps, time and disk space."""
    table = _levels(plan) if plan.rows == "levels" else _conditions(plan)
    return [seeds_line(plan), "", *table, "", cost_line(plan)]


def seeds_line(plan: Plan) -> str:
    """The seeds, and what is done with each."""
    noun = "Seed" if len(plan.seeds) == 1 else "Seeds"
    seeds = f"{noun} {', '.join(str(seed) for seed in plan.seeds)}"
    if plan.rows == "levels":
        steps = plan.conditions[0].steps
        whole = "" if plan.structure == "unstructured" else f"; structure {plan.structure}"
        return f"{seeds}; {steps:,} steps a level{whole}."
    count = plan.networks
    nouns = "1 network" if count == 1 else f"{count} networks"
    tracked = f", the landscape measured {plan.probes} times in each" if plan.probes else ""
    return f"{seeds}; {nouns}{tracked}."


def cost_line(plan: Plan) -> str:
    """Steps, time and disk space of what is left to do."""
    resumed = plan.steps_left < plan.steps_total
    left = f"{plan.steps_left:,} of {plan.steps_total:,}" if resumed else f"{plan.steps_total:,}"
    steps = f"{left} steps{' left' if resumed else ''}"
    time = [] if plan.seconds is None else [f"about {duration(plan.seconds)}"]
    return f"{', '.join([steps, *time])}, about {plan.size_bytes / 1e6:,.0f} MB on disk."


def done_line(plan: Plan, run: Path, networks: int) -> str:
    """What is done of a run before it goes on.

    Args:
        plan: Of what is left to do.
        run: Its directory.
        networks: Number of networks that are finished.
    """
    steps = plan.steps_total - plan.steps_left
    if not networks and not steps:
        return f"Nothing is done yet in {run}."
    return (
        f"Done in {run}: {networks} of {plan.networks} networks, {steps:,} of "
        f"{plan.steps_total:,} steps."
    )


def _conditions(plan: Plan) -> list[str]:
    header = ("network", "seeds", "steps", "steps of its search")
    searched = any(each.searched for each in plan.conditions)
    rows = [
        (each.branch, str(len(each.seeds)), f"{each.steps:,}", f"{each.searched:,}")
        for each in plan.conditions
    ]
    shown = [row if searched else row[:3] for row in (header, *rows)]
    return [f"  {line}" for line in columns(shown)]


def _levels(plan: Plan) -> list[str]:
    lines = [f"  {line}" for line in _level_table(plan)]
    if not all(level.exact for level in plan.levels):
        lines.append("  These counts are expected; the exact ones depend on the scores.")
    lines.append("")
    lines += [f"  {branch}: levels {ranges(levels)}" for branch, levels in plan.branches.items()]
    return lines


def _level_table(plan: Plan) -> list[str]:
    keys = list(plan.levels[0].counts)
    shown = keys if len(keys) <= _MOST_KEYS else []
    header = ("level", "density", "weights", *shown)
    rows = [
        (
            str(number),
            f"{100 * level.density:.2f} %",
            f"{level.remaining:,}",
            *(f"{level.counts[key]:,}" for key in shown),
        )
        for number, level in enumerate(plan.levels)
    ]
    return columns([header, *rows])


def ranges(numbers: Iterable[int]) -> str:
    """`[1, 2, 3, 7]` as `1-3, 7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def duration(seconds: float) -> str:
    """A length of time in its two leading units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours / 24:.1f} days"
