"""Numbers as a reader wants them: rates become percent here and nowhere before."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from tfticket import wording
from tfticket.wording import ranges as ranges

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
TIMES = "\N{MULTIPLICATION SIGN}"
NONE = "\N{EM DASH}"


class Interval(Protocol):
    """A number over seeds with its bounds, such as `lottery.comparison.Interval`."""

    @property
    def lower(self) -> float:
        """Lower bound."""

    @property
    def upper(self) -> float:
        """Upper bound."""

    @property
    def seeds(self) -> int:
        """Number of seeds."""


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 0) -> str:
    """A number with thousands apart and a true minus sign; a dash when there is none."""
    if not math.isfinite(value):
        return NONE
    text = f"{value:,.{digits}f}".replace(",", THIN)
    # Minus zero is an artifact of rounding.
    if text.lstrip("-").strip("0.") == "":
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def superscript(exponent: int) -> str:
    """A raised whole number: ⁻⁶."""
    return str(exponent).translate(_RAISED)


def percent(rate: float, digits: int | None = None) -> str:
    """A rate in percent; without `digits` with as many as its size asks for: 51, 3.6, 0.47."""
    if not math.isfinite(rate):
        return NONE
    value = 100 * rate
    if digits is None:
        digits = 0 if value in (0, 100) else 1 if abs(value) >= 1 else 2
    return f"{number(value, digits)}{THIN}%"


def percent2(rate: float) -> str:
    """A rate in percent with two digits, as accuracies are printed."""
    return percent(rate, 2)


def rate(value: float) -> str:
    """A rate that somebody chose, in percent: 20, 0.2, 12.5."""
    return f"{100 * value:.6g}{THIN}%"


def points(difference: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    if not math.isfinite(difference):
        return NONE
    text = number(100 * difference, 2)
    return text if text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def significant(value: float, digits: int = 4) -> str:
    """A number with so many significant digits: 0.2531, 31.42, 3142."""
    size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    if size < -4:
        return f"{value:.{digits - 1}g}".replace("-", MINUS)
    return number(value, max(0, digits - 1 - size))


def signed(value: float) -> str:
    """A number with its sign."""
    text = significant(value)
    return f"+{text}" if value > 0 and math.isfinite(value) else text


def factor(ratio: float) -> str:
    """A ratio: 0.85 times, 3.5 times, 12 times."""
    if not math.isfinite(ratio):
        return NONE
    return f"{number(ratio, 2 if ratio < 10 else 0)}{TIMES}"


def size_in_points(difference: float) -> str:
    """The size of a difference of rates, without its sign: `0.31 points`."""
    return f"{points(abs(difference)).lstrip('+')} points"


def interval(found: Interval, say: Callable[[float], str]) -> str:
    """The bounds of an interval, each as `say` has it; nothing for a single seed."""
    return f"{say(found.lower)} to {say(found.upper)}" if found.seeds > 1 else ""


def p_value(p: float) -> str:
    """A p-value: 0.034, or that it is below a thousandth."""
    return "< 0.001" if p < 0.001 else number(p, 3 if p < 0.1 else 2)


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


duration = functools.partial(wording.duration, space=THIN)


def joined(*parts: str, by: str = ", ") -> str:
    """The parts that aren't empty, with commas between them."""
    return by.join(part for part in parts if part)


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return joined(", ".join(items[:-1]), items[-1], by=" and ")


def size(count: float) -> str:
    """Bytes: `812 B`, `83.1 kB`, `1.07 MB` (powers of 1000)."""
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{number(count / scale, 2 if count < 10 * scale else 1)}{THIN}{unit}"
    return f"{number(count)}{THIN}B"


def microseconds(time: float) -> str:
    """A short time: `8.3 us` with its Greek letter, `1.2 ms`."""
    if time < 1000:
        return f"{number(time, 1 if time < 100 else 0)}{THIN}\N{MICRO SIGN}s"
    return f"{number(time / 1000, 1)}{THIN}ms"
