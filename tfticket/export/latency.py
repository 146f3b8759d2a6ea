"""How long a file takes on this machine, against others in the same breath."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfticket.export.runtime import Session
from tfticket.machine import processor

_ROUNDS = 11
_SECONDS_A_ROUND = 0.02


@dataclass(frozen=True)
class Latency:
    """Time of one inference, with the default delegate and one thread, on the named host only.

    Attributes:
        host: The processor it was measured on; says nothing about any other.
        microseconds: Median over the rounds of the mean time of one inference.
        baseline_microseconds: The same for the baseline, measured in turns with it.
        speedup: Median over the rounds of baseline time / own time; above 1 is faster.
    """

    host: str
    microseconds: float
    baseline_microseconds: float
    speedup: float


def against(content: bytes, baseline: bytes, example: np.ndarray) -> Latency:
    """Measures a file against a baseline; see `measure`."""
    return measure({"file": content, "baseline": baseline}, example, baseline="baseline")["file"]


def measure(
    files: Mapping[str, bytes], example: np.ndarray, *, baseline: str
) -> dict[str, Latency]:
    """Measures files against one of them, round by round in turns.

    Machines are shared and clocks change, so single times mean little; neighbors in time are
    compared, and the median of these ratios is what counts.

    Args:
        files: Name to content.
        example: One input, real numbers, shape without the batch.
        baseline: The name of the file that the others are held against (the dense float32 network).

    Returns:
        Name to latency; that of the baseline has a speedup of 1.

    Raises:
        ExportError: when one of them doesn't run.
    """
    rounds = _measure(files, example)
    other, machine = rounds[baseline], processor()
    return {
        name: Latency(
            host=machine,
            microseconds=statistics.median(own),
            baseline_microseconds=statistics.median(other),
            speedup=statistics.median(b / a for a, b in zip(own, other, strict=True)),
        )
        for name, own in rounds.items()
    }


def _measure(files: Mapping[str, bytes], example: np.ndarray) -> dict[str, list[float]]:
    """Microseconds an inference by name and round; the order of the files turns with the rounds."""
    sessions = {name: Session(content, source=f"The {name}") for name, content in files.items()}
    repeats = {}
    for name, session in sessions.items():
        session.feed(example)
        _seconds(session, 3)  # first runs pack weights and warm caches
        repeats[name] = max(1, int(_SECONDS_A_ROUND / max(_seconds(session, 1), 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in files}
    for number in range(_ROUNDS):
        order = list(sessions)
        for name in order if number % 2 else reversed(order):
            times[name].append(_seconds(sessions[name], repeats[name]) / repeats[name] * 1e6)
    return times


def _seconds(session: Session, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        session.invoke()
    return time.perf_counter() - start
