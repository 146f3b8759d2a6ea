"""Our contenders that run in a process of their own, as their peers do.

- `python -m benchmarks.ours train NETWORK` trains a network with masks, once for each line of
  stdin.
- `python -m benchmarks.ours search NETWORKS` searches for tickets of LeNet-300-100 on MNIST. Each
  network is trained for one epoch at batches of 60 images and tested, 20 % of the weights in the
  hidden layers are pruned, the others are rewound to their initial values, and so on. Each ticket
  is saved.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tasks import serve
from benchmarks.workloads import RATE, WORKLOADS
from tfticket.machine import import_keras

if TYPE_CHECKING:
    from tfticket.data import DataSet
    from tfticket.lottery import Ticket, TicketSearch


def train(network: str) -> None:
    """Train with masks, once for each line of stdin."""
    import_keras()
    from benchmarks.steps import ChunkedTraining

    serve(ChunkedTraining(WORKLOADS[network], masked=True), warm_up=3)


def search_mnist(networks: int) -> None:
    """Search, save the tickets, and print the test accuracies."""
    import_keras()
    import tensorflow as tf

    # As in the workers of a recipe: threads that share so few weights wait for each other.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    from tfticket import data

    found = search(data.load_whole("mnist"), networks)
    with tempfile.TemporaryDirectory() as folder:
        save(found.tickets, Path(folder))
    print(*(f"{result.at_end['accuracy']:.4f}" for result in found.results))


def search(digits: DataSet, networks: int) -> TicketSearch:
    """Return a finished search of so many networks, the dense one among them."""
    import keras

    from tfticket import data, models
    from tfticket.lottery import TicketSearch
    from tfticket.schedules import IterativePruning

    workload = WORKLOADS["lenet_300_100"]
    steps = len(digits.train) // workload.batch_size
    model = models.build(workload.network, digits.input_shape, digits.num_classes, seed=0)
    model.compile(
        keras.optimizers.Adam(workload.learning_rate),
        models.loss_for(model),
        metrics=["accuracy"],
        steps_per_execution=steps,
        jit_compile=models.jit_choice(model),
    )
    feed = data.Feed(
        digits.train, batch_size=workload.batch_size, seed=0, chunk_steps=steps, scale=digits.scale
    )
    found = TicketSearch(
        IterativePruning(RATE, levels=networks - 1),
        level_steps=steps,
        skip=("output/kernel",),
        test_data=data.batches(digits.test, scale=digits.scale),
        feed=feed,
    )
    model.fit(
        **feed.fit_arguments(),
        epochs=found.epochs(steps_per_epoch=steps),
        callbacks=[found, data.ChunkedFit(feed)],
        verbose=0,
    )
    return found


def save(tickets: Iterable[Ticket], folder: Path) -> None:
    """Write a file for each ticket."""
    for ticket in tickets:
        ticket.save(folder / f"level_{ticket.level:02}.npz")


if __name__ == "__main__":
    task, argument = sys.argv[1:]
    if task == "train":
        train(argument)
    else:
        search_mnist(int(argument))
