"""`python -m tfticket.bench.ticket_search NETWORKS`: `searching`, started as a command is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tfticket.machine import import_keras


def main(networks: int) -> None:
    """Searches, and prints the test accuracies."""
    import_keras()
    import tensorflow as tf

    # As in the processes of a recipe: threads that share so few weights wait for one another.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    from tfticket import data
    from tfticket.bench.searching import save, search

    found = search(data.load_whole("mnist"), networks)
    with tempfile.TemporaryDirectory() as folder:
        save(found.tickets, Path(folder))
    print(*(f"{result.at_end['accuracy']:.4f}" for result in found.results))


if __name__ == "__main__":
    main(int(sys.argv[1]))
