"""What one normalization takes over from another: settings and weights that mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from tfticket.norms.catalog import options_of
from tfticket.norms.kinds import axis_of, kind_of
from tfticket.state import variable_owners

_SHARED_SETTINGS = (
    "center", "scale", "beta_initializer", "gamma_initializer", "beta_regularizer",
    "gamma_regularizer", "beta_constraint", "gamma_constraint", "momentum", "epsilon",
)  # fmt: skip
_AFFINE = ("gamma", "beta")
_SAME = {"scale": "gamma"}  # what Keras' RMSNormalization calls it
_VARIANCE_KINDS = ("batch", "batch_renorm", "frozen_batch", "sync_batch", "noisy_batch")


class Carried(NamedTuple):
    """Names of a norm's variables.

    Attributes:
        kept: Taken over.
        dropped: Of the old norm, without a place in the new one.
        new: Of the new norm, with their initial values.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    new: tuple[str, ...]


def carried_options(old: keras.Layer, kind: str) -> dict[str, Any]:
    """The options for a new norm of a kind that make it like an old one in all that they share.

    That is the axis, whether there are a scale and a shift, their initializers, regularizers and
    constraints, epsilon, momentum, the type policy, and whether it is trained. The epsilon of
    filter response normalization is another quantity, so it is neither given nor taken.
    """
    config = old.get_config()
    known = options_of(kind)
    taken = {name: config[name] for name in _SHARED_SETTINGS if name in config and name in known}
    if "filter_response" in (kind, kind_of(old)):
        taken.pop("epsilon", None)
    return {**taken, "axis": axis_of(old), "dtype": old.dtype_policy, "trainable": old.trainable}


def carry_weights(old: keras.Layer, new: keras.Layer) -> Carried:
    """Gives a built norm the weights of another that mean the same in both.

    Scale and shift always do. Moving statistics do among the kinds that normalize by a variance,
    and between norms of one kind; the further averages of batch renormalization are derived then.
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
    """A norm's variables by name; the scale is `gamma`, whatever the layer calls it."""
    return {_SAME.get(key, key): variable for key, (_, variable) in variable_owners(norm).items()}


def _means_the_same(name: str, old: keras.Layer, new: keras.Layer) -> bool:
    kinds = (kind_of(old), kind_of(new))
    both_variances = all(kind in _VARIANCE_KINDS for kind in kinds)
    return name in _AFFINE or kinds[0] == kinds[1] or (both_variances and "moving" in name)


def _derived(new: Any, ours: Mapping[str, keras.Variable]) -> list[str]:
    """Sets the averages that only batch renormalization keeps; none for another norm."""
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
