"""The cost of rounding a float file, layer by layer: its weights, since its ranges aren't known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.export.flatbuffer import type_name
from tfticket.export.inspect.data import Given, arrays_of, given_to, labelled, named
from tfticket.export.inspect.layers import WEIGHTED, View
from tfticket.export.inspect.sensitivity import (
    LayerSensitivity,
    Measuring,
    Sensitivity,
    round_weights,
)
from tfticket.export.metadata import beside, provenance_of
from tfticket.export.runtime import Examples, Loaded

_MOST = 200  # examples
_SECONDS = 300.0


def rounding_of_file(
    path: str | os.PathLike[str],
    raw: Given,
    y: np.ndarray | None = None,
    *,
    bits: int = 8,
    reach: float | None = None,
) -> Sensitivity:
    """Measure what rounding the weights of a file costs, each layer alone and all but it.

    Activations stay in float: their ranges aren't known. Layers with weights that aren't float32,
    or that are stored sparsely or unpacked, are left as they are.

    Args:
        path: A file of any origin.
        raw: Examples, the first 200 of which are run; see `check_file`.
        y: Their labels; None to compare with the answers as they are. See `check_file`.
        bits: Of the weights.
        reach: See `sensitivity`.

    Raises:
        ExportError: when the file can't be run, has no such layers, or the data doesn't fit.

    Example:
        >>> import keras
        >>> from tfticket.export import to_tflite
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> report = to_tflite(model, "net.tflite")
        >>> rounding_of_file("net.tflite", np.eye(4)).score
        1.0
    """
    content = foreign.read_file(path)
    arrays = {name: array[:_MOST] for name, array in arrays_of(raw, y).items()}
    options = {"bits": bits, "reach": reach, "provenance": beside(path, content)}
    request = foreign.Request([(f"`{path}`", content)], options, arrays)
    told = foreign.ask(round_in_child, request, timeout=_SECONDS).value
    layers = tuple(LayerSensitivity(**each) for each in told.pop("layers"))
    keep = None if told["keep"] is None else tuple(told["keep"])
    return Sensitivity(**{**told, "layers": layers, "keep": keep})


def round_in_child(request: foreign.Request) -> foreign.Answer:
    """Round the layers of a file one by one in a child."""
    content, source, options = request.content, request.source, request.options
    parsed = flatbuffer.parse(content, source=source)
    about = provenance_of(parsed, source) or options["provenance"]
    loaded = Loaded(content, source=source)
    takes, gives = ({spec.name for spec in ends} for ends in (loaded.inputs, loaded.outputs))
    given, labels = (named(request.arrays, what) for what in ("raw.", "y."))
    labels |= {name: given.pop(name) for name in list(given) if name in gives - takes}
    feeds = list(given_to(loaded.inputs, given, about, source))
    x = Examples(tuple(map(np.concatenate, zip(*feeds, strict=True))))
    rounding = _RoundedFile(parsed, source, options["bits"])
    outputs = loaded.run_all(x.first(1))
    right = {name: y for name, _, y in labelled(loaded.outputs, outputs, labels, source)}
    known = [right.get(spec.name) for spec in loaded.outputs]
    found = Measuring(rounding, x, known, 0.001).measured(options["reach"])
    return foreign.Answer(found.to_dict())


class _RoundedFile:
    """A file whose layers can be rounded."""

    def __init__(self, parsed: Any, source: str, bits: int) -> None:
        self._parsed, self._source, self.bits = parsed, source, bits
        self._tensors: dict[str, Any] = {}
        self.layers: dict[str, list[tuple[np.ndarray, tuple[int, ...]]]] = {}
        for layer in View.of(parsed).layers:
            dense = layer.tensor.sparsity is None and layer.unpacked_by is None
            if dense and type_name(layer.tensor) == "FLOAT32" and layer.name not in self.layers:
                kernel = flatbuffer.values(parsed, layer.tensor)
                self.layers[layer.name] = [(kernel, (WEIGHTED[layer.operator][2],))]
                self._tensors[layer.name] = layer.tensor
        if not self.layers:
            raise ExportError(
                f"{source} must have layers with float32 weights to round. It has none: its layers "
                "are rounded already, or stored otherwise. Give the Keras model, or an fp32 file."
            )

    def outputs(
        self, x: Examples, rounded: Sequence[bool], least: Sequence[float] | None = None
    ) -> list[np.ndarray]:
        """Return the answers with some layers rounded, and weights below `least` left out."""
        limits = least or [0.0] * len(self.layers)
        for (name, [(kernel, axes)]), rounds, limit in zip(
            self.layers.items(), rounded, limits, strict=True
        ):
            kept = np.where(np.abs(kernel) >= limit, kernel, np.float32(0))
            made = round_weights(kept, axes, bits=self.bits) if rounds else kept
            buffer = self._parsed.buffers[self._tensors[name].buffer]
            buffer.data = np.frombuffer(made.tobytes(), np.uint8)
        return Loaded(flatbuffer.pack(self._parsed), source=self._source).run_all(x)
