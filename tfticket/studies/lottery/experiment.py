"""From a recipe of the kind `lottery` to what it names: data, compiled models, the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfticket import data, models
from tfticket.channels import channel_groups
from tfticket.data import DataSet, Feed
from tfticket.errors import ModelError
from tfticket.lottery import (
    Control,
    OneShotPruning,
    RandomMask,
    RandomReinit,
    ShuffledMask,
    TicketSearch,
)
from tfticket.lottery.trial import TrialListener, TrialStore
from tfticket.recipe.rates import compile_model, load_data, load_model, precision
from tfticket.schedules import IterativePruning, OneShot, PolynomialDecay, PruningSchedule
from tfticket.seeds import sub_seed
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner
from tfticket.sparsity.saliency import SALIENCIES, SaliencyScore
from tfticket.sparsity.scores import WEIGHT_SCORES, WeightScore
from tfticket.sparsity.structure import UNSTRUCTURED, Blocks, NOfM, Structure
from tfticket.state import prunable_variables
from tfticket.studies.lottery.schema import (
    DEFAULT_RATE,
    Controls,
    Lottery,
    LotteryRecipe,
    control_levels,
)

_SALIENCY_EXAMPLES_A_CLASS = 10


@dataclass(frozen=True, eq=False)
class Experiment:
    """A recipe with its data in memory.

    Attributes:
        recipe: The recipe.
        data: Its data set.
    """

    recipe: LotteryRecipe
    data: DataSet

    @classmethod
    def load(cls, recipe: LotteryRecipe, data_dir: Path | None = None) -> Experiment:
        """Loads the data of a recipe; the split doesn't depend on the recipe's seeds.

        Raises:
            DataError: when the data can't be found or used.
        """
        return cls(recipe, load_data(recipe.data, data_dir, model_file=recipe.model.file))

    def model(self, seed: int) -> keras.Model:
        """A compiled network in the initial state that belongs to the seed.

        A `.keras` file begins with the weights that are in it, whatever the seed; then seeds differ
        in the order of the data and in the controls.

        Raises:
            ModelError: when it can't be built or doesn't fit the data.
        """
        table = self.recipe.model
        train = self.recipe.train
        keras.utils.set_random_seed(sub_seed(seed, "init"))
        with precision(mixed=train.mixed_precision):
            if table.file is not None:
                model = load_model(table.file, self.data)
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
        compile_model(
            model, train, rate=train.learning_rate, steps_per_execution=train.evaluate_every
        )
        return model

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
            score=score(lottery.score, self.data),
            rewind_step=lottery.rewind_step,
            rewind=lottery.rewind,
            optimizer_state=lottery.optimizer_state,
            score_at=lottery.score_at,
            controls=controls(self.recipe.controls),
            control_levels=control_levels(self.recipe.controls.levels, lottery.levels),
            skip=lottery.skip,
            seed=seed,
            test_data=self.test(),
            validation_data=self.validation(),
            feed=feed,
            store=store,
            listener=listener,
            provenance=provenance,
            compact=self.recipe.train.distribute == "none",
        )


def score(name: str, data: DataSet) -> WeightScore | SaliencyScore | None:
    """The score of a recipe; those that need examples take the first of the training data."""
    if name == "random":
        return None
    if name in WEIGHT_SCORES:
        return WEIGHT_SCORES[name]
    first = data.train.first(_SALIENCY_EXAMPLES_A_CLASS * data.num_classes)
    _, iterations = SALIENCIES[name]
    return SaliencyScore(name, data.inputs(first), first.y, iterations)


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
    units = structure(lottery, model)
    if lottery.pruner != "layerwise":
        return {"global": GlobalPruner, "erk": ERKPruner}[lottery.pruner](structure=units)
    *_, output = prunable_variables(model)
    rate = lottery.rate or DEFAULT_RATE
    factors = {
        (output if pattern == "output" else pattern): own / rate
        for pattern, own in lottery.rates.items()
    }
    # The output layer is a dense layer too: the particular goes before the general.
    particular_first = sorted(factors.items(), key=lambda item: item[0] != output)
    return LayerwisePruner(dict(particular_first), structure=units)


def structure(lottery: Lottery, model: keras.Model) -> Structure:
    """What lives and dies together in the tickets of a recipe.

    Raises:
        ModelError: when channels are asked for and the network has none that can go.
    """
    makers: dict[str, Callable[[], Structure]] = {
        "unstructured": lambda: UNSTRUCTURED,
        "block_1x4": lambda: Blocks(4),
        "n_of_m": lambda: NOfM(*(lottery.pattern or ())),
        "channel": lambda: Channels(channel_groups(model, lottery.skip)),
    }
    return makers[lottery.structure]()


def controls(table: Controls) -> list[Control]:
    """The controls of a recipe."""
    chosen: list[Control] = [RandomReinit(n) for n in range(1, int(table.reinit) + 1)]
    chosen += [ShuffledMask()] if table.shuffle else []
    chosen += [RandomMask()] if table.random else []
    chosen += [OneShotPruning()] if table.oneshot else []
    return chosen


def placed_model(experiment: Experiment, seed: int) -> keras.Model:
    """The network of a seed, whose `fit` takes the devices that the recipe says.

    With `train.distribute = "mirrored"` each batch is dealt to all GPUs of the machine, or to all
    its logical processors, by `tf.distribute.MirroredStrategy`. What Keras 3.15 and TensorFlow
    2.21 can't do then is left out: many steps in one call (a placeholder isn't fed), XLA
    (variables of other devices), and batches that don't divide evenly (`evaluate` adds them up).

    Args:
        experiment: The recipe with its data.
        seed: The seed.

    Raises:
        ModelError: when there are no two devices, or batches can't be dealt evenly.
    """
    if experiment.recipe.train.distribute == "none":
        return experiment.model(seed)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise ModelError(
            'train.distribute = "mirrored" needs two devices or more. Received: '
            f"{', '.join(device.name for device in devices)}. Leave it out."
        )
    _check_batches(experiment, len(devices))
    with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
        model = experiment.model(seed)
    model.steps_per_execution = 1
    model.jit_compile = False
    return model


def placed_data(model: keras.Model, feed: Feed) -> dict[str, Any]:
    """What `model.fit` takes as keywords, so that each of its epochs is a chunk of the feed.

    For several devices batches are fetched ahead. A search sets the feed to another step between
    two chunks, so each chunk is a data set of its own then, which nothing is fetched beyond.

    Args:
        model: Of `placed_model`.
        feed: The training data.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return feed.fit_arguments()
    return {"x": feed.dataset(), "shuffle": False}


def _check_batches(experiment: Experiment, devices: int) -> None:
    sizes = {"data.batch_size": {experiment.recipe.data.batch_size}}
    evaluated = {"validation": experiment.validation(), "test": experiment.test()}
    for name, batches in evaluated.items():
        sizes[f"{name} batches"] = {len(y) for _, y in batches}
    for name, found in sizes.items():
        uneven = sorted(size for size in found if size % devices)
        if uneven:
            raise ModelError(
                f'train.distribute = "mirrored" needs batches that {devices} devices share evenly. '
                f"Received: {name} of {uneven[0]}. Change data.batch_size, or the number of "
                "examples by data.validation and data.limit."
            )
