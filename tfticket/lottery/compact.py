"""Late networks of a search, trained without their dead units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf

from tfticket.channels.subnetwork import Living, Part
from tfticket.internals import Functional, count_loss, flat_layers, own_seeds, training_loss
from tfticket.sparsity.constraint import MaskConstraint
from tfticket.sparsity.mask import Mask
from tfticket.state import MaskOwner, kernels_of, optimizer_variables, variable_owners

# They leave a weight alone whose gradient is zero, as long as nothing is left from earlier.
_RESTING = ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "Lion", "Nadam", "RMSprop", "SGD")

# Weights left out, times steps, from which on a smaller network is worth being made, traced and
# compiled. A step takes some 2 ns a weight and 60 images on one core; at 8e8 it was no faster yet.
_WORTHWHILE = 2e9
# Writing a weight of the whole back after an execution takes as long as so many of them in a step.
_WRITING = 11


@runtime_checkable
class TakesStandIn(Protocol):
    """A train function that can train something else in place of the model: `data.ChunkedFit`'s."""

    def stand_in(self, other: Any) -> None:
        """Train `other` from now on; None for the model itself."""


class CompactNetwork:
    """The living part of a pruned network, which is trained in its place.

    It has an optimizer of its own with the slots of the whole network's. Loss and metrics are those
    of the whole, so `fit` reports as ever. After each chunk of steps `push` writes weights and
    slots back; what is checked and saved is always the whole network.

    Args:
        model: The whole, with masks bound.
        living: What is alive of it.
        mask: The mask.

    Attributes:
        living: What was alive of it.
    """

    def __init__(self, model: keras.Model, living: Living, mask: Mask) -> None:
        self.living = living
        self._model = model
        small = living.subnetwork()
        self._small = small.model
        part_of = {id(part.whole): part for part in small.parts}
        self._trained = [part_of[id(variable)].part for variable in model.trainable_variables]
        self._optimizer, owners = _optimizer_like(model.optimizer, self._trained)
        self._weights = small.parts
        self._slots = tuple(_slots(model, self._optimizer, owners, part_of))
        self._owned = tuple(_owned(model, self._optimizer, owners))
        self._masked = {key: part_of[id(v)] for key, v in kernels_of(model).items() if key in mask}
        for each in self._masked.values():
            each.part.constraint = MaskConstraint(
                keras.Variable(np.ones(each.part.shape, bool), dtype="bool", trainable=False)
            )

    def begin(self, mask: Mask) -> bool:
        """Begin a training from the state of the whole network.

        Args:
            mask: What is kept of it, with the keys of the first mask.

        Returns:
            Whether it may be trained in its place: whether the optimizer of the whole keeps nothing
            for kept weights that are left out here, so that they stand still there too.
        """
        for each in (*self._weights, *self._slots):
            each.pull()
        for key, each in self._masked.items():
            each.part.constraint.mask.assign(mask[key][each.places])
        self._left = [each.whole.numpy() for each in self._weights]
        masks = {id(each.whole): mask[key] for key, each in self._masked.items()}
        return all(
            _is_empty_elsewhere(slot, masks.get(id(variable)))
            for slot, variable in zip(self._slots, self._owned, strict=True)
        )

    def train_step(self, data: Any) -> dict[str, Any]:
        """Make a training step as `keras.Model.train_step`, of a model without regularizers."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self._small(x, training=True)
            loss = training_loss(self._model, x, y, y_pred, weight)
        trained = [variable.value for variable in self._trained]
        self._optimizer.apply(tape.gradient(loss, trained), self._trained)
        return self._measured(x, y, y_pred, weight, loss)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Make a test step as `keras.Model.test_step`."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self._small(x, training=False)
        loss = training_loss(self._model, x, y, y_pred, weight, training=False)
        return self._measured(x, y, y_pred, weight, loss)

    def push(self) -> None:
        """Write weights, statistics and slots back into the whole network."""
        for part in (*self._weights, *self._slots):
            part.push()
        self._left = [part.whole.numpy() for part in self._weights]

    def is_current(self) -> bool:
        """Tell whether the weights of the whole network are unchanged since the last call."""
        return all(
            np.array_equal(part.whole.numpy(), values)
            for part, values in zip(self._weights, self._left, strict=True)
        )

    def _measured(self, x: Any, y: Any, y_pred: Any, weight: Any, loss: Any) -> dict[str, Any]:
        count_loss(self._model, loss, examples=tf.shape(y)[0])
        metrics: dict[str, Any] = self._model.compute_metrics(x, y, y_pred, sample_weight=weight)
        return metrics


class Compactor:
    """Makes smaller networks to train in place of the pruned ones of a search.

    Whether one is made, and its shape, follow from the mask and the number of steps alone, so that
    a search that goes on is the search that never stopped. The last one is used again, without a
    trace and a compilation, where exactly the same is alive: in a control with its ticket's mask.

    Args:
        model: Compiled, with masks bound.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._last: CompactNetwork | None = None

    def compact(self, mask: Mask, steps: int) -> CompactNetwork | None:
        """Make a smaller network, if its training is equivalent and saves time.

        Args:
            mask: What is kept of the model, which is at the start of its training.
            steps: How long it will be trained.

        Returns:
            None where nothing, or too little to be worth it, can be left out; and where the result
            could differ by more than rounding: with weight decay, regularizers, dropout (whose
            draws depend on the shape), momentum from earlier for what would be left out, optimizers
            whose update mixes weights, training steps of your own.
        """
        model = self._model
        if not _is_plain(model) or not _rests(model.optimizer) or not _is_the_mask(model, mask):
            return None
        writing = _WRITING * mask.total / model.steps_per_execution
        least = math.ceil(_WORTHWHILE / steps + writing)
        if mask.total < least:
            return None  # a look at the graph isn't worth it either
        living = Living(model)
        if living.left_out < least:
            return None
        if self._last is None or not living.same_as(self._last.living):
            self._last = CompactNetwork(model, living, mask)
        return self._last if self._last.begin(mask) else None


def _is_plain(model: keras.Model) -> bool:
    """Tell whether Keras' own step trains it, without random draws or penalties."""
    own = type(model)
    standard = own.train_step is keras.Model.train_step
    standard &= own.test_step is keras.Model.test_step
    standard &= own.compute_loss is keras.Model.compute_loss
    if not standard or not isinstance(model, (keras.Sequential, Functional)) or model.losses:
        return False
    layers = flat_layers(model, itself=False)
    if any(
        isinstance(layer, MaskOwner) or own_seeds(layer) or _penalizes(layer) for layer in layers
    ):
        return False
    constraints = [variable.constraint for _, variable in variable_owners(model).values()]
    return all(
        each is None or (isinstance(each, MaskConstraint) and each.inner is None)
        for each in constraints
    )


def _penalizes(layer: keras.Layer) -> bool:
    return getattr(layer, "activity_regularizer", None) is not None


def _rests(optimizer: Any) -> bool:
    """Tell whether the optimizer leaves a weight alone that has neither gradient nor momentum."""
    if type(optimizer).__name__ not in _RESTING:
        return False
    mixes = optimizer.clipnorm or optimizer.global_clipnorm or optimizer.use_ema
    return not (mixes or optimizer.weight_decay or optimizer.gradient_accumulation_steps)


def _is_the_mask(model: keras.Model, mask: Mask) -> bool:
    """Tell whether the zeros of the kernels are those of the mask, so that they show dead units."""
    for key, kernel in kernels_of(model).items():
        nonzero = kernel.numpy() != 0
        if not (np.array_equal(nonzero, mask[key]) if key in mask else nonzero.all()):
            return False
    return True


def _optimizer_like(
    optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]
) -> tuple[keras.optimizers.Optimizer, dict[int, int]]:
    """Make an optimizer of the same settings; list the variable that each slot belongs to.

    Returns:
        The optimizer; the place in `variables`, by the `id` of the slot.
    """
    new = type(optimizer).from_config(optimizer.get_config())
    places = {id(variable): place for place, variable in enumerate(variables)}
    owners: dict[int, int] = {}
    add = new.add_variable_from_reference

    def noted(reference_variable: keras.Variable, *args: Any, **kwargs: Any) -> keras.Variable:
        slot = add(reference_variable, *args, **kwargs)
        owners[id(slot)] = places[id(reference_variable)]
        return slot

    new.add_variable_from_reference = noted
    new.build(variables)
    del new.add_variable_from_reference
    return new, owners


def _owned(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, owners: Mapping[int, int]
) -> Iterator[keras.Variable | None]:
    """For each of the optimizer's variables, the weight of the whole network it is kept for."""
    for variable in optimizer.variables:
        place = owners.get(id(variable))
        yield None if place is None else model.trainable_variables[place]


def _slots(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    owners: Mapping[int, int],
    part_of: Mapping[int, Part],
) -> Iterator[Part]:
    """Pair the slots of the two optimizers, of the whole network and of its part."""
    owned = _owned(model, optimizer, owners)
    pairs = zip(optimizer_variables(model), optimizer.variables, owned, strict=True)
    for whole, part, weight in pairs:
        yield Part(whole, part, () if weight is None else part_of[id(weight)].places)


def _is_empty_elsewhere(slot: Part, kept: np.ndarray | None) -> bool:
    """Tell whether a slot is zero for kept weights that are left out; pruned ones don't matter."""
    values = np.array(slot.whole.numpy())
    values[slot.places] = 0
    return not (values if kept is None else values[kept]).any()
