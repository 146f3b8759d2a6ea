"""Which networks of a run are at chance level on the test data."""

from __future__ import annotations

import numpy as np

from tfticket.report import words
from tfticket.report.reading import RunFiles
from tfticket.statistics.chance import at_chance

_ACCURACIES = ("accuracy_at_early_stop", "accuracy_at_end")
_MOST_NAMED = 8


def chance_note(files: RunFiles) -> str:
    """Names the networks that are at chance level; empty where none are.

    Args:
        files: The run; one that doesn't say how common its most common label is gives nothing.
    """
    data = files.environment.get("data") or {}
    share, count = data.get("most_common"), data.get("test")
    if not share or not count:
        return ""
    seeds: dict[tuple[int, str], list[int]] = {}
    for (seed, branch, level), results in sorted(files.results.items()):
        accuracies = [results[name][1] for name in _ACCURACIES if name in results]
        if accuracies and at_chance(max(accuracies), np.array([share]), count):
            seeds.setdefault((level, branch), []).append(seed)
    if not seeds:
        return ""
    names = [_named(*place, found) for place, found in sorted(seeds.items())]
    if len(names) > _MOST_NAMED:
        names[_MOST_NAMED:] = [f"{len(names) - _MOST_NAMED} more"]
    return (
        f"At chance level on the {words.number(count)} test examples, of which "
        f"{words.percent(share)} have the most common label: {'; '.join(names)}. Such networks "
        "haven't learned, or are fed with other numbers than they need."
    )


def _named(level: int, branch: str, seeds: list[int]) -> str:
    name = "the dense network" if (branch, level) == ("ticket", 0) else branch
    name += f" at level {level}" if level else ""
    return f"{name} (seed{'s' if len(seeds) > 1 else ''} {words.ranges(seeds)})"
