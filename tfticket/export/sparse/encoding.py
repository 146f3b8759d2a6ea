"""Weights of dense layers, stored sparsely in a file and computed so by every stock runtime.

The fully connected operator of TensorFlow Lite has had kernels for sparse float32 weights since
runtime 2.3: version 8 of the operator, for weights that keep their nonzero entries row by row
(`csr`) or blocks of four neighbors (`block_1x4`). Delegates leave that version to it. Nothing is
unpacked when the file is loaded.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import Graph
from tfticket.export.sparse.tensor import encode, encoded_bytes

Encoding = Literal["dense", "csr", "block_1x4"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

SPARSE_VERSION = 8
"""The version of FULLY_CONNECTED that reads sparse weights, and the last that delegates decline."""

_BLOCK: dict[Encoding, int] = {"csr": 1, "block_1x4": 4}
_SPARSE_RUNTIME = b"2.3.0"


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """Constant float32 weights, read by fully connected operators alone, with zeros among them.

    Attributes:
        tensor: Their name in the file.
        weights: Shape (units, inputs).
        stored_bytes: Each way they can be stored, and how many bytes that takes; `dense` first,
            and the sparse ways only where they take fewer.
    """

    tensor: str
    weights: np.ndarray
    stored_bytes: Mapping[Encoding, int]

    @classmethod
    def of(cls, name: str, weights: np.ndarray) -> DenseLayer:
        """Try each way to store the weights."""
        sizes: dict[Encoding, int] = {"dense": weights.nbytes}
        for encoding, block in _BLOCK.items():
            if weights.shape[1] % block == 0:
                size = encoded_bytes(*encode(weights, block=block))
                if size < weights.nbytes:
                    sizes[encoding] = size
        return cls(name, weights, sizes)

    @property
    def shape(self) -> tuple[int, int]:
        """Units and inputs."""
        units, inputs = self.weights.shape
        return units, inputs

    @property
    def zeros(self) -> int:
        """Number of weights that are zero."""
        return int(self.weights.size - np.count_nonzero(self.weights))


def dense_layers(model: Any, *, source: str) -> tuple[tuple[DenseLayer, ...], dict[str, str]]:
    """Find the weights that can be stored sparsely.

    Returns:
        The layers in the file's order; and by name each other weight tensor of a fully connected
        operator, with why it must stay as it is.

    Raises:
        ExportError: when such weights aren't stored as float32: the sparse kernels for others can't
            be relied on.
    """
    found = list(_weights(model))
    wrong = [
        f"`{weight.name}` ({flatbuffer.type_name(weight.stored)})"
        for weight in found
        if weight.stored is not None and weight.stored.type != schema.TensorType.FLOAT32
    ]
    if wrong:
        raise ExportError(
            f"Only float32 weights of dense layers can be stored sparsely. Received: {source} with "
            f"{', '.join(wrong)}. Convert to fp32; or keep the quantized file dense, where gzip "
            "finds the zeros."
        )
    names = Counter(weight.name for weight in found)
    layers, left = [], {}
    for weight in found:
        why = weight.why_left() if names[weight.name] == 1 else "shares its name with another"
        if why is None:
            layers.append(DenseLayer.of(weight.name, flatbuffer.values(model, weight.tensor)))
        else:
            left[weight.name] = why
    return tuple(layers), left


def encode_dense_layers(content: bytes, choices: Mapping[str, Encoding], *, source: str) -> bytes:
    """Store weights of dense layers as asked; the same choices give the same bytes.

    Args:
        content: A `.tflite` file with float32 weights.
        choices: Name of a weight tensor to its encoding; those that aren't named stay dense.
        source: What to call the file in an error.

    Returns:
        The new file. It answers as the old one does, but for the order in which products are added.

    Raises:
        ExportError: when a tensor isn't there, or can't be stored as asked.
    """
    model = flatbuffer.parse(content, source=source)
    layers, left = dense_layers(model, source=source)
    known = {layer.tensor: layer for layer in layers}
    for name, encoding in choices.items():
        _check_choice(name, encoding, known.get(name), left, source)
    sparse = {name: _BLOCK[way] for name, way in choices.items() if way != "dense"}
    if not sparse:
        return content
    for weight in _weights(model):
        if weight.name in sparse:
            _store(model, weight.tensor, block=sparse[weight.name])
            for operator in weight.readers:
                _mark(model, operator)
    _raise_runtime_version(model)
    return flatbuffer.pack(model)


@dataclass(frozen=True, eq=False)
class _Weight:
    """The weights of a fully connected operator, and what else reads them.

    `stored` is the constant that they come from: themselves, what is unpacked to them when the file
    is loaded, or None where they are computed.
    """

    graph: Graph
    index: int
    stored: Any

    @property
    def tensor(self) -> Any:
        return self.graph.tensor(self.index)

    @property
    def name(self) -> str:
        return flatbuffer.name_of(self.tensor)

    @property
    def readers(self) -> list[Any]:
        return self.graph.readers[self.index]

    def why_left(self) -> str | None:
        """Why the weights can't be stored sparsely, or None."""
        readers, model = self.readers, self.graph.model
        others = {self.graph.name(operator) for operator in readers} - {"FULLY_CONNECTED"}
        if self.stored is None:
            return "is computed, not constant"
        if self.stored is not self.tensor or self.tensor.sparsity is not None:
            return "is stored sparsely already"
        if others or any(list(o.inputs).count(self.index) > 1 for o in readers):
            return f"is read by {', '.join(sorted(others)) or 'an operator twice'}"
        if self.index in list(self.graph.graph.outputs):
            return "is an output of the file"
        if any(o.builtinOptions is not None and o.builtinOptions.weightsFormat for o in readers):
            return "is shuffled for another kernel"
        if any(model.operatorCodes[o.opcodeIndex].version > SPARSE_VERSION for o in readers):
            return "is read by an operator that is newer than the sparse kernels"
        return None if (flatbuffer.values(model, self.tensor) == 0).any() else "has no zeros"


def _weights(model: Any) -> Iterator[_Weight]:
    for graph in flatbuffer.graphs(model):
        reading = [int(o.inputs[1]) for name, o in graph.named() if name == "FULLY_CONNECTED"]
        for index in dict.fromkeys(reading):
            origin, _ = graph.origin(index)
            stored = graph.tensor(origin)
            constant = origin not in graph.makers and flatbuffer.is_constant(model, stored)
            yield _Weight(graph, index, stored if constant else None)


def _check_choice(
    name: str, encoding: str, layer: DenseLayer | None, left: Mapping[str, str], source: str
) -> None:
    if encoding not in ENCODINGS:
        raise ExportError(f"An encoding must be one of {ENCODINGS}. Received: {encoding!r}")
    if encoding == "dense" and name in left:
        return
    if layer is None:
        why = f"it {left[name]}" if name in left else f"{source} has no such weights"
        raise ExportError(
            "Only constant weights of dense layers, with zeros among them, can be stored sparsely. "
            f"Received: `{name}`: {why}."
        )
    if encoding == "block_1x4" and layer.weights.shape[1] % _BLOCK["block_1x4"]:
        raise ExportError(
            "Blocks of 4 inputs need a multiple of 4 inputs. Received: "
            f"`{name}` with {layer.weights.shape[1]}. Choose csr."
        )


def _store(model: Any, tensor: Any, *, block: int) -> None:
    sparsity, values = encode(flatbuffer.values(model, tensor), block=block)
    owners = [other for other in flatbuffer.tensors(model) if other.buffer == tensor.buffer]
    if len(owners) > 1:  # equal tensors are written once
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data, tensor.sparsity = values.view(np.uint8), sparsity


def _mark(model: Any, operator: Any) -> None:
    """Give an operator the version that has sparse kernels."""
    old = model.operatorCodes[operator.opcodeIndex]
    if old.version == SPARSE_VERSION:
        return
    new = copy.copy(old)
    new.version = SPARSE_VERSION
    same = [i for i, code in enumerate(model.operatorCodes) if vars(code) == vars(new)]
    if not same:
        model.operatorCodes.append(new)
    operator.opcodeIndex = same[0] if same else len(model.operatorCodes) - 1


def _raise_runtime_version(model: Any) -> None:
    """The file's metadata say from which runtime on it can be used; a later one stays."""
    for entry in model.metadata or []:
        if entry.name in (b"min_runtime_version", "min_runtime_version"):
            buffer = model.buffers[entry.buffer]
            if _version(bytes(buffer.data).rstrip(b"\0")) < _version(_SPARSE_RUNTIME):
                padded = _SPARSE_RUNTIME.ljust(len(buffer.data), b"\0")
                buffer.data = np.frombuffer(padded, np.uint8)


def _version(text: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(b".") if part.isdigit())
