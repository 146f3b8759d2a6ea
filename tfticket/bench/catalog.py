"""All benchmarks by name, in the order in which they run."""

from __future__ import annotations

from tfticket.bench import lenet, noisy, norms, pruning
from tfticket.bench.paired import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for module in (lenet, pruning, norms, noisy)
    for benchmark in module.BENCHMARKS
}
