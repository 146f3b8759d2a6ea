"""From a recipe of the kind `noisy` to what it names: labels, networks, pairs, selections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfticket import data, models
from tfticket.data import DataSet, Feed, Split
from tfticket.errors import DataError, RunError
from tfticket.noisy import (
    INCV,
    CleanSplit,
    Corruption,
    CoTeaching,
    ForgetRate,
    ForwardCorrection,
    GeneralizedCrossentropy,
)
from tfticket.noisy.staging import stages as staged
from tfticket.noisy.updates import Update
from tfticket.recipe.noise import Noise
from tfticket.recipe.rates import compile_model, load_data, precision
from tfticket.recipe.training import LearningRate, largest
from tfticket.seeds import sub_seed
from tfticket.state import innermost_optimizer
from tfticket.studies.labels import (
    foreign_data,
    open_training,
    open_validation,
    relabeled,
    training_labels,
    validation_labels,
)
from tfticket.studies.noisy.schema import Method, NoisyCell, NoisyRecipe, iterations


@dataclass(frozen=True, eq=False)
class NoisyExperiment:
    """A recipe with its data in memory.

    Attributes:
        recipe: The recipe.
        data: Its data set, with the labels that it came with.
        foreign: Name to data set of all that takes the place of examples.
    """

    recipe: NoisyRecipe
    data: DataSet
    foreign: Mapping[str, DataSet]

    @classmethod
    def load(cls, recipe: NoisyRecipe, data_dir: Path | None = None) -> NoisyExperiment:
        """Loads the data of a recipe; the split doesn't depend on the recipe's seeds.

        Raises:
            DataError: when the data can't be found or used.
        """
        loaded = load_data(recipe.data, data_dir)
        return cls(recipe, loaded, foreign_data(recipe.noise, loaded, data_dir))

    def corruption(self, seed: int, noise: Noise) -> Corruption:
        """The labels of the training data, before and after; the same for all methods of a seed."""
        if noise.foreign is not None:
            return open_training(self.data, noise, seed, self.foreign)[1]
        return training_labels(self.data, noise, seed)

    def validation(self, seed: int, noise: Noise) -> tf.data.Dataset:
        """Validation data whose labels are as wrong as those of the training data, in batches."""
        if noise.foreign is not None:
            x, made = open_validation(self.data, noise, seed, self.foreign)
            return self._batches(Split(x, made.given.astype(np.int32)))
        given = validation_labels(self.data, noise, seed).given
        return self._batches(relabeled(self.data.validation, given))

    def test(self) -> tf.data.Dataset:
        """The test data with its true labels, in large batches."""
        return self._batches(self.data.test)

    def network(
        self,
        seed: int,
        name: str,
        rate: LearningRate | None = None,
        loss: keras.losses.Loss | None = None,
    ) -> keras.Model:
        """A compiled network whose initial weights belong to the seed and to `name`.

        Args:
            seed: Of the run.
            name: Which one of the seed.
            rate: Its learning rate; that of the recipe if None.
            loss: Its loss; cross-entropy if None.
        """
        table, train = self.recipe.model, self.recipe.train
        own = sub_seed(seed, "init", name)
        keras.utils.set_random_seed(own)
        with precision(mixed=train.mixed_precision):
            model = models.build(
                table.name,
                self.data.input_shape,
                self.data.num_classes,
                width=table.width,
                norm=table.norm,
                dropout=table.dropout,
                seed=own,
            )
        compile_model(
            model,
            train,
            rate=train.learning_rate if rate is None else rate,
            steps_per_execution=1,
            loss=loss,
        )
        return model

    def feed(
        self, seed: int, noise: Noise, corruption: Corruption, ids: np.ndarray | None = None
    ) -> Feed:
        """Training batches in an order that belongs to the seed; labels as `CoTeaching` takes them.

        Args:
            seed: Of the run.
            noise: Whose labels they are; open-set noise is in the inputs.
            corruption: Given labels, the first column, and true ones, the second.
            ids: Only these examples; None for all.
        """
        chosen = slice(None) if ids is None else ids
        labels = np.stack([corruption.given, corruption.true], axis=1).astype(np.int32)
        x = self._training_inputs(seed, noise)
        split = Split(np.ascontiguousarray(x[chosen]), labels[chosen])
        return Feed(
            split,
            batch_size=min(self.recipe.data.batch_size, len(split)),
            seed=seed,
            chunk_steps=self.recipe.train.evaluate_every,
            scale=self.data.scale,
            offset=self.data.offset,
            augment=self.recipe.data.augment,
            labels=_by_name,
        )

    def incv(self, seed: int) -> INCV:
        """What predicts each example by networks that weren't trained on it.

        Raises:
            DataError: when the recipe has no table [selection].
        """
        table, train = self.recipe.selection, self.recipe.train
        if table is None:
            raise DataError("Nothing can be selected without a table [selection] in the recipe.")
        given = table.learning_rate
        rate: LearningRate = largest(train.learning_rate) if given is None else given
        loss = None if table.q is None else GeneralizedCrossentropy(table.q, from_logits=True)
        return INCV(
            lambda fold_seed: self.network(fold_seed, "fold", rate, loss),
            epochs=table.epochs,
            folds=table.folds,
            iterations=iterations(self.recipe),
            batch_size=min(self.recipe.data.batch_size, len(self.data.train)),
            seed=seed,
        )

    def inputs(self, seed: int, noise: Noise) -> np.ndarray:
        """The training inputs of a seed and a noise as a network sees them."""
        return self.data.as_fed(self._training_inputs(seed, noise))

    def _training_inputs(self, seed: int, noise: Noise) -> np.ndarray:
        if noise.foreign is None:
            return self.data.train.x
        return open_training(self.data, noise, seed, self.foreign)[0]

    def _batches(self, split: Split) -> tf.data.Dataset:
        return data.batches(split, scale=self.data.scale, offset=self.data.offset)


def _by_name(labels: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"given": labels[:, 0], "true": labels[:, 1]}


_UPDATES: dict[str, Update] = {
    "cross_entropy": "plain",
    "gce": "plain",
    "forward": "plain",
    "coteaching": "coteaching",
    "coteaching_plus": "coteaching_plus",
    "jocor": "jocor",
    "decoupling": "decoupling",
    "incv": "coteaching",
}


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of a training.

    Attributes:
        intervals: How long, in `train.evaluate_every` steps.
        forget_rate: Share of a batch to drop when the ramp has ended, in [0, 1).
        ids: The examples; None for all.
    """

    intervals: int
    forget_rate: float
    ids: np.ndarray | None = None


def stages(
    experiment: NoisyExperiment, cell: NoisyCell, corruption: Corruption, split: CleanSplit | None
) -> tuple[Stage, ...]:
    """What a cell is trained on, one after the other.

    For `incv` what was selected, then the candidates with it: see `tfticket.noisy.staging`.
    """
    method = cell.method
    intervals = cell.steps // experiment.recipe.train.evaluate_every
    if method.name != "incv":
        return (Stage(intervals, _forget_rate(method, corruption, split)),)
    assert split is not None  # the rules ask for it
    first = min(method.warmup, intervals)
    planned = (
        Stage(length, part.forget_rate, part.ids)
        for length, part in zip((first, intervals - first), staged(split), strict=True)
    )
    return tuple(stage for stage in planned if stage.intervals)


def _forget_rate(method: Method, corruption: Corruption, split: CleanSplit | None) -> float:
    if not method.selects_batches:
        return 0.0
    if method.forget_rate == "given":
        return corruption.realized_rate
    if method.forget_rate == "estimated":
        return _estimate(method, split).estimate.rate
    return float(method.forget_rate)


def make_pair(
    experiment: NoisyExperiment,
    cell: NoisyCell,
    seed: int,
    *,
    forget_rate: float,
    corruption: Corruption,
    split: CleanSplit | None,
) -> CoTeaching:
    """A compiled pair of networks; the initial weights are the same for all methods of a seed.

    Args:
        experiment: The recipe with its data.
        cell: Which training.
        seed: Of the run.
        forget_rate: The largest of its stages, in [0, 1).
        corruption: The labels.
        split: The selection, where the method needs one.

    Raises:
        ModelError: when the networks don't fit the data or each other.
    """
    train, method = experiment.recipe.train, cell.method
    first, second = (experiment.network(seed, name) for name in ("first", "second"))
    pair = CoTeaching(
        first,
        second,
        forget_rate=ForgetRate(forget_rate, method.gradual, method.exponent, method.formula),
        update=_UPDATES[method.name],
        warmup_epochs=0 if method.name == "incv" else method.warmup,
        agreement=method.agreement,
        class_floor=method.class_floor,
        batch=method.batch,
    )
    pair.compile(
        innermost_optimizer(first),
        _loss(method, first, corruption, split),
        second_optimizer=innermost_optimizer(second),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        steps_per_execution=train.evaluate_every,
        jit_compile=pair.supports_jit and first.jit_compile,
    )
    return pair


def _loss(
    method: Method, network: keras.Model, corruption: Corruption, split: CleanSplit | None
) -> keras.losses.Loss:
    if method.name == "gce":
        return GeneralizedCrossentropy(method.q, from_logits=True)
    if method.name != "forward":
        return models.loss_for(network)
    if method.matrix == "estimated":
        return ForwardCorrection(_estimate(method, split).estimate.matrix, from_logits=True)
    realized = corruption.realized
    absent = np.isnan(realized).any(axis=1)
    realized[absent] = np.eye(len(realized))[absent]
    return ForwardCorrection(realized, from_logits=True)


def _estimate(method: Method, split: CleanSplit | None) -> CleanSplit:
    if split is None:
        raise RunError(f"{method.name} needs an estimate of the noise. Received: no selection.")
    return split
