"""A TensorFlow Lite file as data: read it, look inside, and write it with aligned buffers.

The objects are those of the format's schema (`ai_edge_litert.schema_py_generated`): a `ModelT`
holds graphs, and a graph tensors and operators. `Graph` answers questions about one. Throughout the
package `model` or `parsed` is such a `ModelT`, and `source` what to call the file in an error.
"""

from __future__ import annotations

import functools
import gzip
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import flatbuffers
import numpy as np
import zstandard
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export.runtime import open_interpreter
from tfticket.export.sparse.tensor import decode

UNPACKING = frozenset({"DEQUANTIZE", "DENSIFY"})
"""Operators that unpack constants when a file is loaded."""

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # `force_align` of `Buffer.data` in the format's schema
_ALIGNMENT_OF_INDICES = 4  # the same of `Uint16Vector.values`
_READABLE = ("FLOAT32", "FLOAT16", "INT8", "UINT8", "INT16", "INT32", "INT64", "INT4")
_BITS = re.compile(r"(?:B?FLOAT|COMPLEX|U?INT)(\d+)")
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
        """Measure the bytes of a file."""
        level = 19 if len(content) < _LARGE else 9
        return cls(
            raw=len(content),
            gzip=len(gzip.compress(content, compresslevel=9, mtime=0)),
            zstd=len(zstandard.ZstdCompressor(level=level).compress(content)),
        )


def parse(content: bytes, *, source: str) -> Any:
    """Read the bytes of a `.tflite` file of our own making into the schema's objects.

    Files of any origin are read by a child (`foreign`): a damaged file may end the process.

    Returns:
        A `ModelT`.

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
    _fill(model, "buffers", "operatorCodes")  # lists that may be left out when they're empty
    for graph in model.subgraphs:
        _fill(graph, "operators", "tensors", "inputs", "outputs")
        for operator in graph.operators:
            _fill(operator, "inputs", "outputs")
    return model


def _fill(holder: Any, *names: str) -> None:
    for name in names:
        if getattr(holder, name) is None:
            setattr(holder, name, [])


def pack(model: Any, *, shared: bool = False) -> bytes:
    """Write the schema's objects as the bytes of a file; equal objects give equal bytes.

    Raw data begins at multiples of 16 bytes, as the format asks and the generated code alone does
    not do: a microcontroller reads the weights in place.

    Args:
        model: A `ModelT`.
        shared: Write equal lists of numbers once, and point to them. Readers follow pointers, so
            nothing changes for them; files made before this was possible keep their bytes without.
    """
    builder = _SharingBuilder(1024) if shared else _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        alignment = {1: _ALIGNMENT, 2: _ALIGNMENT_OF_INDICES}.get(elemSize, alignment)
        return super().StartVector(elemSize, numElems, alignment)


class _SharingBuilder(_AlignedBuilder):
    def __init__(self, initialSize: int) -> None:  # noqa: N803
        super().__init__(initialSize)
        self._written: dict[tuple[str, bytes], Any] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> Any:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph of a file: operators by name, and what makes and reads each tensor.

    Attributes:
        model: The `ModelT` that it belongs to.
        graph: Its `SubGraphT`.
    """

    model: Any
    graph: Any

    @property
    def operators(self) -> list[Any]:
        """All operators, in the order in which they run."""
        return list(self.graph.operators)

    @property
    def given(self) -> list[Any]:
        """The tensors that it takes."""
        return self._tensors(self.graph.inputs)

    @property
    def ends(self) -> list[Any]:
        """The tensors that it takes and gives."""
        return self._tensors((*self.graph.inputs, *self.graph.outputs))

    def named(self) -> Iterator[tuple[str, Any]]:
        """Yield the name of each operator, and the operator."""
        for operator in self.graph.operators:
            yield self.name(operator), operator

    def name(self, operator: Any) -> str:
        """Return the name of an operator."""
        return operator_name(self.model, operator)

    def tensor(self, number: int) -> Any:
        """Return the tensor of a number."""
        return self.graph.tensors[int(number)]

    def shape(self, number: int) -> tuple[int, ...]:
        """Return the shape of the tensor of a number; () for a scalar."""
        return shape_of(self.tensor(number))

    def read(self, operator: Any) -> list[Any]:
        """Return the tensors that an operator reads, without those it leaves out (as a bias)."""
        return self._tensors(operator.inputs)

    def written(self, operator: Any) -> list[Any]:
        """Return the tensors that an operator writes."""
        return self._tensors(operator.outputs)

    def _tensors(self, numbers: Any) -> list[Any]:
        return [self.graph.tensors[number] for number in indices(numbers)]

    @functools.cached_property
    def makers(self) -> dict[int, Any]:
        """The operator that writes each tensor, by number."""
        return {number: o for o in self.graph.operators for number in indices(o.outputs)}

    @functools.cached_property
    def readers(self) -> dict[int, list[Any]]:
        """The operators that read each tensor, by number."""
        found: dict[int, list[Any]] = {}
        for operator in self.graph.operators:
            for number in dict.fromkeys(indices(operator.inputs)):
                found.setdefault(number, []).append(operator)
        return found

    @functools.cached_property
    def variables(self) -> dict[int, str]:
        """The name of the variable that each handle stands for, by number of the handle."""
        return {
            number: _text(operator.builtinOptions.sharedName)
            for name, operator in self.named()
            if name == "VAR_HANDLE"
            for number in indices(operator.outputs)
        }

    @functools.cached_property
    def ready(self) -> set[int]:
        """Tensors that are known when the file is loaded: constants, and what is made of them."""
        found = {
            n for n, tensor in enumerate(self.graph.tensors) if is_constant(self.model, tensor)
        }
        for operator in self.graph.operators:
            read = indices(operator.inputs)
            if read and found.issuperset(read):
                found.update(indices(operator.outputs))
        return found

    def unpacks(self, operator: Any) -> bool:
        """Tell whether an operator runs once, when the file is loaded."""
        return bool(indices(operator.inputs)) and self.ready.issuperset(indices(operator.inputs))

    def origin(self, number: int) -> tuple[int, str | None]:
        """Follow a tensor back to what it is unpacked from.

        Returns:
            The number of that tensor, its own for one that isn't unpacked; and by what it is:
            `DENSIFY` where that is among it, else `DEQUANTIZE` or None.
        """
        steps = set()
        while number in self.makers and (step := self.name(self.makers[number])) in UNPACKING:
            steps.add(step)
            number = indices(self.makers[number].inputs)[0]
        return number, min(steps, default=None)  # DENSIFY comes before DEQUANTIZE


def graphs(model: Any) -> list[Graph]:
    """Return all graphs of a file."""
    return [Graph(model, graph) for graph in model.subgraphs]


def tensors(model: Any) -> list[Any]:
    """Return the tensors of all graphs of a file."""
    return [tensor for graph in model.subgraphs for tensor in graph.tensors]


def operators(model: Any) -> dict[str, int]:
    """Count the operators of a file by name, in the order they are met.

    A custom operator (one that stock runtimes don't have) is called `custom:NAME`.
    """
    counts: dict[str, int] = {}
    for graph in graphs(model):
        for name, _ in graph.named():
            counts[name] = counts.get(name, 0) + 1
    return counts


def operator_name(model: Any, operator: Any) -> str:
    """Return what an operator is called; see `operators`."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Files older than operator 127 use the deprecated field; the larger of the two counts.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return f"custom:{_text(code.customCode)}"
    return _names(schema.BuiltinOperator).get(number, f"unknown:{number}")


def name_of(tensor: Any) -> str:
    """Return what the file calls a tensor."""
    return _text(tensor.name)


def _text(name: bytes | str | None) -> str:
    """A name that the file holds, or that was just given to it; those of others may be anything."""
    if not name:
        return "(unnamed)"
    text = name if isinstance(name, str) else name.decode(errors="replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def type_name(tensor: Any) -> str:
    """Return the type of a tensor's numbers: `FLOAT32`, `INT8` and so on."""
    return _names(schema.TensorType).get(tensor.type, f"unknown:{tensor.type}")


@functools.cache
def _names(enum: type) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if name.isupper()}


def indices(numbers: Any) -> list[int]:
    """Return the numbers of a list of tensors in the file, without the gaps (-1)."""
    return [] if numbers is None else [int(number) for number in numbers if number >= 0]


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return the shape of a tensor; () for a scalar. A side of unknown length counts as 1."""
    sides = () if tensor.shape is None else tensor.shape
    return tuple(max(int(side), 1) for side in sides)


def elements(tensor: Any) -> int:
    """Count the numbers of a tensor, stored or not."""
    return math.prod(shape_of(tensor))


def dense_bytes(tensor: Any) -> int:
    """Return the bytes of all its numbers in memory; 0 for types of no fixed size, as strings."""
    name = type_name(tensor)
    bits = _BITS.fullmatch(name)
    return math.ceil(elements(tensor) * (int(bits[1]) if bits else 8 * (name == "BOOL")) / 8)


def stored_bytes(model: Any, tensor: Any) -> int:
    """Return the bytes that the file spends on its numbers, and on their places if it's sparse."""
    data = model.buffers[tensor.buffer].data
    size = 0 if data is None else len(data)
    if tensor.sparsity is None:
        return size
    levels = tensor.sparsity.dimMetadata or []
    vectors = [part for level in levels for part in (level.arraySegments, level.arrayIndices)]
    return size + int(sum(vector.values.nbytes for vector in vectors if vector is not None))


def is_constant(model: Any, tensor: Any) -> bool:
    """Tell whether the file holds the tensor's values."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


@dataclass(frozen=True)
class State:
    """State that a file keeps between inferences.

    Attributes:
        name: Of the variable, or of the tensor.
        size_bytes: Bytes of its numbers.
    """

    name: str
    size_bytes: int


def initial_graphs(model: Any) -> set[int]:
    """Return the numbers of the graphs that run once, when a file is loaded (CALL_ONCE)."""
    return {
        operator.builtinOptions.initSubgraphIndex
        for graph in graphs(model)
        for name, operator in graph.named()
        if name == "CALL_ONCE"
    }


def states(model: Any) -> list[State]:
    """List what a file keeps from one inference to the next, in the order it is met.

    That are resources (VAR_HANDLE) that the graph which runs assigns to, and variable tensors, as
    SVDF and fused recurrent layers have them.
    """
    sizes: dict[str, int] = {}
    beginning = initial_graphs(model)  # what only these assign to stays as it is
    for place, graph in enumerate(graphs(model)):
        handles = graph.variables
        for name, operator in graph.named():
            if name == "ASSIGN_VARIABLE" and place not in beginning:
                handle, value = indices(operator.inputs)
                variable = handles.get(handle, name_of(graph.tensor(handle)))
                sizes[variable] = dense_bytes(graph.tensor(value))
    for tensor in tensors(model):
        if tensor.isVariable:
            sizes[name_of(tensor)] = dense_bytes(tensor)
    return [State(name, size) for name, size in sizes.items()]


def has_sparse_tensors(model: Any) -> bool:
    """Tell whether any tensor of the file is sparsely stored."""
    return any(tensor.sparsity is not None for tensor in tensors(model))


def dynamic_tensors(model: Any) -> list[Any]:
    """Return the tensors that have a side of unknown length."""
    return [
        tensor
        for tensor in tensors(model)
        if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature)
    ]


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
        """Mask of exact zeros, boolean, of the shape of `values`."""
        return np.asarray(self.values == self.along_axis(self.zero_point))

    def along_axis(self, numbers: np.ndarray) -> np.ndarray:
        """Shape one number a slice, or one for all, to go with `values`."""
        sides = [1] * self.values.ndim
        if numbers.size > 1:
            sides[self.axis] = numbers.size
        return numbers.reshape(sides if numbers.size > 1 else ())


def constants(model: Any) -> Iterator[Constant]:
    """Yield the tensors whose values are in the file, of types that numpy has or of 4 bits.

    The numbers that states begin with aren't among them.

    Sparsely stored ones are given whole, with their zeros. One without a name, as in a slim file,
    is called by the operator that reads it: `CONV_2D 3` is the fourth operator.

    Raises:
        ExportError: when a sparsely stored tensor contradicts itself.
    """
    readers = {
        id(tensor): f"{name} {place}"
        for graph in graphs(model)
        for place, (name, operator) in reversed(list(enumerate(graph.named())))
        for tensor in graph.read(operator)
    }
    beginning = initial_graphs(model)
    graphs_that_run = (g for place, g in enumerate(model.subgraphs) if place not in beginning)
    for tensor in (tensor for graph in graphs_that_run for tensor in graph.tensors):
        if is_constant(model, tensor) and has_values(tensor):
            found = constant_of(model, tensor)
            name = None if tensor.name else readers.get(id(tensor))
            yield replace(found, name=name) if name else found


def constant_of(model: Any, tensor: Any) -> Constant:
    """Read one tensor; see `constants`."""
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    known = points is not None and len(points) > 0
    return Constant(
        name=name_of(tensor),
        values=values(model, tensor),
        zero_point=np.asarray(points if known else 0),
        axis=tensor.quantization.quantizedDimension if known else 0,
    )


def has_values(tensor: Any) -> bool:
    """Tell whether `values` can read numbers of the tensor's type."""
    return type_name(tensor) in _READABLE


def values(model: Any, tensor: Any) -> np.ndarray:
    """Return the stored numbers of a constant tensor, in its shape; 4-bit ones as int8.

    Raises:
        ExportError: when it is sparsely stored and contradicts itself.
    """
    data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.uint8)
    shape = tuple(int(side) for side in tensor.shape) if tensor.shape is not None else ()
    if tensor.type == schema.TensorType.INT4:  # two in each byte, the lower half first
        nibbles = np.stack([data & 15, data >> 4], axis=1).ravel().astype(np.int8)
        numbers = np.where(nibbles < 8, nibbles, nibbles - 16)[: math.prod(shape)].astype(np.int8)
    else:
        numbers = data.view(type_name(tensor).lower())
    if tensor.sparsity is not None:
        return decode(numbers, tensor.sparsity, shape, name=name_of(tensor))
    return numbers.reshape(shape)
