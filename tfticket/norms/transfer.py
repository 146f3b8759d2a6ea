"""Transfer from an old norm to a new one: settings, weights, and outputs matched on data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfticket.internals import around_calls
from tfticket.norms.catalog import axis_of, kind_of, options_of
from tfticket.state import variable_owners
from tfticket.statistics.moments import Moments, moments_of
from tfticket.statistics.population import set_moments

_SHARED_SETTINGS = (
    "center", "scale", "beta_initializer", "gamma_initializer", "beta_regularizer",
    "gamma_regularizer", "beta_constraint", "gamma_constraint", "momentum", "epsilon",
)  # fmt: skip
_AFFINE = ("gamma", "beta")
_SAME = {"scale": "gamma"}  # what Keras' RMSNormalization calls it
_SMALLEST = 1e-6  # a channel of a smaller deviation isn't scaled
_VARIANCE_KINDS = ("batch", "batch_renorm", "frozen_batch", "sync_batch", "noisy_batch")


class Carried(NamedTuple):
    """Names of the variables of two norms.

    Attributes:
        kept: Copied from the old norm.
        dropped: Of the old norm, without a counterpart in the new one.
        new: Of the new norm, with their initial values.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    new: tuple[str, ...]


class Replacement(NamedTuple):
    """An old norm, the new one in its place, and the weights that were carried."""

    old: keras.Layer
    new: keras.Layer
    weights: Carried


def carried_options(old: keras.Layer, kind: str) -> dict[str, Any]:
    """Return the options of an old norm that a new one of another kind has too.

    These are the axis, `center` and `scale`, their initializers, regularizers and constraints,
    epsilon, momentum, the dtype policy and `trainable`. The epsilon of filter response
    normalization is another quantity and isn't carried.
    """
    config = old.get_config()
    known = options_of(kind)
    taken = {name: config[name] for name in _SHARED_SETTINGS if name in config and name in known}
    if "filter_response" in (kind, kind_of(old)):
        taken.pop("epsilon", None)
    return {**taken, "axis": axis_of(old), "dtype": old.dtype_policy, "trainable": old.trainable}


def carry_weights(old: keras.Layer, new: keras.Layer) -> Carried:
    """Copy the weights that mean the same in both norms to the new one, which is built.

    Scale and shift always do. Moving statistics do among the kinds that normalize by a variance,
    and between norms of one kind; the other averages of batch renormalization are derived.
    """
    theirs, ours = variables_of(old), variables_of(new)
    kept = [name for name in ours if name in theirs and _means_the_same(name, old, new)]
    kept = [name for name in kept if ours[name].shape == theirs[name].shape]
    for name in kept:
        ours[name].assign(theirs[name].value)
    if "moving_variance" in kept and "moving_stddev" not in kept:
        kept += _derived(new, ours)
    return Carried(
        tuple(kept),
        tuple(name for name in theirs if name not in kept),
        tuple(name for name in ours if name not in kept),
    )


def variables_of(norm: keras.Layer) -> dict[str, keras.Variable]:
    """Return a layer's variables by key; a norm's scale is `gamma`, whatever it is called."""
    return {_SAME.get(key, key): variable for key, (_, variable) in variable_owners(norm).items()}


def _means_the_same(name: str, old: keras.Layer, new: keras.Layer) -> bool:
    kinds = (kind_of(old), kind_of(new))
    both_variances = all(kind in _VARIANCE_KINDS for kind in kinds)
    return name in _AFFINE or kinds[0] == kinds[1] or (both_variances and "moving" in name)


def _derived(new: Any, ours: Mapping[str, keras.Variable]) -> list[str]:
    """Set the averages that only batch renormalization keeps; none for another norm."""
    if kind_of(new) != "batch_renorm":
        return []
    deviation = keras.ops.sqrt(new.moving_variance + new.epsilon)
    values = {
        "moving_stddev": deviation,
        "renorm_mean": new.moving_mean.value,
        "renorm_stddev": deviation,
    }
    for name, value in values.items():
        ours[name].assign(value)
    return list(values)


def match_outputs(
    model: keras.Model, swapped: keras.Model, norms: Sequence[Replacement], x: Any
) -> None:
    """Set the weights of new norms so that each channel keeps its mean and deviation.

    All inputs go through both networks once, at inference; a new norm gets the outputs of the new
    ones before it. New moving statistics become those of its inputs, and scale and shift are chosen
    to give each channel its mean and deviation in the old network. Only which numbers are
    normalized together still differs. A norm without scale or shift is matched in the other one;
    a norm that is called several times, at its first call.

    Args:
        model: The old network.
        swapped: The new one, of which only weights of norms change.
        norms: The swapped norms.
        x: Inputs as the models take them, all at once; some hundred examples are enough.
    """
    wanted: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    new_of = {id(norm.old): norm.new for norm in norms}
    fresh = {id(norm.new) for norm in norms if "moving_mean" in norm.weights.new}

    def note(old: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        wanted.setdefault(id(new_of[id(old)]), _moments(old, outputs))
        return outputs

    def match(new: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if id(new) in wanted:
            if id(new) in fresh:
                moments = moments_of(new, ops.cast(args[0], "float32"), kwargs.get("mask"))
                set_moments(new, Moments(*(ops.reshape(m, (-1,)) for m in moments)))
            _set_affine(new, _moments(new, call(*args, **kwargs)), wanted.pop(id(new)))
        return call(*args, **kwargs)

    with around_calls([norm.old for norm in norms], note):
        model(x, training=False)
    with around_calls([norm.new for norm in norms], match):
        swapped(x, training=False)


def _moments(norm: keras.Layer, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each channel, float64."""
    outputs = np.asarray(ops.cast(outputs, "float32"), np.float64)
    axis = axis_of(norm) % outputs.ndim
    others = tuple(place for place in range(outputs.ndim) if place != axis)
    return outputs.mean(others), outputs.std(others)


def _set_affine(
    new: keras.Layer, found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]
) -> None:
    variables = variables_of(new)
    (mean, deviation), (wanted_mean, wanted_deviation) = found, wanted
    ratio = np.ones_like(mean)
    if "gamma" in variables:
        ratio = np.where(
            deviation > _SMALLEST, wanted_deviation / np.maximum(deviation, _SMALLEST), 1
        )
        variables["gamma"].assign(variables["gamma"].numpy() * ratio)
    if "beta" in variables:
        shift = variables["beta"].numpy()
        variables["beta"].assign((shift - mean) * ratio + wanted_mean)
