"""Results of an earlier run, to hold new ones against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfticket.bench.paired import Comparison
from tfticket.errors import TFTicketError
from tfticket.reading import read_json

_OF_RATIO = ("median", "low", "high")


def load(path: Path) -> dict[str, dict[str, Any]]:
    """What `tfticket bench -o FILE` wrote: results by the name of the benchmark.

    Raises:
        TFTicketError: for a file that holds something else.
    """
    try:
        results = {str(result["benchmark"]): result for result in read_json(path)["results"]}
        for result in results.values():
            for ratio in result.get("cpu_ratios", {}).values():
                if not all(isinstance(ratio[name], int | float) for name in _OF_RATIO):
                    raise TypeError("a ratio isn't a number")
        return results
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TFTicketError(
            "An earlier run must be a file that `tfticket bench -o FILE` wrote. Received: "
            f"{path}, which isn't ({type(error).__name__}: {error})."
        ) from error


def changes(result: Comparison, earlier: Mapping[str, Any]) -> Iterator[str]:
    """How the ratios of processor time have changed, a line each.

    Ratios are compared, not seconds: both sides of each were measured in turns, so that another
    machine, or the same one under other load, tells nearly the same. A change within the spread of
    both runs is called none.
    """
    before = earlier.get("cpu_ratios", {})
    for name, now in result.cpu_ratios.items():
        if name not in before:
            yield f"{name}: not measured then"
            continue
        then = before[name]
        apart = now.low > then["high"] or now.high < then["low"]
        verdict = "no difference seen"
        if apart:
            verdict = "slower" if now.median > then["median"] else "faster"
        yield f"{name}: CPU ratio {then['median']:.3f} then, {now.median:.3f} now, {verdict}"
