"""Two optimizers that Keras sees as one."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import keras


class PairOptimizer(keras.optimizers.Optimizer):
    """One optimizer for each of two networks, behind the one that a Keras model has.

    Callbacks that set the learning rate, saving, snapshots and averaged weights (`use_ema`) work on
    `model.optimizer`; through this they reach both. Each has its own slots, step count and loss
    scale, and is built on its own network's variables only.

    Args:
        first: Of the first network.
        second: Of the second network.
        network: The first network; what isn't its own belongs to the second.
    """

    def __init__(
        self,
        first: keras.optimizers.Optimizer,
        second: keras.optimizers.Optimizer,
        *,
        network: keras.Model,
    ) -> None:
        super().__init__(learning_rate=0.0, name="pair")
        self.first = first
        self.second = second
        self._network = weakref.ref(network)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Builds each optimizer on the variables of its network, once."""
        if self.built:
            return
        super().build(list(variables))
        for optimizer, own in zip((self.first, self.second), self._split(variables), strict=True):
            if not optimizer.built:
                with keras.name_scope(optimizer.name):
                    optimizer.build(own)
                optimizer.built = True  # of loss scaling, Keras sets it where it applies gradients

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Applies each network's gradients by its optimizer."""
        variables = list(trainable_variables or self._trainable_variables)
        self.build(variables)
        gradients = {id(v): g for v, g in zip(variables, grads, strict=True)}
        for optimizer, own in zip((self.first, self.second), self._split(variables), strict=True):
            optimizer.apply([gradients[id(v)] for v in own], own)

    def scale_both(self, losses: tuple[Any, Any]) -> tuple[Any, Any]:
        """Each network's loss by the scale of its own optimizer."""
        return self.first.scale_loss(losses[0]), self.second.scale_loss(losses[1])

    def finalize_variable_values(self, var_list: Iterable[keras.Variable]) -> None:
        """Ends training: each optimizer may write its averages over its own variables."""
        for optimizer, own in zip((self.first, self.second), self._split(var_list), strict=True):
            optimizer.finalize_variable_values(own)

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of the first, then those of the second optimizer."""
        return [*self.first.variables, *self.second.variables]

    @property
    def iterations(self) -> keras.Variable:
        """Steps of the first optimizer."""
        return self.first.iterations

    @property
    def learning_rate(self) -> Any:
        """Of the first optimizer; setting it sets both."""
        return self.first.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.first.learning_rate = value
        self.second.learning_rate = value

    def save_own_variables(self, store: Any) -> None:
        """Nothing: Keras visits the two optimizers, which save their own."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing, as in `save_own_variables`."""

    def get_config(self) -> dict[str, Any]:
        """Empty: the model saves both optimizers with the rest of what it was compiled with."""
        return {}

    def _split(
        self, variables: Iterable[keras.Variable]
    ) -> tuple[list[keras.Variable], list[keras.Variable]]:
        network, variables = self._network(), list(variables)
        assert network is not None
        own = {id(variable) for variable in network.variables}
        first = [variable for variable in variables if id(variable) in own]
        return first, [variable for variable in variables if id(variable) not in own]


def copy_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """A fresh optimizer of the same settings."""
    return type(optimizer).from_config(optimizer.get_config())


def scaled(
    optimizer: keras.optimizers.Optimizer, network: keras.Model
) -> keras.optimizers.Optimizer:
    """The optimizer, with loss scaling where the network computes in float16, as Keras has it."""
    if network.dtype_policy.name != "mixed_float16" or isinstance(
        optimizer, keras.optimizers.LossScaleOptimizer
    ):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
