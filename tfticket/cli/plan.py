"""A run's plan as lines of text."""

from __future__ import annotations

from collections.abc import Iterable

from tfticket.cli.common import columns
from tfticket.recipe.progress import Plan

_MOST_KEYS = 8


def plan_lines(plan: Plan) -> list[str]:
    """What a run will do: its levels with their counts, its steps, time and disk space."""
    noun = "Seed" if len(plan.seeds) == 1 else "Seeds"
    seeds = ", ".join(str(seed) for seed in plan.seeds)
    lines = [plan.title, f"{noun} {seeds}; {plan.steps_per_level:,} steps a level.", ""]
    lines += [f"  {line}" for line in _level_table(plan)]
    lines.append("")
    lines += [f"  {branch}: levels {ranges(levels)}" for branch, levels in plan.branches.items()]
    resumed = plan.steps_left < plan.steps_total
    left = f"{plan.steps_left:,} of {plan.steps_total:,}" if resumed else f"{plan.steps_total:,}"
    time = f"about {duration(plan.seconds)}" if plan.seconds is not None else "time not known yet"
    lines += ["", f"{left} steps, {time}, about {plan.size_bytes / 1e6:,.0f} MB on disk."]
    return lines


def _level_table(plan: Plan) -> list[str]:
    keys = list(plan.levels[0].counts)
    shown = keys if len(keys) <= _MOST_KEYS else []
    header = ("level", "density", "weights", *shown)
    rows = [
        (
            str(level.level),
            f"{100 * level.density:.2f} %",
            f"{level.remaining:,}",
            *(f"{level.counts[key]:,}" for key in shown),
        )
        for level in plan.levels
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
