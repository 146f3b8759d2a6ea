"""From a recipe of the kind `norms` to what it names: data, compiled models, trackers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket import data, models
from tfticket.data import DataSet, Feed, Split
from tfticket.noisy import Corruption
from tfticket.norms.catalog import Norm
from tfticket.norms.landscape import SmoothnessRecord
from tfticket.norms.shift_tracker import ShiftTracker
from tfticket.norms.tracker import LandscapeTracker
from tfticket.recipe.rates import compile_model, load_data, precision
from tfticket.seeds import sub_seed
from tfticket.studies.labels import relabeled, training_labels, validation_labels
from tfticket.studies.norms.conditions import Cell
from tfticket.studies.norms.schema import Multipliers, NormsRecipe


@dataclass(frozen=True, eq=False)
class NormsExperiment:
    """A recipe with its data in memory.

    Attributes:
        recipe: The recipe.
        data: Its data set, with the labels that it came with.
    """

    recipe: NormsRecipe
    data: DataSet

    @classmethod
    def load(cls, recipe: NormsRecipe, data_dir: Path | None = None) -> NormsExperiment:
        """Loads the data of a recipe; the split doesn't depend on the recipe's seeds.

        Raises:
            DataError: when the data can't be found or used.
        """
        return cls(recipe, load_data(recipe.data, data_dir))

    def model(self, seed: int, cell: Cell) -> keras.Model:
        """A compiled network in the initial state that belongs to the seed.

        All cells of a seed begin with the same kernels, whatever their norm: each layer draws its
        own from the seed and the layer's name.

        Raises:
            ModelError: when it can't be built or doesn't fit the data.
        """
        table, train = self.recipe.model, self.recipe.train
        keras.utils.set_random_seed(sub_seed(seed, "init"))
        given = {"depth": table.depth, "initializer": table.initializer}
        with precision(mixed=train.mixed_precision):
            model = models.build(
                table.name,
                self.data.input_shape,
                self.data.outputs,
                width=table.width,
                norm=Norm(cell.norm.name, cell.norm.options),
                dropout=table.dropout,
                seed=seed,
                **{name: value for name, value in given.items() if value is not None},
            )
        compile_model(
            model,
            train,
            rate=cell.rate,
            steps_per_execution=self.steps_per_execution(cell),
            regression=self.data.regression,
        )
        return model

    def steps_per_execution(self, cell: Cell) -> int:
        """As many steps as go without a measurement: trackers see the first one of an execution."""
        tables = [table for table in (self.recipe.landscape, self.recipe.shift) if table]
        every = [self.recipe.train.evaluate_every, *(table.every for table in tables)]
        return math.gcd(*(cell.interval(steps) for steps in every))

    def corruption(self, seed: int) -> Corruption | None:
        """The training labels of a seed, before and after; None where the recipe has no noise."""
        noise = self.recipe.noise
        return None if noise is None else training_labels(self.data, noise, seed)

    def given(self, seed: int) -> DataSet:
        """The data as it is given to all that is trained with a seed, the search for tickets too.

        Training and validation labels are as wrong as the recipe says; the test data is as it was.
        """
        noise, corruption = self.recipe.noise, self.corruption(seed)
        if noise is None or corruption is None:
            return self.data
        held_out = validation_labels(self.data, noise, seed)
        return replace(
            self.data,
            train=relabeled(self.data.train, corruption.given),
            validation=relabeled(self.data.validation, held_out.given),
        )

    def feed(self, seed: int, cell: Cell) -> Feed:
        """The training data, in an order that belongs to the seed and not to the cell."""
        return Feed(
            self.given(seed).train,
            batch_size=cell.batch_size,
            seed=seed,
            chunk_steps=cell.interval(self.recipe.train.evaluate_every),
            scale=self.data.scale,
            offset=self.data.offset,
            augment=self.recipe.data.augment,
        )

    def validation(self, seed: int) -> tf.data.Dataset:
        """The validation data of a seed in large batches."""
        return self.batches(self.given(seed).validation)

    def test(self) -> tf.data.Dataset:
        """The test data in large batches."""
        return self.batches(self.data.test)

    def batches(self, split: Split) -> tf.data.Dataset:
        """Examples as a network sees them, in large batches and in their order."""
        return data.batches(split, scale=self.data.scale, offset=self.data.offset)

    def landscape(
        self, seed: int, cell: Cell, on_record: Callable[[SmoothnessRecord], None] | None = None
    ) -> LandscapeTracker | None:
        """What measures the landscape of a cell, if the recipe asks for it."""
        table = self.recipe.landscape
        if table is None:
            return None
        return LandscapeTracker(
            cell.interval(table.every),
            multipliers=tuple(multipliers(table.multipliers)),
            direction=table.direction,
            batch=self._first_batch(seed, cell) if table.batch == "fixed" else "train",
            on_record=on_record,
            verbose=0,
        )

    def shift(self, cell: Cell) -> ShiftTracker | None:
        """What measures covariate shift in a cell, if the recipe asks for it."""
        table = self.recipe.shift
        if table is None:
            return None
        return ShiftTracker(cell.interval(table.every), layers=table.layers or None, verbose=0)

    def _first_batch(self, seed: int, cell: Cell) -> tuple[Any, ...]:
        return next(iter(self.feed(seed, cell).dataset()))


def multipliers(grid: Multipliers) -> np.ndarray:
    """The points of a grid, rising, shape (points,)."""
    space = np.geomspace if grid.spacing == "log" else np.linspace
    return space(grid.low, grid.high, grid.points)
