"""`python -m tfticket.bench.ticket_search NETWORKS`: `searching`, started as a command is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tfticket.lean import import_keras


def main(networks: int) -> None:
    """Searches, and prints the test accuracies."""
    import_keras()
    from tfticket import data
    from tfticket.bench.searching import save, search

    found = search(data.load_whole("mnist"), networks)
    with tempfile.TemporaryDirectory() as folder:
        save(found.tickets, Path(folder))
    print(*(f"{result.at_end['accuracy']:.4f}" for result in found.results))


if __name__ == "__main__":
    main(int(sys.argv[1]))
