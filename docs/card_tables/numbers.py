"""Numbers of cards as text: read as decimals, rounded once, half up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Number = Decimal | int
Estimate = Mapping[str, Any]
"""A mean over seeds: `mean`, `lower` and `upper` (None with one seed), `seeds`."""

# Two-sided 95 % quantiles of Student's t, by degrees of freedom.
_T = {
    1: Decimal("12.706205"),
    2: Decimal("4.302653"),
    3: Decimal("3.182446"),
    4: Decimal("2.776445"),
    5: Decimal("2.570582"),
    6: Decimal("2.446912"),
    7: Decimal("2.364624"),
}


def fixed(value: Number, digits: int = 0) -> str:
    """A number with `digits` decimals and commas between thousands: `1,069,648`."""
    text = f"{Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def percent(rate: Number, digits: int = 2) -> str:
    """A rate in percent: `97.67 %`."""
    return f"{fixed(100 * rate, digits)} %"


def density(rate: Number) -> str:
    """A share of weights, with as many digits as its size asks for: `8.7 %`, `0.47 %`."""
    return percent(rate, 0 if rate in (0, 1) else 1 if 100 * rate >= 1 else 2)


def points(difference: Number, digits: int = 2) -> str:
    """A difference of rates in percentage points, with its sign: `+0.51`."""
    text = fixed(100 * difference, digits)
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def times(ratio: Number, digits: int = 2) -> str:
    """A ratio: `0.0068`, `1.95`, `12.8`, `65,704`, `3.4e9`."""
    exponent = Decimal(ratio).adjusted()
    if not -3 <= exponent < 6:
        return f"{fixed(Decimal(ratio).scaleb(-exponent), 1)}e{exponent}"
    if exponent < -1:
        return fixed(ratio, 1 - exponent)
    return fixed(ratio, digits if ratio < 10 else min(digits, 1) if ratio < 100 else 0)


def interval(show: Callable[[Number], str], estimate: Estimate) -> str:
    """A mean with its interval, `1.95 (1.59 to 2.39)`; the mean alone with one seed."""
    mean = show(estimate["mean"])
    if estimate["lower"] is None:
        return mean
    return f"{mean} ({show(estimate['lower'])} to {show(estimate['upper'])})"


def swapped(estimate: Estimate) -> dict[str, Any]:
    """The difference seen from the other side."""
    mean, lower, upper = (estimate[name] for name in ("mean", "lower", "upper"))
    return {
        "mean": -mean,
        "lower": None if upper is None else -upper,
        "upper": None if lower is None else -lower,
        "seeds": estimate["seeds"],
    }


def inverted(estimate: Estimate) -> dict[str, Any]:
    """The ratio seen from the other side."""
    mean, lower, upper = (estimate[name] for name in ("mean", "lower", "upper"))
    return {
        "mean": 1 / Decimal(mean),
        "lower": None if upper is None else 1 / Decimal(upper),
        "upper": None if lower is None else 1 / Decimal(lower),
        "seeds": estimate["seeds"],
    }


def paired(first: Estimate, second: Estimate) -> dict[str, Any]:
    """First minus second, seed by seed, with a 95 % interval of Student's t."""
    seeds = sorted(set(first["by_seed"]) & set(second["by_seed"]))
    differences = [Decimal(first["by_seed"][s]) - second["by_seed"][s] for s in seeds]
    count = len(differences)
    mean = sum(differences, Decimal()) / count
    if count == 1:
        return {"mean": mean, "lower": None, "upper": None, "seeds": 1}
    variance = sum(((d - mean) ** 2 for d in differences), Decimal()) / (count - 1)
    half = _T[count - 1] * (variance / count).sqrt()
    return {"mean": mean, "lower": mean - half, "upper": mean + half, "seeds": count}


def excludes(estimate: Estimate, neutral: int) -> bool:
    """Return whether the interval lies on one side of `neutral`; never with one seed."""
    if estimate["lower"] is None:
        return False
    return bool(estimate["lower"] > neutral or estimate["upper"] < neutral)


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{fixed(count)} {noun}{'' if count == 1 else 's'}"


def plain(text: str) -> str:
    """A sentence of a report without its narrow spaces and its true minus signs."""
    text = re.sub(r"(?<=\d)\N{NARROW NO-BREAK SPACE}(?=\d)", ",", text)
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """A list, one item a line."""
    return "\n".join(f"- {item}" for item in items)
