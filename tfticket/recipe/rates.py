"""Learning rates of recipes as Keras objects, all of them functions of iterations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfticket import data, models
from tfticket.data import DataSet
from tfticket.errors import ModelError
from tfticket.recipe.schema import Data, Train
from tfticket.recipe.training import Cosine, LearningRate, Linear, Piecewise, WarmupPiecewise


def learning_rate(
    table: float | Piecewise | Cosine | Linear | WarmupPiecewise,
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Convert the learning rate of a recipe to the argument of a Keras optimizer."""
    schedules = keras.optimizers.schedules
    if isinstance(table, Piecewise):
        return schedules.PiecewiseConstantDecay(list(table.boundaries), list(table.values))
    if isinstance(table, WarmupPiecewise):
        return WarmupPiecewiseSchedule(
            table.warmup_steps, list(table.boundaries), list(table.values)
        )
    if isinstance(table, Linear):
        return LinearSchedule(table.initial, table.decay_steps, table.constant_steps)
    if isinstance(table, Cosine) and table.warmup_steps:
        return schedules.CosineDecay(
            0.0,
            table.decay_steps,
            alpha=table.alpha,
            warmup_target=table.initial,
            warmup_steps=table.warmup_steps,
        )
    if isinstance(table, Cosine):
        return schedules.CosineDecay(table.initial, table.decay_steps, alpha=table.alpha)
    return table


@keras.saving.register_keras_serializable(package="tfticket")
class WarmupPiecewiseSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A line from 0 to the first value, then piecewise constant.

    Source: Frankle & Carbin (2019), section 4, "learning rate warmup".

    Args:
        warmup_steps: Steps of the line, at least 1.
        boundaries: Steps at which the value changes, counted from step 0.
        values: One more than there are boundaries.
    """

    def __init__(self, warmup_steps: int, boundaries: list[int], values: list[float]) -> None:
        self.warmup_steps = warmup_steps
        self.boundaries = boundaries
        self.values = values
        self._constant = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        share = keras.ops.cast(step, "float32") / self.warmup_steps
        return keras.ops.minimum(share, 1.0) * self._constant(step)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "warmup_steps": self.warmup_steps,
            "boundaries": self.boundaries,
            "values": self.values,
        }


@keras.saving.register_keras_serializable(package="tfticket")
class LinearSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Constant, then a line down to 0.

    Source: the program of Han et al. (2018, arXiv:1804.06872), constant for 80 of 200 epochs.

    Args:
        initial: The rate at the beginning.
        decay_steps: Steps of the line, at least 1.
        constant_steps: Steps before it.
    """

    def __init__(self, initial: float, decay_steps: int, constant_steps: int = 0) -> None:
        self.initial = initial
        self.decay_steps = decay_steps
        self.constant_steps = constant_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        gone = keras.ops.cast(step, "float32") - self.constant_steps
        return self.initial * (1.0 - keras.ops.clip(gone / self.decay_steps, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "initial": self.initial,
            "decay_steps": self.decay_steps,
            "constant_steps": self.constant_steps,
        }


_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def load_data(
    table: Data, data_dir: Path | None = None, *, model_file: str | None = None
) -> DataSet:
    """The data of a recipe; the split doesn't depend on the recipe's seeds.

    Args:
        table: The table of the recipe.
        data_dir: Where data sets lie.
        model_file: The recipe's model, where it is a `.keras` file: examples get the form that it
            takes.

    Raises:
        DataError: when the data can't be found or used.
        ModelError: when the file can't be loaded.
    """
    model = None if model_file is None else models.load_file(model_file)
    return data.load(
        table.name,
        data_dir=data_dir,
        validation=table.validation,
        normalize=table.normalize,
        limit=table.limit,
        input_shape=None if model is None else example_shape(model),
    )


def example_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """The shape of an example that a model takes; None where it can't be told."""
    inputs = getattr(model, "inputs", None)
    return tuple(inputs[0].shape[1:]) if inputs and len(inputs) == 1 else None


def load_model(path: str | Path, found: DataSet) -> keras.Model:
    """Loads a `.keras` file for a data set; see `models.load_file` and `check_model`."""
    model = models.load_file(path)
    check_model(path, model, found)
    return model


def check_model(path: str | Path, model: keras.Model, found: DataSet) -> None:
    """Looks whether a model of somebody's own can be given a data set.

    Args:
        path: What to call it in an error.
        model: The model.
        found: The data set.

    Raises:
        ModelError: when it doesn't fit the data, or takes whole numbers and would get fractions.
    """
    labels = found.train.y.shape[1:] if found.segmentation else ()
    models.check_fits(path, model, found.input_shape, found.outputs, labels)
    needs = models.takes_whole_numbers(model)
    fraction = None if needs is None else found.fraction()
    if fraction is not None:
        raise ModelError(
            f"`{path}` would be given fractions, such as {fraction:g}, and takes whole numbers "
            f"({needs}). {found.feeding} "
            + (
                "Give it data that are whole numbers."
                if found.as_it_is
                else 'normalize = "none" takes them as they are.'
            )
        )


@contextlib.contextmanager
def precision(*, mixed: bool) -> Iterator[None]:
    """Builds models of mixed precision, or of whatever the policy is; restores it afterwards."""
    policy = keras.config.dtype_policy()
    if mixed:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def compile_model(
    model: keras.Model,
    train: Train,
    *,
    rate: LearningRate,
    steps_per_execution: int,
    regression: bool = False,
    loss: keras.losses.Loss | None = None,
    metrics: Sequence[keras.metrics.Metric] | None = None,
) -> None:
    """Compiles a model as a recipe says.

    Args:
        model: The model.
        train: The table of the recipe.
        rate: The learning rate, a number or a table.
        steps_per_execution: How many steps are made between two returns to Python.
        regression: Sum squared errors, and measure no accuracy, unless there is a `loss`.
        loss: In place of cross-entropy.
        metrics: In place of the accuracy.
    """
    options = train.optimizer.model_dump(exclude={"name"}, exclude_none=True)
    if regression and loss is None:
        loss, metrics = models.SummedSquares(), []
    loss = loss or models.loss_for(model, label_smoothing=train.label_smoothing)
    if metrics is None:
        metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    model.compile(
        optimizer=_OPTIMIZERS[train.optimizer.name](learning_rate(rate), **options),
        loss=loss,
        metrics=list(metrics),
        steps_per_execution=steps_per_execution,
        # As on one thread, so that any number of processes and threads gives the same bits.
        jit_compile=models.jit_choice(
            model, "auto" if train.jit == "measure" else train.jit, threads=1
        ),
    )
    if train.jit == "measure":
        model.jit_compile = models.measured_jit(model)


def metrics_of(found: DataSet) -> list[keras.metrics.Metric]:
    """Metrics of a search on a data set: of classes, of numbers, or of a label a pixel."""
    if found.regression:
        return [
            keras.metrics.MeanSquaredError(),
            keras.metrics.RootMeanSquaredError(),
            keras.metrics.MeanAbsoluteError(),
        ]
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    if not found.segmentation:
        return [accuracy]
    classes = found.num_classes
    return [keras.metrics.MeanIoU(classes, sparse_y_pred=False, name="mean_iou"), accuracy]


def be_deterministic() -> None:
    """Same seeds, same bits, also on a GPU; on a CPU it is so anyway, and this would forbid XLA."""
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def forget_graphs() -> None:
    """Frees what Keras keeps of networks that are done with, and their garbage."""
    keras.backend.clear_session()
