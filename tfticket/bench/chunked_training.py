"""`python -m tfticket.bench.chunked_training NETWORK`: ours, in a process as the peers have it."""

from __future__ import annotations

import sys

from tfticket.bench.tasks import serve
from tfticket.bench.workloads import WORKLOADS
from tfticket.machine import import_keras


def main(network: str) -> None:
    """Trains with masks, each time it is told to."""
    import_keras()
    from tfticket.bench.fits import ChunkedTraining

    serve(ChunkedTraining(WORKLOADS[network], masked=True), warm_up=3)


if __name__ == "__main__":
    main(sys.argv[1])
