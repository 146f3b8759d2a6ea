"""All benchmarks by name, in the order in which they run.

`python -m benchmarks.catalog BENCHMARK CONTENDER` measures the memory of one contender, see
`paired.memory_in_fresh_process`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmarks import coteaching, curvature, margins, memory, norms, pruning, searches, steps
from benchmarks.paired import Benchmark, memory_of

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for module in (steps, searches, pruning, norms, curvature, coteaching, margins, memory)
    for benchmark in module.BENCHMARKS
}


def main(name: str, contender: str) -> None:
    """Print the `Memory` of a contender as one line of JSON."""
    benchmark = BENCHMARKS[name]
    assert benchmark.before_memory is not None
    used = memory_of(benchmark.contenders[contender], before=benchmark.before_memory)
    print(json.dumps(asdict(used)))


if __name__ == "__main__":
    main(*sys.argv[1:])
