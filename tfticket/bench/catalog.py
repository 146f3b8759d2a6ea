"""All benchmarks by name, in the order in which they run."""

from __future__ import annotations

from tfticket.bench import (
    convs,
    jobs,
    late,
    lenet,
    masks,
    memory_use,
    noisy,
    norms,
    pruning,
    searches,
)
from tfticket.bench.paired import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for module in (lenet, masks, convs, searches, late, jobs, pruning, norms, noisy, memory_use)
    for benchmark in module.BENCHMARKS
}
