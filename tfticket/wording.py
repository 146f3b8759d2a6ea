"""Numbers in words, for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Iterable


def duration(seconds: float, *, space: str = " ") -> str:
    """Write a length of time in its two leading units.

    Args:
        seconds: The time; not negative.
        space: Character between a number and its unit.

    >>> [duration(seconds) for seconds in (48.2, 700, 12_000, 200_000)]
    ['48 s', '12 min', '3 h 20 min', '2.3 days']
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f}{space}s"
    if minutes < 120:
        return f"{minutes}{space}min"
    if minutes < 48 * 60:
        return f"{minutes // 60}{space}h {minutes % 60}{space}min"
    return f"{seconds / 86_400:.1f}{space}days"


def ranges(numbers: Iterable[int]) -> str:
    """Write whole numbers in short.

    >>> ranges([5, 1, 3, 4])
    '1, 3 to 5'
    """
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in found)
