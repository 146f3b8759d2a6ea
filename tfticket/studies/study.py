"""A study: a recipe with its data in memory, whatever its kind."""

from __future__ import annotations

import abc
import contextlib
import pkgutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras

from tfticket import data as data_sets
from tfticket import models
from tfticket.data import DataSet, Feed, Split
from tfticket.recipe.rates import compile_model, load_data, load_model, precision
from tfticket.recipe.schema import Recipe
from tfticket.runs.plan import Plan, Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.registry import KINDS

if TYPE_CHECKING:
    import tensorflow as tf


class Study(abc.ABC):
    """A recipe with its data: all that is trained, and in which order.

    Any process makes the same study from the same arguments.

    Args:
        recipe: The recipe.
        data: Its data set, with the labels that it came with.
        data_dir: The directory of data sets, for those that take the place of examples.
    """

    def __init__(self, recipe: Recipe, data: DataSet, data_dir: Path | None = None) -> None:
        self.recipe = recipe
        self.data = data
        self.data_dir = data_dir

    @classmethod
    def load(cls, recipe: Any, data_dir: Path | None = None) -> Self:
        """Load the data of a recipe; the split doesn't depend on the recipe's seeds.

        Raises:
            DataError: when the data can't be found or used.
        """
        file = getattr(recipe.model, "file", None)  # not all kinds have models from files
        return cls(recipe, load_data(recipe.data, data_dir, model_file=file), data_dir)

    @abc.abstractmethod
    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """Plan what isn't finished in `run`.

        Args:
            run: The run directory.
            timed: Whether to estimate time, where that takes less than the run.
        """

    @abc.abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """Return all tasks of a run, in the order of a serial one."""

    @abc.abstractmethod
    def network(self) -> keras.Model:
        """Return one of the networks that are trained, compiled."""

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """Prepare what all tasks need in `run`, and hold it while they are done."""
        return contextlib.nullcontext()

    def finished(self, task: Task, run: RunDir) -> bool:
        """Return whether a task needs not be done any more."""
        return RunDir(run.path / task.folder).all_finished(task.trials)

    @abc.abstractmethod
    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """Do a task; what it leaves is whole or absent. What it had finished before is kept."""

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Do what comes after all tasks; returns what the run's last file says of it."""
        return {}

    def build(
        self,
        seed: int,
        *,
        drawn: int,
        norm: Any,
        options: Mapping[str, Any] | None = None,
        **compiled: Any,
    ) -> keras.Model:
        """Return the compiled network of the table `model` in its initial state.

        Args:
            seed: Each layer draws its weights from it and from the layer's name.
            drawn: Seed of all other random numbers.
            norm: Its normalization.
            options: What `models.build` takes beside; a network of a file takes nothing.
            **compiled: Of `compile_model`.

        Raises:
            ModelError: when it can't be built or doesn't fit the data.
        """
        recipe: Any = self.recipe  # of a kind whose table `model` names a network
        table, train = recipe.model, recipe.train
        keras.utils.set_random_seed(drawn)
        with precision(mixed=train.mixed_precision):
            if getattr(table, "file", None) is not None:
                model = load_model(table.file, self.data)
            else:
                model = models.build(
                    str(table.name),
                    self.data.input_shape,
                    self.data.outputs,
                    width=table.width,
                    norm=norm,
                    dropout=table.dropout,
                    seed=seed,
                    **(options or {}),
                )
        compile_model(model, train, regression=self.data.regression, **compiled)
        return model

    def batches(self, split: Split) -> tf.data.Dataset:
        """Return examples as a network sees them, in large batches and in their order."""
        return data_sets.batches(split, scale=self.data.scale, offset=self.data.offset)

    def test(self) -> tf.data.Dataset:
        """Return the test data with its true labels, in large batches."""
        return self.batches(self.data.test)

    def make_feed(self, split: Split, seed: int, chunk_steps: int, **options: Any) -> Feed:
        """Return training batches in an order, and with an augmentation, that belong to a seed.

        Args:
            split: The examples.
            seed: The seed.
            chunk_steps: Steps between two evaluations.
            **options: Of `Feed`; by default batches are as large as the recipe says.
        """
        return Feed(
            split,
            seed=seed,
            chunk_steps=chunk_steps,
            scale=self.data.scale,
            offset=self.data.offset,
            augment=self.recipe.data.augment,
            **{"batch_size": self.recipe.data.batch_size, **options},
        )


def make_study(recipe: Recipe, data: DataSet, data_dir: Path | None = None) -> Study:
    """Make the study of a recipe of any kind from its data; see `Study`."""
    made: Study = _class(recipe)(recipe, data, data_dir)
    return made


def load_study(recipe: Recipe, data_dir: Path | None = None) -> Study:
    """Load the data of a recipe of any kind; see `Study.load`."""
    return _class(recipe).load(recipe, data_dir)


def _class(recipe: Recipe) -> type[Study]:
    found: type[Study] = pkgutil.resolve_name(KINDS[recipe.kind].study)
    return found
