"""`python -m tfticket.bench BENCHMARK CONTENDER`: what a process for `bench.memory` does."""

import json
import sys
from dataclasses import asdict

from tfticket.bench.catalog import BENCHMARKS
from tfticket.bench.memory import in_this_process


def main(name: str, contender: str) -> None:
    """Prints a `Use` as one line of JSON."""
    benchmark = BENCHMARKS[name]
    assert benchmark.before_memory is not None
    use = in_this_process(benchmark.before_memory, benchmark.contenders[contender])
    print(json.dumps(asdict(use)))


if __name__ == "__main__":
    main(*sys.argv[1:])
