"""Time and memory of pruning ResNet-50, 25.5 million weights, each way in a process of its own.

    python -m benchmarks.large [WAY ...]

`magnitude`, `wanda` and `surgeon` are `prune_one_shot` at 80 % from 256 made-up images of 32x32;
`rigl` is a `fit` of four batches under `SparseTraining` whose connections change twice, less one
without it. Weights are untrained. Time is processor time; memory is the largest of the process, on
top of what it had when the network was built.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from benchmarks.__main__ import use_cores

if TYPE_CHECKING:
    import keras

WAYS = ("magnitude", "wanda", "surgeon", "rigl")
_IMAGES, _SIDE, _BATCH = 256, 32, 64


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("ways", nargs=-1, type=click.Choice(WAYS))
def main(ways: tuple[str, ...]) -> None:
    """Measure some ways, by default all."""
    if len(ways) == 1:
        seconds, mebibytes = measured(ways[0])
        click.echo(f"{ways[0]}: {seconds:.1f} s, {mebibytes:,.0f} MiB")
        return
    for way in ways or WAYS:
        subprocess.run([sys.executable, "-m", "benchmarks.large", way], check=True)


def measured(way: str) -> tuple[float, float]:
    """Return processor seconds and mebibytes."""
    from tfticket.quiet import start_tensorflow

    use_cores(1)
    start_tensorflow()
    import keras
    import numpy as np

    from tfticket.sparsity import SparseTraining, prune_one_shot

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(_IMAGES, _SIDE, _SIDE, 3)).astype("float32")
    y = np.arange(_IMAGES) % 10
    model = network(x.shape[1:])
    model.compile("sgd", "sparse_categorical_crossentropy")

    def fit(*callbacks: keras.callbacks.Callback) -> None:
        model.fit(x, y, batch_size=_BATCH, callbacks=[*callbacks], verbose=0)

    def prune() -> None:
        prune_one_shot(model, x, 0.8, method=way)  # type: ignore[arg-type]

    if way != "rigl":
        return _cost(prune)
    fit()  # traces
    plain, _ = _cost(fit)
    seconds, mebibytes = _cost(lambda: fit(SparseTraining(0.8, every=2, until=10)))
    return seconds - plain, mebibytes


def network(shape: tuple[int, ...]) -> keras.Model:
    """Build ResNet-50."""
    import keras

    return keras.applications.ResNet50(weights=None, input_shape=shape, classes=1000)


def _cost(work: Callable[[], None]) -> tuple[float, float]:
    memory, begun = _mebibytes(), time.process_time()
    work()
    return time.process_time() - begun, _mebibytes() - memory


def _mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
