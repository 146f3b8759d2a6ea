"""A search of tickets on MNIST, the way of tfticket.

LeNet-300-100 is trained for one epoch at batches of 60 images, 20 % of the weights in its hidden
layers are pruned, those that are left begin anew, and so on. Each network is tested when it is
trained, and each ticket ends in a file.
"""

from __future__ import annotations

from pathlib import Path

import keras

from tfticket import data, models
from tfticket.bench.workloads import RATE, WORKLOADS
from tfticket.lottery import Ticket, TicketSearch
from tfticket.schedules import IterativePruning

LEFT_DENSE = "output/kernel"


def search(digits: data.DataSet, networks: int) -> TicketSearch:
    """Finds the tickets of a data set, the dense network among them."""
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
        digits.train,
        batch_size=workload.batch_size,
        seed=0,
        chunk_steps=steps,
        scale=digits.scale,
    )
    found = TicketSearch(
        IterativePruning(RATE, levels=networks - 1),
        level_steps=steps,
        skip=(LEFT_DENSE,),
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


def save(tickets: list[Ticket], folder: Path) -> None:
    """Writes a file for each."""
    for ticket in tickets:
        ticket.save(folder / f"level_{ticket.level:02}.npz")
