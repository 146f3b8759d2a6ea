"""The cost of rounding, layer by layer: each alone, and each left in float.

A file of int8 rounds kernels (one scale an output channel), and what goes into each layer and comes
out of it (one scale and zero point for all, from the ranges of calibration data). All of that is
emulated on the Keras model as it is exported, in one compiled graph with a switch a layer, so that
nothing is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import ExportError
from tfticket.export.ends import one_each, output_names, structures
from tfticket.export.finetune import fake_quantize, output_axes
from tfticket.export.inspect.sensitivity import Measuring, Sensitivity
from tfticket.export.preparation import keeps_state, prepare
from tfticket.export.runtime import Arrays, Examples
from tfticket.export.verification import examples_for
from tfticket.internals import graph_of, run_graph, takes_training
from tfticket.sparsity.mask import Mask
from tfticket.state import kernels_of, named_layers

_BATCH = 128
_TINY = 1e-12


def sensitivity(
    model: keras.Model,
    x: Arrays,
    y: Any = None,
    *,
    calibration: Arrays | None = None,
    mask: Mask | None = None,
    bits: int = 8,
    margin: float = 0.001,
    reach: float | None = None,
) -> Sensitivity:
    """Measure what rounding to integers costs, each layer alone and each left in float.

    The model is prepared as `export` prepares it. What is rounded is emulated: kernels of all
    layers, and the inputs and outputs of layers that aren't inside nested models; files may differ
    where the converter joins layers otherwise.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed.
        x: Held-out examples as the model takes them, shape (n, ...); 1,000 are enough.
        y: Their labels (see `to_tflite`), or None to compare with the answers in float.
        calibration: Training examples for the ranges; `x` if None.
        mask: The ticket's mask, for a plain model.
        bits: Of weights and activations, 2 to 16.
        margin: Score that zeros may cost to count as free.
        reach: Also look for the layers to leave in float until the others, rounded, have this
            score; see `Sensitivity.keep`.

    Raises:
        ExportError: when the model has no kernels or keeps a state, or the data doesn't fit.
        ModelError: for a subclassed model.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
        >>> hidden, out = keras.layers.Dense(8, name="hidden"), keras.layers.Dense(3, name="out")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out])
        >>> found = sensitivity(model, x)
        >>> [each.layer for each in found.layers], found.score
        (['hidden', 'out'], 1.0)
    """
    if not 2 <= bits <= 16:
        raise ExportError(f"`bits` must be 2 to 16. Received: {bits}")
    plain = prepare(model, mask).model
    if keeps_state(plain):
        raise ExportError(
            f"{model.name!r} keeps a state between calls, and layers are compared on examples that "
            "don't depend on one another. Make its state an input and an output."
        )
    examples = examples_for(plain, x, "x")
    ranges = examples if calibration is None else examples_for(plain, calibration, "calibration")
    emulated = _Emulated(plain, bits)
    emulated.calibrate(ranges)
    names = output_names(plain)
    labels = (None,) * len(names) if y is None else one_each(y, names, "y")
    return Measuring(emulated, examples, labels, margin).measured(reach)


class _Emulated:
    """A model in which each layer can be rounded, and its smallest weights left out."""

    def __init__(self, model: keras.Model, bits: int) -> None:
        self.model, self.bits = model, bits
        self._variables: dict[str, list[tuple[keras.Variable, tuple[int, ...]]]] = {}
        self._operations: dict[int, int] = {}
        for key, layer in named_layers(model).items():
            kernels = list(kernels_of(layer).values())
            taken = any(kernel is v for kernel in kernels for v, _ in self._all())
            if kernels and not taken and not isinstance(layer, keras.Model):
                self._operations[id(layer)] = len(self._variables)
                self._variables[key] = [(kernel, output_axes(layer, kernel)) for kernel in kernels]
        if not self._variables:
            raise ExportError(f"{model.name!r} has no kernels that could be rounded.")
        self._ranges: dict[int, list[float]] = {}
        self._answer = tf.function(self._run)

    @property
    def layers(self) -> dict[str, list[tuple[np.ndarray, tuple[int, ...]]]]:
        """The kernels of each layer, with the axes that have a scale for each index."""
        return {
            key: [(variable.numpy(), axes) for variable, axes in kernels]
            for key, kernels in self._variables.items()
        }

    def _all(self) -> list[tuple[keras.Variable, tuple[int, ...]]]:
        return [each for kernels in self._variables.values() for each in kernels]

    def calibrate(self, x: Examples) -> None:
        """Take the ranges of what goes into the layers of the graph, and comes out."""

        def seen(key: int, tensor: Any) -> Any:
            low, high = self._ranges.setdefault(key, [0.0, 0.0])
            smallest, largest = float(tf.reduce_min(tensor)), float(tf.reduce_max(tensor))
            self._ranges[key] = [min(low, smallest), max(high, largest)]
            return tensor

        for batch in x.batches(_BATCH):
            self._through(batch, lambda place, end, tensor: seen(2 * place + end, tensor))

    def outputs(
        self, x: Examples, rounded: Sequence[bool], least: Sequence[float] | None = None
    ) -> list[np.ndarray]:
        """Return the answers with some layers rounded, and weights below `least` left out."""
        switches = tf.constant(list(rounded))
        limits = tf.constant(least or [0.0] * len(self._variables), tf.float32)
        found = [self._answer(batch, switches, limits) for batch in x.batches(_BATCH)]
        return [np.concatenate(each) for each in zip(*found, strict=True)]

    def _run(self, batch: Any, switches: Any, limits: Any) -> Any:
        values = []
        for place, kernels in enumerate(self._variables.values()):
            for variable, axes in kernels:
                kernel = tf.cast(variable.value, tf.float32)
                kept = tf.where(tf.abs(kernel) >= limits[place], kernel, 0.0)
                rounded = fake_quantize(kept, bits=self.bits, axes=axes)
                values.append((variable, tf.where(switches[place], rounded, kept)))

        def round_end(place: int, end: int, tensor: Any) -> Any:
            low, high = self._ranges[2 * place + end]
            rounded = tf.quantization.fake_quant_with_min_max_vars(
                tensor, low, max(high, low + _TINY), num_bits=self.bits
            )
            return tf.where(switches[place], rounded, tensor)

        with keras.StatelessScope(state_mapping=values):
            return self._through(batch, round_end)

    def _through(self, batch: Any, change: Callable[[int, int, Any], Any]) -> Any:
        """Run the graph; `change` gets the place of a layer, 0 or 1 for in or out, and a tensor."""

        def function_of(operation: Any) -> Callable[..., Any]:
            place = self._operations.get(id(operation))

            def call(*args: Any, **kwargs: Any) -> Any:
                if takes_training(operation):
                    kwargs["training"] = False
                if place is None or not tf.is_tensor(args[0]) or not args[0].dtype.is_floating:
                    return operation(*args, **kwargs)
                found = operation(change(place, 0, args[0]), *args[1:], **kwargs)
                return change(place, 1, found) if tf.is_tensor(found) else found

            return call

        structure, _ = structures(self.model)
        given = keras.tree.pack_sequence_as(structure, list(map(tf.convert_to_tensor, batch)))
        return keras.tree.flatten(run_graph(graph_of(self.model), given, function_of))
