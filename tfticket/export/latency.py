"""The time that a file takes on this machine, measured in turns with others."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from tfticket.export import foreign
from tfticket.export.runtime import Examples, Loaded
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


def against(content: bytes, baseline: bytes, example: np.ndarray | Examples) -> Latency:
    """Measure a file against a baseline of any origin, in a process of its own; see `measure`."""
    files = [("The baseline", baseline), ("The file", content)]
    arrays = {str(place): each for place, each in enumerate(_feed(example))}
    request = foreign.Request(files, arrays=arrays)
    return Latency(**foreign.ask(measure_in_child, request).value)


def measure_in_child(request: foreign.Request) -> foreign.Answer:
    """Measure a file against a baseline in a child."""
    (_, baseline), (_, content) = request.files
    files = {"file": content, "baseline": baseline}
    found = measure(files, Examples(tuple(request.arrays.values())), baseline="baseline")
    return foreign.Answer(asdict(found["file"]))


def alone(invoke: Callable[[], None]) -> Latency:
    """Measure one file against nothing; `invoke` computes once, and is loaded and fed."""
    return _latencies(_measure({"file": invoke}), "file")["file"]


def measure(
    files: Mapping[str, bytes], example: np.ndarray | Examples, *, baseline: str
) -> dict[str, Latency]:
    """Measure files against one of them, round by round in turns.

    Machines are shared and clocks change, so single times mean little; neighbors in time are
    compared, and the median of these ratios is what counts.

    Args:
        files: Name to content.
        example: Real numbers: those of one input without the batch, or examples of all inputs, of
            which the first is taken.
        baseline: The name of the file that the others are held against (the dense float32 network).

    Returns:
        Name to latency; that of the baseline has a speedup of 1.

    Raises:
        ExportError: when one of them doesn't run.
    """
    loaded = {name: Loaded(content, source=f"The {name}") for name, content in files.items()}
    for each in loaded.values():
        each.feed(_feed(example))
    invokes = {name: each.invoke for name, each in loaded.items()}
    return _latencies(_measure(invokes), baseline)


def _feed(example: np.ndarray | Examples) -> list[np.ndarray]:
    return next(example.batches()) if isinstance(example, Examples) else [example[None]]


def _latencies(rounds: Mapping[str, list[float]], baseline: str) -> dict[str, Latency]:
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


def _measure(invokes: Mapping[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Microseconds an inference by name and round; the order of the files turns with the rounds."""
    repeats = {}
    for name, invoke in invokes.items():
        _seconds(invoke, 3)  # first runs pack weights and warm caches
        repeats[name] = max(1, int(_SECONDS_A_ROUND / max(_seconds(invoke, 1), 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in invokes}
    for number in range(_ROUNDS):
        order = list(invokes)
        for name in order if number % 2 else reversed(order):
            times[name].append(_seconds(invokes[name], repeats[name]) / repeats[name] * 1e6)
    return times


def _seconds(invoke: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        invoke()
    return time.perf_counter() - start
