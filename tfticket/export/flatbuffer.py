"""A TensorFlow Lite file as data: read it, look inside, and write it with aligned buffers."""

from __future__ import annotations

import functools
import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import zstandard
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export.runtime import open_interpreter
from tfticket.export.sparse.tensor import decode

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # `force_align` of `Buffer.data` in the format's schema
_ALIGNMENT_OF_INDICES = 4  # the same of `Uint16Vector.values`

_NUMPY_TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor whose values are in the file.

    Attributes:
        name: Its name in the file.
        values: The stored numbers: quantized ones are not scaled back.
        zero_point: The stored number that stands for 0; shape () or one a slice.
        axis: Which axis the zero points belong to.
    """

    name: str
    values: np.ndarray
    zero_point: np.ndarray
    axis: int

    @property
    def is_zero(self) -> np.ndarray:
        """Where the constant is exactly zero, boolean, shape as `values`."""
        zero_point = self.zero_point
        if zero_point.size > 1:
            sides = [1] * self.values.ndim
            sides[self.axis] = zero_point.size
            zero_point = zero_point.reshape(sides)
        return self.values == zero_point


def parse(content: bytes, *, source: str) -> Any:
    """Reads the bytes of a `.tflite` file of our own making into the schema's objects.

    Files of any origin are read by a child, see `foreign`: the runtime itself looks at them first,
    and a damaged file may end the process.

    Args:
        content: The whole file.
        source: What to call it in an error.

    Returns:
        A `ModelT` of `ai_edge_litert.schema_py_generated`.

    Raises:
        ExportError: when it isn't such a file, is damaged, or LiteRT can't load it.
    """
    if content[4:8] != _IDENTIFIER:
        raise ExportError(
            f"{source} must be a TensorFlow Lite file. Received: {len(content):,} bytes that don't "
            "carry its mark."
        )
    # The runtime checks every offset of the file; the generated Python code follows them blindly.
    open_interpreter(content, source=source)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.buffers, model.operatorCodes = model.buffers or [], model.operatorCodes or []
    for graph in model.subgraphs:
        graph.operators, graph.tensors = graph.operators or [], graph.tensors or []
        graph.inputs = [] if graph.inputs is None else graph.inputs
        graph.outputs = [] if graph.outputs is None else graph.outputs
        for operator in graph.operators:  # lists that may be left out when they're empty
            operator.inputs = [] if operator.inputs is None else operator.inputs
            operator.outputs = [] if operator.outputs is None else operator.outputs
    return model


def pack(model: Any) -> bytes:
    """Writes the schema's objects as the bytes of a file; equal objects give equal bytes.

    Raw data begins at multiples of 16 bytes, as the format asks and the generated code alone does
    not do: a microcontroller reads the weights in place.
    """
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        if elemSize == 1:
            alignment = _ALIGNMENT
        elif elemSize == 2:
            alignment = _ALIGNMENT_OF_INDICES
        return super().StartVector(elemSize, numElems, alignment)


def operators(model: Any) -> dict[str, int]:
    """How often each operator stands in the file, by name, in the order they are met.

    A custom operator (one that stock runtimes don't have) is called `custom:NAME`.
    """
    counts: dict[str, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = operator_name(model, operator)
            counts[name] = counts.get(name, 0) + 1
    return counts


def operator_name(model: Any, operator: Any) -> str:
    """What an operator is called; see `operators`."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Files older than operator 127 use the deprecated field; the larger of the two counts.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return f"custom:{_text(code.customCode)}"
    return _names(schema.BuiltinOperator).get(number, f"unknown:{number}")


def name_of(tensor: Any) -> str:
    """What the file calls a tensor."""
    return _text(tensor.name)


def _text(name: bytes | str | None) -> str:
    """A name that the file holds, or that was just given to it; those of others may be anything."""
    if not name:
        return "(unnamed)"
    text = name if isinstance(name, str) else name.decode(errors="replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def type_name(tensor: Any) -> str:
    """What the type of a tensor's numbers is called: `FLOAT32`, `INT8` and so on."""
    return _names(schema.TensorType).get(tensor.type, f"unknown:{tensor.type}")


@functools.cache
def _names(enum: type) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if name.isupper()}


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether the file holds the tensor's values."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def constants(model: Any) -> Iterator[Constant]:
    """The tensors whose values are in the file, of types that numpy has or of 4 bits.

    Sparsely stored ones are given whole, with their zeros.

    Raises:
        ExportError: when a sparsely stored tensor contradicts itself.
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if not is_constant(model, tensor) or not has_values(tensor):
                continue
            points = None if tensor.quantization is None else tensor.quantization.zeroPoint
            known = points is not None and len(points) > 0
            yield Constant(
                name=name_of(tensor),
                values=values(model, tensor),
                zero_point=np.asarray(points if known else 0),
                axis=tensor.quantization.quantizedDimension if known else 0,
            )


def has_values(tensor: Any) -> bool:
    """Whether `values` can read numbers of the tensor's type."""
    return tensor.type in _NUMPY_TYPES or tensor.type == schema.TensorType.INT4


def values(model: Any, tensor: Any) -> np.ndarray:
    """The stored numbers of a constant tensor, in its shape; 4-bit ones as int8.

    Raises:
        ExportError: when it is sparsely stored and contradicts itself.
    """
    data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.uint8)
    shape = tuple(int(side) for side in tensor.shape) if tensor.shape is not None else ()
    if tensor.type == schema.TensorType.INT4:
        numbers = _unpack_nibbles(data)[: math.prod(shape)]
    else:
        numbers = data.view(_NUMPY_TYPES[tensor.type])
    if tensor.sparsity is not None:
        return decode(numbers, tensor.sparsity, shape, name=name_of(tensor))
    return numbers.reshape(shape)


def _unpack_nibbles(data: np.ndarray) -> np.ndarray:
    """Two signed numbers of 4 bits from each byte, the lower half first."""
    nibbles = np.stack([data & 15, data >> 4], axis=1).ravel().astype(np.int8)
    return np.where(nibbles < 8, nibbles, nibbles - 16).astype(np.int8)


def has_sparse_tensors(model: Any) -> bool:
    """Whether any tensor of the file is sparsely stored."""
    return any(t.sparsity is not None for graph in model.subgraphs for t in graph.tensors)


def dynamic_tensors(model: Any) -> list[Any]:
    """The tensors that have a side of unknown length."""
    return [
        tensor
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature)
    ]


_BITS = {
    schema.TensorType.FLOAT64: 64,
    schema.TensorType.INT64: 64,
    schema.TensorType.UINT64: 64,
    schema.TensorType.COMPLEX64: 64,
    schema.TensorType.COMPLEX128: 128,
    schema.TensorType.FLOAT32: 32,
    schema.TensorType.INT32: 32,
    schema.TensorType.UINT32: 32,
    schema.TensorType.FLOAT16: 16,
    schema.TensorType.BFLOAT16: 16,
    schema.TensorType.INT16: 16,
    schema.TensorType.UINT16: 16,
    schema.TensorType.INT8: 8,
    schema.TensorType.UINT8: 8,
    schema.TensorType.BOOL: 8,
    schema.TensorType.INT4: 4,
    schema.TensorType.INT2: 2,
}


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Its sides; () for a scalar. A side of unknown length counts as 1."""
    sides = () if tensor.shape is None else tensor.shape
    return tuple(max(int(side), 1) for side in sides)


def elements(tensor: Any) -> int:
    """How many numbers it has, stored or not."""
    return math.prod(shape_of(tensor))


def dense_bytes(tensor: Any) -> int:
    """Bytes of all its numbers in memory; 0 for types of no fixed size, such as strings."""
    return math.ceil(elements(tensor) * _BITS.get(tensor.type, 0) / 8)


def stored_bytes(model: Any, tensor: Any) -> int:
    """Bytes that the file spends on its numbers, and on saying where they are if it's sparse."""
    data = model.buffers[tensor.buffer].data
    return (0 if data is None else len(data)) + index_bytes(tensor)


def index_bytes(tensor: Any) -> int:
    """Bytes that say where the numbers of a sparsely stored tensor belong; 0 for another."""
    if tensor.sparsity is None:
        return 0
    levels = tensor.sparsity.dimMetadata or []
    vectors = [part for level in levels for part in (level.arraySegments, level.arrayIndices)]
    return sum(vector.values.nbytes for vector in vectors if vector is not None)


def read_by(graph: Any, operator: Any) -> list[Any]:
    """The tensors that an operator reads, without those it leaves out (such as no bias)."""
    return [graph.tensors[index] for index in indices(operator.inputs)]


def written_by(graph: Any, operator: Any) -> list[Any]:
    """The tensors that an operator writes."""
    return [graph.tensors[index] for index in indices(operator.outputs)]


def indices(numbers: Any) -> list[int]:
    """The tensors of a list in the file, without the gaps (-1)."""
    return [] if numbers is None else [int(number) for number in numbers if number >= 0]


def activations(model: Any, graph: Any) -> dict[int, Any]:
    """The tensors of a graph that are computed, or given, when it runs, by their number."""
    return {
        number: tensor
        for number, tensor in enumerate(graph.tensors)
        if not is_constant(model, tensor)
    }


_LARGE = 2**28


@dataclass(frozen=True)
class Sizes:
    """Bytes of one file.

    Attributes:
        raw: As it is: what flash or memory must hold.
        gzip: After gzip at level 9, as a download has it.
        zstd: After Zstandard at level 19; at level 9 from 256 MiB on, where 19 takes minutes.
    """

    raw: int
    gzip: int
    zstd: int

    @classmethod
    def of(cls, content: bytes) -> Sizes:
        """Of the bytes of a file."""
        level = 19 if len(content) < _LARGE else 9
        return cls(
            raw=len(content),
            gzip=len(gzip.compress(content, compresslevel=9, mtime=0)),
            zstd=len(zstandard.ZstdCompressor(level=level).compress(content)),
        )
