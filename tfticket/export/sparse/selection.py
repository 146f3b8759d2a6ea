"""The best way to store the weights of each dense layer: found by measuring, not by a rule.

Where sparse weights begin to pay depends on the processor, on how many zeros there are and on how
they lie. So each layer is timed alone in each way, and the file that follows is timed as a whole.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, latency
from tfticket.export.latency import Latency
from tfticket.export.runtime import Examples
from tfticket.export.sparse.encoding import DenseLayer, Encoding, dense_layers, encode_dense_layers

Objective = Literal["fastest", "smallest"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

_Name = TypeVar("_Name", bound=str)
_Rule = Callable[[Mapping[Encoding, float], Mapping[Encoding, int]], Encoding]

# Times that are nearer than this are taken for equal. On a busy machine (load 10 on 2 cores) a
# dense file held against itself was off by 6 % in the median of 40 runs and by 13 % in every tenth,
# one with csr by 4 % and 9 %. How it is on a quiet machine wasn't measured.
_TIE = 1.10


@dataclass(frozen=True, eq=False)
class LayerChoice(DenseLayer):
    """A layer, how its weights are stored, and what the other ways would have given.

    Attributes:
        encoding: The way chosen.
        microseconds: Time of the layer alone in each way that was tried, on the host only.
    """

    encoding: Encoding
    microseconds: Mapping[Encoding, float]


@dataclass(frozen=True)
class SparseDense:
    """A file whose dense layers are stored as was found best.

    Attributes:
        content: The new file; the old one where nothing sparse was better.
        layers: The choice for each layer.
        left: Name of other weights of dense layers to why they are as they were.
        latency: Time of the new file against the old one, measured in turns.
    """

    content: bytes
    layers: tuple[LayerChoice, ...]
    left: Mapping[str, str]
    latency: Latency

    @property
    def choices(self) -> dict[str, Encoding]:
        """The encodings with which `encode_dense_layers` gives the same bytes, unmeasured."""
        return {layer.tensor: layer.encoding for layer in self.layers}


def sparsify_dense_layers(
    content: bytes, *, example: np.ndarray | Examples, objective: Objective = "fastest", source: str
) -> SparseDense:
    """Store the weights of each dense layer in the way that is best on this machine.

    Args:
        content: A `.tflite` file with float32 weights.
        example: What to time it on; see `latency.measure`.
        objective: `fastest`: least time, and of ways within 10 % of it the fewest bytes;
            `smallest`: fewest bytes, and of those the least time.
        source: What to call the file in an error.

    Returns:
        The file and all that was measured. Another run may choose otherwise where times are near;
        `choices` repeats this one.

    Raises:
        ExportError: when the file has dense layers that aren't float32, or doesn't run.
    """
    if objective not in OBJECTIVES:
        raise ExportError(f"`objective` must be one of {OBJECTIVES}. Received: {objective!r}")
    model = flatbuffer.parse(content, source=source)
    layers, left = dense_layers(model, source=source)
    times = [_times_alone(model, layer) for layer in layers]
    files: dict[str, bytes] = {}
    encodings: dict[str, list[Encoding]] = {}
    for rule in _CANDIDATES[objective]:
        ways = [rule(time, layer.stored_bytes) for time, layer in zip(times, layers, strict=True)]
        choices = {layer.tensor: way for layer, way in zip(layers, ways, strict=True)}
        made = encode_dense_layers(content, choices, source=source)
        if made not in files.values():
            name = f"file with {', '.join(ways) or 'no dense layers'}"
            files[name], encodings[name] = made, ways
    dense = next(name for name, made in files.items() if made == content)
    found = latency.measure(files, example, baseline=dense)
    best = best_way(
        objective,
        {name: _microseconds(seen) for name, seen in found.items()},
        {name: len(made) for name, made in files.items()},
    )
    chosen = tuple(
        LayerChoice(**vars(layer), encoding=way, microseconds=time)
        for layer, way, time in zip(layers, encodings[best], times, strict=True)
    )
    return SparseDense(files[best], chosen, left, found[best])


def best_way(
    objective: Objective, times: Mapping[_Name, float], sizes: Mapping[_Name, int]
) -> _Name:
    """Return the one of several ways that an objective prefers.

    Args:
        objective: As for `sparsify_dense_layers`.
        times: Name to time.
        sizes: Name to bytes, for the same names.
    """
    return _fastest(times, sizes) if objective == "fastest" else _smallest(times, sizes)


def _times_alone(model: Any, layer: DenseLayer) -> dict[Encoding, float]:
    """Time a layer in each way it can be stored, in a file of its own: microseconds."""
    content, example = _alone(model, layer)
    files: dict[str, bytes] = {
        way: encode_dense_layers(content, {layer.tensor: way}, source=f"`{layer.tensor}` alone")
        for way in layer.stored_bytes
    }
    found = latency.measure(files, example, baseline="dense")
    return {way: _microseconds(found[way]) for way in layer.stored_bytes}


def _microseconds(seen: Latency) -> float:
    """Time of one inference by the ratio to the baseline, which wanders less than the time."""
    return seen.baseline_microseconds / seen.speedup


def _alone(model: Any, layer: DenseLayer) -> tuple[bytes, np.ndarray]:
    """Make a file of one layer, as the network calls it, and an input for it."""
    graph, operator = next(
        (graph, operator)
        for graph in flatbuffer.graphs(model)
        for name, operator in graph.named()
        if name == "FULLY_CONNECTED"
        and flatbuffer.name_of(graph.tensor(operator.inputs[1])) == layer.tensor
    )
    units, inputs = layer.shape
    rows = math.prod(graph.tensor(operator.inputs[0]).shape) // inputs
    bias = [i for i in operator.inputs[2:] if flatbuffer.is_constant(model, graph.tensor(i))]
    tensors = [_tensor("input", (1, rows, inputs)), _tensor("output", (rows, units))]
    buffers = [schema.BufferT()]
    for index in (operator.inputs[1], *bias):
        tensors.append(copy.copy(graph.tensor(index)))
        buffers.append(model.buffers[tensors[-1].buffer])
        tensors[-1].buffer = len(buffers) - 1
    alone, single, only = schema.ModelT(), schema.SubGraphT(), copy.copy(operator)
    only.opcodeIndex, only.outputs = 0, np.array([1], np.int32)
    only.inputs = np.array([0, *range(2, len(tensors))], np.int32)
    only.builtinOptions = copy.copy(operator.builtinOptions)
    only.builtinOptions.keepNumDims = False
    single.tensors, single.operators = tensors, [only]
    single.inputs, single.outputs = np.array([0], np.int32), np.array([1], np.int32)
    alone.version, alone.subgraphs, alone.buffers = model.version, [single], buffers
    alone.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    example = np.random.default_rng(0).standard_normal((rows, inputs)).astype(np.float32)
    return flatbuffer.pack(alone), example


def _tensor(name: str, shape: tuple[int, ...]) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name.encode(), np.array(shape, np.int32)
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, 0
    return tensor


def _quickest(times: Mapping[_Name, float], sizes: Mapping[_Name, int]) -> _Name:
    return min(times, key=lambda name: (times[name], sizes[name]))


def _fastest(times: Mapping[_Name, float], sizes: Mapping[_Name, int]) -> _Name:
    limit = min(times.values()) * _TIE
    return _smallest({name: time for name, time in times.items() if time <= limit}, sizes)


def _smallest(times: Mapping[_Name, float], sizes: Mapping[_Name, int]) -> _Name:
    return min(times, key=lambda name: (sizes[name], times[name]))


def _always(encoding: Encoding) -> _Rule:
    return lambda times, _: encoding if encoding in times else "dense"


# Layers are timed alone, where a delegate isn't interrupted between them as it is in the network.
# So their best ways together need not be the best file, and are held against simple ones.
_CANDIDATES: dict[Objective, tuple[_Rule, ...]] = {
    "fastest": (_always("dense"), _fastest, _quickest, _always("csr"), _always("block_1x4")),
    "smallest": (_always("dense"), _smallest),
}
