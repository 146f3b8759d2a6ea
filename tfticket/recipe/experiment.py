"""From a recipe to the objects it names: data, compiled models, the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfticket import data, models
from tfticket.data import DataSet, Feed
from tfticket.lottery import (
    Control,
    OneShotPruning,
    RandomMask,
    RandomReinit,
    ShuffledMask,
    TicketSearch,
)
from tfticket.lottery.trial import TrialListener, TrialStore
from tfticket.recipe.parsing import DEFAULT_RATE
from tfticket.recipe.rates import learning_rate
from tfticket.recipe.schema import Controls, Lottery, Recipe
from tfticket.schedules import IterativePruning, OneShot, PolynomialDecay, PruningSchedule
from tfticket.seeds import sub_seed
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner, Pruner
from tfticket.sparsity.saliency import SALIENCIES, SaliencyScore
from tfticket.sparsity.scores import WEIGHT_SCORES, WeightScore
from tfticket.state import prunable_variables

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
_SALIENCY_EXAMPLES_A_CLASS = 10


@dataclass(frozen=True, eq=False)
class Experiment:
    """A recipe with its data in memory.

    Attributes:
        recipe: The recipe.
        data: Its data set.
    """

    recipe: Recipe
    data: DataSet

    @classmethod
    def load(cls, recipe: Recipe, data_dir: Path | None = None) -> Experiment:
        """Loads the data of a recipe; the split doesn't depend on the recipe's seeds.

        Raises:
            DataError: when the data can't be found or used.
        """
        table = recipe.data
        loaded = data.load(
            table.name,
            data_dir=data_dir,
            validation=table.validation,
            normalize=table.normalize,
            limit=table.limit,
        )
        return cls(recipe, loaded)

    def model(self, seed: int) -> keras.Model:
        """A compiled network in the initial state that belongs to the seed.

        A `.keras` file begins with the weights that are in it, whatever the seed; then seeds differ
        in the order of the data and in the controls.

        Raises:
            ModelError: when it can't be built or doesn't fit the data.
        """
        table = self.recipe.model
        keras.utils.set_random_seed(sub_seed(seed, "init"))
        policy = keras.config.dtype_policy()
        if self.recipe.train.mixed_precision:
            keras.config.set_dtype_policy("mixed_float16")
        try:
            if table.file is not None:
                model = models.load_file(table.file, self.data.input_shape, self.data.num_classes)
            else:
                model = models.build(
                    str(table.name),
                    self.data.input_shape,
                    self.data.num_classes,
                    width=table.width,
                    norm=table.norm,
                    dropout=table.dropout,
                    seed=seed,
                )
        finally:
            keras.config.set_dtype_policy(policy)
        self._compile(model)
        return model

    def _compile(self, model: keras.Model) -> None:
        train = self.recipe.train
        options = train.optimizer.model_dump(exclude={"name"}, exclude_none=True)
        optimizer = _OPTIMIZERS[train.optimizer.name](learning_rate(train.learning_rate), **options)
        model.compile(
            optimizer=optimizer,
            loss=models.loss_for(model, label_smoothing=train.label_smoothing),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            steps_per_execution=train.evaluate_every,
            jit_compile=models.jit_choice(model, train.jit),
        )

    def feed(self, seed: int) -> Feed:
        """The training data, whose order and augmentation belong to the seed."""
        return Feed(
            self.data.train,
            batch_size=self.recipe.data.batch_size,
            seed=seed,
            chunk_steps=self.recipe.train.evaluate_every,
            scale=self.data.scale,
            offset=self.data.offset,
            augment=self.recipe.data.augment,
        )

    def validation(self) -> tf.data.Dataset:
        """The validation data in large batches."""
        return data.batches(self.data.validation, scale=self.data.scale, offset=self.data.offset)

    def test(self) -> tf.data.Dataset:
        """The test data in large batches."""
        return data.batches(self.data.test, scale=self.data.scale, offset=self.data.offset)

    def search(
        self,
        seed: int,
        model: keras.Model,
        *,
        feed: Feed,
        store: TrialStore,
        listener: TrialListener,
        provenance: Mapping[str, Any],
    ) -> TicketSearch:
        """The search of the recipe for one seed."""
        lottery = self.recipe.lottery
        return TicketSearch(
            schedule(lottery),
            self.recipe.train.steps,
            pruner=pruner(lottery, model),
            score=self._score(lottery.score),
            rewind_step=lottery.rewind_step,
            rewind=lottery.rewind,
            optimizer_state=lottery.optimizer_state,
            score_at=lottery.score_at,
            controls=controls(self.recipe.controls),
            control_levels=self.recipe.controls.levels,
            skip=lottery.skip,
            seed=seed,
            test_data=self.test(),
            feed=feed,
            store=store,
            listener=listener,
            provenance=provenance,
        )

    def _score(self, name: str) -> WeightScore | SaliencyScore | None:
        if name == "random":
            return None
        if name in WEIGHT_SCORES:
            return WEIGHT_SCORES[name]
        first = self.data.train.x[: _SALIENCY_EXAMPLES_A_CLASS * self.data.num_classes]
        x = first * self.data.scale + self.data.offset
        _, iterations = SALIENCIES[name]
        return SaliencyScore(name, x, self.data.train.y[: len(first)], iterations)


def schedule(lottery: Lottery) -> PruningSchedule:
    """The pruning schedule of a recipe."""
    makers: dict[str, Callable[[], PruningSchedule]] = {
        "iterative": lambda: IterativePruning(lottery.rate or DEFAULT_RATE, lottery.levels),
        "one_shot": lambda: OneShot(float(lottery.final_sparsity or 0)),
        "polynomial": lambda: PolynomialDecay(float(lottery.final_sparsity or 0), lottery.levels),
    }
    return makers[lottery.schedule]()


def pruner(lottery: Lottery, model: keras.Model) -> Pruner:
    """The pruner of a recipe; `output` in its rates is the last kernel of the network."""
    if lottery.pruner != "layerwise":
        return {"global": GlobalPruner, "erk": ERKPruner}[lottery.pruner]()
    *_, output = prunable_variables(model)
    rate = lottery.rate or DEFAULT_RATE
    factors = {
        (output if pattern == "output" else pattern): own / rate
        for pattern, own in lottery.rates.items()
    }
    # The output layer is a dense layer too: the particular goes before the general.
    return LayerwisePruner(dict(sorted(factors.items(), key=lambda item: item[0] != output)))


def controls(table: Controls) -> list[Control]:
    """The controls of a recipe."""
    chosen: list[Control] = [RandomReinit(n) for n in range(1, int(table.reinit) + 1)]
    chosen += [ShuffledMask()] if table.shuffle else []
    chosen += [RandomMask()] if table.random else []
    chosen += [OneShotPruning()] if table.oneshot else []
    return chosen
