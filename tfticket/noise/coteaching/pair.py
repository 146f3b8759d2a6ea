"""Two networks and their two optimizers as one Keras model: built, called, compiled and saved."""

from __future__ import annotations

import contextlib
import weakref
from abc import ABC
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.internals import Functional, no_automatic_dependency_tracking
from tfticket.noise.coteaching import checks
from tfticket.noise.coteaching.distill import distill, ensemble
from tfticket.noise.coteaching.metrics import Counts, PairMetrics
from tfticket.noise.coteaching.outputs import (
    OUTPUTS,
    Outputs,
    class_count,
    kind_of_outputs,
    mean_outputs,
)
from tfticket.noise.losses import PerSampleLoss
from tfticket.noise.seeded import SeededModel


class PairModel(SeededModel, ABC):
    """Abstract base of `CoTeaching`: all but the training step and its settings.

    Args:
        first: Any Keras model with one output.
        second: Another one, that shares nothing with it.
        outputs: `logits`, `probabilities` or `values`; None infers it from the first.
        **kwargs: As for `keras.Model`.
    """

    def __init__(
        self, first: keras.Model, second: keras.Model, *, outputs: Outputs | None, **kwargs: Any
    ) -> None:
        checks.check_pair(first, second)
        kind = kind_of_outputs(first) if outputs is None else outputs
        checks.check_choice("outputs", kind, OUTPUTS)
        super().__init__(**kwargs)
        self.first = first
        self.second = second
        self.kind = kind
        self.pair_metrics = PairMetrics()
        # `call` never runs in training, so Keras couldn't know that there is nothing to build.
        self.built = first.built and second.built

    @property
    def peers(self) -> tuple[keras.Model, keras.Model]:
        """The two networks themselves, plain Keras models."""
        return self.first, self.second

    @property
    def classes(self) -> int | None:
        """Number of classes; None for values, and for subclassed or unbuilt networks."""
        known = isinstance(self.first, (keras.Sequential, Functional)) and self.first.built
        return class_count(self.first.output_shape, self.kind) if known else None

    def ensemble(self, *, name: str = "ensemble") -> keras.Model:
        """Join copies of both into one plain Keras model that gives the mean probability.

        See `tfticket.noise.coteaching.distill.ensemble`.
        """
        return ensemble(self.peers, self.kind, name=name)

    def distill(self, x: Any, student: keras.Model | None = None, **kwargs: Any) -> keras.Model:
        """Train one plain network to predict what the pair predicts.

        See `tfticket.noise.coteaching.distill.distill`.
        """
        return distill(self, x, student, kind=self.kind, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Build the networks that aren't."""
        for network in self.peers:
            if not network.built:
                network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The prediction of the pair, in the kind that the networks give."""
        return mean_outputs(*self.both(inputs, training=training), self.kind)

    def both(self, inputs: Any, *, training: bool | None) -> tuple[Any, Any]:
        """One forward pass of each network."""
        outputs = tuple(network(inputs, training=training) for network in self.peers)
        if any(keras.tree.is_nested(each) for each in outputs):
            raise ModelError(
                "Both networks must have one output. Received: outputs of the structure "
                f"{keras.tree.map_structure(lambda _: '*', outputs)}."
            )
        return outputs

    def prepare(self, x: Any) -> None:
        """Build what subclassed networks and optimizers build only when they first see data."""
        if not self.built:
            self.both(x, training=False)
            self.built = True
        self.optimizer.build(self.trainable_variables)

    def measure(
        self,
        y: Any,
        outputs: tuple[Any, Any],
        *,
        losses: tuple[Any, Any, Any],
        disagreed: Any,
        sample_weight: Any,
        counts: Counts | None = None,
    ) -> None:
        """Update the metrics, inside a step; see `PairMetrics.update`."""
        self._loss_tracker.update_state(losses[2], sample_weight=keras.ops.shape(outputs[0])[0])
        self.pair_metrics.update(
            y,
            {"": mean_outputs(*outputs, self.kind), "first": outputs[0], "second": outputs[1]},
            losses=losses[:2],
            disagreed=None if self.kind == "values" else disagreed,
            sample_weight=sample_weight,
            counts=counts,
        )

    @no_automatic_dependency_tracking  # as Keras' own: the metrics given aren't those reported
    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        second_optimizer: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        auto_scale_loss: bool = True,
        **kwargs: Any,
    ) -> None:
        """Configure training, as Keras does.

        Args:
            optimizer: Of the first network.
            loss: One loss with a value for each sample: a name, a function or a Keras loss.
            second_optimizer: Of the second network; with the settings of the first when None. What
                sets the learning rate of `model.optimizer` sets that of both.
            metrics: As in Keras, for one output.
            weighted_metrics: As in Keras, for one output.
            auto_scale_loss: Whether a network in float16 gets a `LossScaleOptimizer`.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, as in Keras.

        Raises:
            ModelError: when the loss has no value for each sample or doesn't fit the outputs, both
                networks would share an optimizer, or the step isn't for XLA.
        """
        if kwargs.get("jit_compile") is True and not self.supports_jit:
            raise ModelError(
                "XLA needs shapes that are known, and those of a reduced batch aren't. Received: "
                "jit_compile=True with batch='reduced'. Leave one of them out."
            )
        own = keras.optimizers.get(optimizer)
        other = copy_optimizer(own) if second_optimizer is None else second_optimizer
        other = keras.optimizers.get(other)
        if own is other:
            raise ModelError(
                "Each network needs an optimizer of its own. Received: one optimizer for both. "
                "Leave `second_optimizer` out, and the first's settings are taken."
            )
        self.per_sample = PerSampleLoss(loss)
        checks.check_logits(self.per_sample.loss, self.kind)
        self.pair_metrics = PairMetrics(metrics, weighted_metrics)
        both = (own, other)
        if auto_scale_loss:
            both = (scaled(own, self.first), scaled(other, self.second))
        pair = PairOptimizer(*both, network=self.first)
        super().compile(optimizer=pair, auto_scale_loss=False, **kwargs)
        self.loss = loss
        self._compiled_with = {
            "optimizer": own,
            "loss": loss,
            "second_optimizer": other,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "auto_scale_loss": auto_scale_loss,
            **kwargs,
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss, then those of the pair."""
        return [*super().metrics, *self.pair_metrics.metrics]

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, both optimizers among them."""
        if not self.compiled:
            return {}
        if self.built:
            # A file is loaded into optimizers that have their variables, so it must hold them.
            self.optimizer.build(self.trainable_variables)
        config: dict[str, Any] = keras.saving.serialize_keras_object(self._compiled_with)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile, and build the optimizers' variables so that their values can be loaded."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)


class PairOptimizer(keras.optimizers.Optimizer):
    """Two optimizers, one for each network, that Keras sees as one.

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
        """Build each optimizer on the variables of its network, once."""
        if self.built:
            return
        super().build(list(variables))
        for optimizer, own in zip((self.first, self.second), self._split(variables), strict=True):
            if not optimizer.built:
                with keras.name_scope(optimizer.name):
                    optimizer.build(own)
                optimizer.built = True  # of loss scaling, Keras sets it where it applies gradients

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Apply each network's gradients by its optimizer."""
        variables = list(trainable_variables or self._trainable_variables)
        self.build(variables)
        gradients = {id(v): g for v, g in zip(variables, grads, strict=True)}
        for optimizer, own in zip((self.first, self.second), self._split(variables), strict=True):
            optimizer.apply([gradients[id(v)] for v in own], own)

    def scale_both(self, losses: tuple[Any, Any]) -> tuple[Any, Any]:
        """Scale each network's loss by its own optimizer."""
        return self.first.scale_loss(losses[0]), self.second.scale_loss(losses[1])

    def finalize_variable_values(self, var_list: Iterable[keras.Variable]) -> None:
        """End training: each optimizer may write its averages over its own variables."""
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
        """Save nothing: Keras visits the two optimizers, which save their own."""

    def load_own_variables(self, store: Any) -> None:
        """Load nothing, as in `save_own_variables`."""

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
    """Wrap an optimizer in loss scaling where its network computes in float16, as Keras does."""
    if network.dtype_policy.name != "mixed_float16" or isinstance(
        optimizer, keras.optimizers.LossScaleOptimizer
    ):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")


@contextlib.contextmanager
def recording(network: keras.Model) -> Iterator[tf.GradientTape]:
    """A tape of one network's variables: its backward pass ends there, whatever the objective."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in network.trainable_variables])
        yield tape


def gradients(tape: tf.GradientTape, objective: Any, network: keras.Model) -> list[Any]:
    """The backward pass: a gradient for each trainable variable, None where it has no part."""
    variables = [variable.value for variable in network.trainable_variables]
    slopes: list[Any] = tape.gradient(objective, variables)
    return slopes


def regularization(network: keras.Model) -> Any:
    """The sum of what its layers added to the loss in the last call, float32."""
    added = [keras.ops.sum(keras.ops.cast(loss, "float32")) for loss in network.losses]
    return tf.add_n(added) if added else tf.zeros(())
