"""Scale and shift of new norms from data, so that a network goes on much as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfticket.norms.kinds import axis_of
from tfticket.norms.transfer import Carried, variables_of
from tfticket.statistics.moments import Moments, moments_of
from tfticket.statistics.population import set_moments

_SMALLEST = 1e-6
"""A channel whose deviation is below has none to be scaled."""


class Replacement(NamedTuple):
    """An old norm, the new one in its place, and what became of the weights."""

    old: keras.Layer
    new: keras.Layer
    weights: Carried


def match_outputs(
    model: keras.Model, swapped: keras.Model, norms: Sequence[Replacement], x: Any
) -> None:
    """Sets new norms so that each channel keeps the mean and deviation of its outputs.

    Once, all inputs go through both networks at inference; each new norm sees what the new ones
    before it make of them. New moving statistics become those of its inputs, then scale and shift
    those that give each channel the mean and deviation that it has in the old network. What is lost
    is only what differs between the kinds: which numbers are normalized together. A norm without
    scale or shift is matched in the other; one that is called several times, at its first call.

    Args:
        model: The old network.
        swapped: The new one; the norms' weights change, nothing else.
        norms: What was swapped for what.
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

    with _calling([norm.old for norm in norms], note):
        model(x, training=False)
    with _calling([norm.new for norm in norms], match):
        swapped(x, training=False)


@contextlib.contextmanager
def _calling(layers: Sequence[keras.Layer], around: Callable[..., Any]) -> Iterator[None]:
    """For a while a call of a layer is `around(layer, its own method, *arguments)`."""
    try:
        for layer in layers:
            layer.call = _around(layer, layer.call, around)
        yield
    finally:
        for layer in layers:
            del layer.call


def _around(layer: keras.Layer, call: Callable[..., Any], around: Callable[..., Any]) -> Any:
    return lambda *args, **kwargs: around(layer, call, *args, **kwargs)


def _moments(norm: keras.Layer, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, float64."""
    outputs = np.asarray(ops.cast(outputs, "float32"), np.float64)
    axis = axis_of(norm) % outputs.ndim
    others = tuple(place for place in range(outputs.ndim) if place != axis)
    return outputs.mean(others), outputs.std(others)


def _set_affine(
    new: keras.Layer,
    found: tuple[np.ndarray, np.ndarray],
    wanted: tuple[np.ndarray, np.ndarray],
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
