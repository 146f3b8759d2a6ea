"""A convolutional network read off a ticket: its kernel as wide as the units' receptive fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import keras

from tfticket.data import ChunkedFit
from tfticket.errors import ModelError
from tfticket.lottery.trial import TICKET, MemoryStore, TrialListener
from tfticket.lottery.trial import Trial as SearchTrial
from tfticket.models.parts import parts
from tfticket.recipe.rates import compile_model, forget_graphs, metrics_of
from tfticket.runs.plan import Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.seeds import sub_seed
from tfticket.studies.lottery.study import LotteryStudy


@dataclass(frozen=True)
class Design:
    """A convolution, a dense layer and the output, without biases counted.

    The kernel moves by half its width, rounded up, or not at all where it covers the signal. The
    two hidden layers have units in a given proportion; there are as many as the weights allow.

    Attributes:
        width: Points that the kernel covers.
        stride: Points that it moves by.
        channels: Channels of the convolution.
        hidden: Units of the dense layer.
        weights: Weights of all kernels.
    """

    width: int
    stride: int
    channels: int
    hidden: int
    weights: int

    @classmethod
    def of(
        cls, width: int, weights: int, *, points: int, classes: int, proportion: float
    ) -> Design:
        """Return the largest network of a width.

        Args:
            width: Points that the kernel covers, from 1 to `points`.
            weights: Most weights of all kernels.
            points: Length of the signals.
            classes: Number of logits.
            proportion: Units of the first hidden layer over units of the second.

        Raises:
            ModelError: when the width doesn't fit the signals, or the smallest network has more
                weights.

        Example:
            >>> Design.of(10, 3000, points=40, classes=10, proportion=3.0)
            Design(width=10, stride=5, channels=11, hidden=29, weights=2952)
        """
        if not 1 <= width <= points:
            raise ModelError(
                f"A kernel must cover 1 to {points} points of the signals. Received: {width}."
            )
        stride = points if width == points else math.ceil(width / 2)
        places, found = math.ceil(points / stride), None
        for hidden in range(1, weights):
            channels = max(1, round(proportion * hidden / places))
            count = channels * (width + places * hidden) + hidden * classes
            if count > weights:
                break
            found = cls(width, stride, channels, hidden, count)
        if found is None:
            raise ModelError(
                f"A convolutional network of width {width} has more weights than the ticket, "
                f"which keeps {weights}. Take a less sparse level."
            )
        return found

    def build(self, points: int, classes: int, seed: int) -> keras.Model:
        """Build the network, with initial weights drawn as those of LeNet-300-100."""
        make = parts({"seed": seed}, initializer="glorot_normal")
        inputs = keras.Input((points,), name="signal")
        x = keras.layers.Reshape((points, 1), name="channel")(inputs)
        x = keras.layers.Conv1D(
            self.channels, self.width, strides=self.stride, padding="same",
            kernel_initializer=make.kernel("conv1"), name="conv1",
        )(x)  # fmt: skip
        x = keras.layers.Flatten(name="flatten")(make.activate(x, self.channels, "conv1"))
        x = make.dense(x, self.hidden, "dense1")
        return keras.Model(inputs, make.logits(x, classes), name="convolution")


def proportion_of(kernels: Mapping[str, tuple[int, ...]]) -> float:
    """Return the units of the first hidden layer over those of the second.

    Args:
        kernels: Key to shape of each kernel, in the order of the network.

    Raises:
        ModelError: when these aren't two hidden dense layers and the output.

    Example:
        >>> proportion_of({"a": (40, 300), "b": (300, 100), "output": (100, 10)})
        3.0
    """
    if [len(shape) for shape in kernels.values()] != [2, 2, 2]:
        raise ModelError(
            "A convolution takes the place of the first of two hidden dense layers. Received: a "
            f"network with kernels {dict(kernels)}. Leave the table `convolution` out."
        )
    first, second, _ = kernels.values()
    return first[1] / second[1]


class _DenseOnly(MemoryStore):
    """Keeps the dense network of a search, which is all that is trained."""

    def is_finished(self, trial: SearchTrial) -> bool:
        """See `TrialStore`."""
        return trial.level > 0 or super().is_finished(trial)


def train(
    search: LotteryStudy, design: Design, trial: Trial, total: int, run: RunDir, progress: Progress
) -> None:
    """Train a network as the dense one of a search is trained, and write it as a finished trial.

    Args:
        search: The search, whose data and training are used.
        design: The network.
        trial: Seed, branch and level that it is written as.
        total: Prunable weights of the dense network, which densities are shares of.
        run: Open for writing.
        progress: The listener.
    """
    data, table, seed = search.data, search.recipe.train, trial.seed
    keras.utils.set_random_seed(sub_seed(seed, "init"))
    model = design.build(data.input_shape[0], data.outputs, seed)
    compile_model(
        model, table, rate=table.learning_rate, steps_per_execution=table.evaluate_every,
        metrics=metrics_of(data),
    )  # fmt: skip
    store, feed, density = _DenseOnly(), search.feed(seed), design.weights / total
    found = search.search(
        seed, model, feed=feed, store=store, listener=TrialListener.SILENT,
        provenance={"recipe": search.recipe.name, "data": data.description},
    )  # fmt: skip
    progress.begin(trial, table.steps, density)
    model.fit(
        **feed.fit_arguments(),
        epochs=found.epochs(steps_per_epoch=feed.chunk_steps),
        validation_data=search.validation(),
        callbacks=[found, ChunkedFit(feed)],
        verbose=0,
    )
    own = [replace(row, branch=trial.branch, level=trial.level) for row in store.rows]
    rows = [replace(row, value=density) if row.name == "density" else row for row in own]
    rows += [
        replace(rows[-1], split="summary", name=name, value=float(getattr(design, name)))
        for name in ("width", "channels", "hidden", "weights")
    ]
    run.append_rows(rows)
    store.ticket(TICKET, 0).save(run.ticket(*trial))
    progress.end(trial, {row.name: row.value for row in rows if row.split in ("test", "summary")})
    forget_graphs()
