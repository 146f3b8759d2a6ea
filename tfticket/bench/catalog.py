"""All benchmarks by name, in the order in which they run."""

from __future__ import annotations

from tfticket.bench import noisy, norms
from tfticket.bench.paired import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (*norms.BENCHMARKS, *noisy.BENCHMARKS)
}
