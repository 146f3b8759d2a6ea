"""Benchmarks of whole searches on MNIST: processes from their start to the last ticket written.

LeNet-300-100 is trained for an epoch of 1000 steps, 20 % of the weights in hidden layers are
pruned, and so on, until there are as many networks as said. Importing, reading the data, compiling,
testing and writing count too. Of the times, that on the wall is what one waits for. Ours trains
with one thread, as the processes of recipes do; the others with as many as they take.

open_lth tests each network twice, which can't be switched off; the others do it once. Its data lie
there as it wants them, before its time begins, as ours lie decoded in the cache.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tfticket import children, data
from tfticket.bench.lenet import need_open_lth
from tfticket.bench.paired import Benchmark
from tfticket.bench.tasks import Program, Time

_IDX_BYTES = 0x08  # in the third byte of an idx file: the type of its values
_RAW = Path("open_lth_datasets", "mnist", "MNIST", "raw")


class OpenLthSearch:
    """Searches in a home of its own, which holds MNIST, and nothing that it would go on with.

    Args:
        networks: How many are trained, the dense one among them.
        digits: MNIST.
    """

    def __init__(self, networks: int, digits: data.DataSet) -> None:
        need_open_lth()
        self._folder = tempfile.TemporaryDirectory()
        self._networks = networks
        write_mnist(digits, Path(self._folder.name) / _RAW)

    def __call__(self) -> Time:
        """Searches once."""
        with tempfile.TemporaryDirectory() as home:
            datasets = _RAW.parts[0]
            (Path(home) / datasets).symlink_to(Path(self._folder.name) / datasets)
            return program("peers.open_lth_search", self._networks, HOME=home)()

    def close(self) -> None:
        """Deletes its data."""
        self._folder.cleanup()


def program(module: str, networks: int, **environment: str) -> Program:
    """A module of this package as a task."""
    return Program(children.command(f"tfticket.bench.{module}", str(networks)), environment)


def write_mnist(digits: data.DataSet, folder: Path) -> None:
    """Writes the four files of MNIST as they were published, but not compressed."""
    folder.mkdir(parents=True)
    for split, prefix in ((digits.train, "train"), (digits.test, "t10k")):
        write_idx(split.x[..., 0], folder / f"{prefix}-images-idx3-ubyte")
        write_idx(split.y.astype(np.uint8), folder / f"{prefix}-labels-idx1-ubyte")


def write_idx(array: np.ndarray, path: Path) -> None:
    """Writes bytes of any shape; the format is described at http://yann.lecun.com/exdb/mnist."""
    header = bytes((0, 0, _IDX_BYTES, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def benchmark(name: str, networks: int, *, rounds: int, goals: tuple[float, float]) -> Benchmark:
    """Ours against Keras alone and open_lth, in this order in `goals`."""
    others = ("Keras' defaults", "open_lth")
    return Benchmark(
        name,
        f"a search of {networks} networks on MNIST, LeNet-300-100, one epoch each",
        {
            "TicketSearch": lambda: _with_cache(program("ticket_search", networks)),
            others[0]: lambda: program("peers.keras_search", networks),
            others[1]: lambda: OpenLthSearch(networks, data.load_whole("mnist")),
        },
        rounds=rounds,
        goals=dict(zip(others, goals, strict=True)),
        warm_up=False,
        goals_of="wall",
    )


def _with_cache(task: Program) -> Program:
    data.load_whole("mnist")  # decoded once, before anyone's time begins
    return task


BENCHMARKS = (
    benchmark("search", 4, rounds=3, goals=(1 / 2, 1 / 3.5)),
    benchmark("search_long", 10, rounds=3, goals=(1 / 2.5, 1 / 5)),
)
