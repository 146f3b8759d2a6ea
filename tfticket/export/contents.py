"""Check the contents of a file: known hazards, the types that were asked for, every zero."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import Constant, name_of, type_name
from tfticket.export.sparse.convolutions import lint_sparse_conv
from tfticket.export.sparse.encoding import SPARSE_VERSION

_DENSE, _COMPRESSED = schema.DimensionType.DENSE, schema.DimensionType.SPARSE_CSR
_STORED: Mapping[str, str] = {
    "fp16": "FLOAT16",
    "dynamic": "INT8",
    "int8": "INT8",
    "int16x8": "INT8",
    "int4": "INT4",
}
Ends = Literal["int8", "int16", "uint8", "float32"]
INTEGERS: Mapping[str, tuple[Ends, ...]] = {
    "int8": ("int8", "uint8", "float32"),
    "int16x8": ("int16", "float32"),
}
"""Formats that compute with integers, and the types that each can take and give, its own first."""

_UNSCALED = frozenset({"INT32", "INT64", "BOOL"})  # words and places, which aren't rounded
_WEIGHTED = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})


def check_hazards(model: Any, source: str) -> tuple[str, ...]:
    """Look for ways to store weights that are known to crash, or to be silently wrong, somewhere.

    Running a file on this machine may not show them:

    - Sparsely stored weights go with floats alone: with 8-bit weights the runtime doesn't load the
      file or gives NaN, with 16-bit activations it is silently wrong. Those of float16 must be
      unpacked by DENSIFY, or they give NaN.
    - Sparsely stored weights are unpacked by DENSIFY, or read by version 8 of FULLY_CONNECTED, in
      one of the two layouts that it has kernels for. Any other kernel takes them for dense.
    - What is stored must lie inside the tensor: the kernels don't look.
    - Sparsely stored convolutions may meet only operators that can follow them
      (`sparse.convolutions`).
    - Variables that are read must have been written, or their numbers are lost.

    Args:
        model: A `ModelT`, from `flatbuffer.parse`, of a file of any origin.
        source: What to call the file in the error.

    Returns:
        What should be known of sparsely stored convolutions, in sentences.

    Raises:
        ExportError: naming each rule that is broken, with the tensors.
    """
    try:
        broken = [*_rounded(model), *_readers(model), *_variables(model)]
        if broken:
            raise ExportError(
                "A file must not store weights in a way that is known to crash or to be wrong. "
                f"Received: {source}: {' '.join(broken)} Export the network again, in a dense "
                "format."
            )
        for tensor in flatbuffer.tensors(model):
            if tensor.sparsity is not None and flatbuffer.has_values(tensor):
                flatbuffer.values(model, tensor)  # raises where it contradicts itself
        return tuple(finding.message for finding in lint_sparse_conv(model, source))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The runtime has looked at each offset, but not at what an operator needs.
        raise ExportError(
            f"{source} must be put together as the format asks. Received: operators or tensors "
            f"without what belongs to them ({error!r})."
        ) from error


def _rounded(model: Any) -> Iterator[str]:
    """Sparse storage in a file with integers, or of halves that nothing unpacks."""
    tensors = flatbuffer.tensors(model)
    sparse = [tensor for tensor in tensors if tensor.sparsity is not None]
    rounded = [tensor for tensor in tensors if _has_scale(tensor)]
    if sparse and rounded:
        yield (
            "sparsely stored weights go with floats alone, since with others the runtime doesn't "
            f"load the file, gives NaN or is silently wrong; {_names(sparse)} sparsely stored, "
            f"{_names(rounded, types=True)} of integers."
        )


def _readers(model: Any) -> Iterator[str]:
    """Sparse tensors that a kernel would take for dense ones, such as halves read by DEQUANTIZE."""
    for graph in flatbuffer.graphs(model):
        for name, operator in graph.named():
            version = model.operatorCodes[operator.opcodeIndex].version
            for place, index in enumerate(map(int, operator.inputs)):
                tensor = graph.tensor(index) if index >= 0 else None
                if tensor is None or tensor.sparsity is None or name == "DENSIFY":
                    continue
                said = f"`{name_of(tensor)}` is stored sparsely and read by {name}"
                if (name, place) != ("FULLY_CONNECTED", 1):
                    yield f"{said}, which has no sparse kernel and takes it for dense."
                elif version != SPARSE_VERSION:
                    yield (
                        f"{said} version {version}, but only version {SPARSE_VERSION} keeps "
                        "delegates from taking it for dense."
                    )
                elif not _has_kernel(tensor.sparsity):
                    yield f"{said} in a layout that is neither rows nor blocks of 1x4."


def _variables(model: Any) -> Iterator[str]:
    """Variables whose numbers were left out of the file."""
    found = flatbuffer.operators(model)
    if found.get("READ_VARIABLE") and not found.get("ASSIGN_VARIABLE"):
        yield (
            f"{found['READ_VARIABLE']} variables are read and none is written: the network was "
            "converted before its variables became constants, and its weights are lost."
        )


def _has_scale(tensor: Any) -> bool:
    quantization = tensor.quantization
    return bool(quantization and quantization.scale is not None and len(quantization.scale))


def _has_kernel(sparsity: Any) -> bool:
    """Tell whether float32 weights in this layout have a kernel: by rows, or by blocks of 1x4."""
    formats = [level.format for level in sparsity.dimMetadata]
    order = [int(axis) for axis in sparsity.traversalOrder]
    blocks = [] if sparsity.blockMap is None else [int(axis) for axis in sparsity.blockMap]
    if formats == [_DENSE, _COMPRESSED]:
        return order == [0, 1] and not blocks
    return (
        formats == [_DENSE, _COMPRESSED, _DENSE]
        and (order, blocks) == ([0, 1, 2], [1])
        and sparsity.dimMetadata[2].denseSize == 4
    )


def _names(tensors: list[Any], *, types: bool = False) -> str:
    names = [f"`{name_of(t)}`" + f" ({type_name(t)})" * types for t in tensors[:2]]
    more = f" and {len(tensors) - 2} more" if len(tensors) > 2 else ""
    return f"{', '.join(names)}{more} {'is' if len(tensors) == 1 else 'are'}"


def check_structure(model: Any, source: str) -> None:
    """Check that a stock runtime can be relied on for all operators and shapes.

    Raises:
        ExportError: naming custom operators, or inputs and outputs of unknown shape.
    """
    custom = [name for name in flatbuffer.operators(model) if ":" in name]
    if custom:
        raise ExportError(
            f"{source} must consist of operators that every runtime has. Received: {custom}."
        )
    ends = list(map(id, flatbuffer.graphs(model)[0].ends))
    dynamic = [name_of(t) for t in flatbuffer.dynamic_tensors(model) if id(t) in ends]
    if dynamic:
        raise ExportError(
            f"{source} must take and give static shapes. Received: sides of unknown length in "
            f"{dynamic}."
        )


def check_types(model: Any, format: str, source: str, ends: str | None = None) -> tuple[str, ...]:
    """Compare the types in a file with its format: the converter falls back to floats silently.

    Args:
        model: A `ModelT`, from `flatbuffer.parse`.
        format: One of `FORMATS`.
        source: What to call the file in an error.
        ends: The type that files of integers were to take and give; their own when None.

    Returns:
        What should be known, in sentences: that its weights weren't rounded, all or some of them.

    Raises:
        ExportError: when a file of a format of integers takes or gives another type, or multiplies
            floats throughout.
    """
    wanted = _STORED.get(format)
    if wanted is None:
        return ()
    types = list(_weight_types(model))
    others = [found for found in types if found != wanted]
    none = bool(types) and len(others) == len(types)
    if format in INTEGERS:
        asked = ends or INTEGERS[format][0]
        found = {type_name(tensor) for tensor in flatbuffer.graphs(model)[0].ends}
        if not found <= {asked.upper(), *_UNSCALED} or none:
            wrong = sorted({*found, *(others if none else ())} - {wanted, asked.upper()})
            raise ExportError(
                f"{source} came out with {', '.join(wrong)} where {asked} was asked for. A file of "
                "this format takes, gives and computes integers. Calibrate it with data as the "
                "model takes them, or choose another format."
            )
        if others:
            return (f"{len(others)} of its {len(types)} layers compute with floats.",)
    if none:
        return (
            f"None of its weights is stored as {wanted}: the converter leaves small layers as they "
            f"are. It is no smaller than fp32.",
        )
    return ()


def _weight_types(model: Any) -> Iterator[str]:
    """The types that the weights of layers are stored in."""
    for graph in flatbuffer.graphs(model):
        for name, operator in graph.named():
            if name in _WEIGHTED:
                tensor = graph.tensor(graph.origin(int(operator.inputs[1]))[0])
                constant = flatbuffer.is_constant(model, tensor)
                if constant and len(flatbuffer.shape_of(tensor)) > 1:
                    yield type_name(tensor)


@dataclass(frozen=True)
class ZeroCount:
    """The zeros of one kernel.

    Attributes:
        key: The kernel's key in the Keras model.
        size: How many weights it has.
        zeros: How many of them are zero in the Keras model.
        zeros_in_file: How many are zero in the file, all of the former among them; rounding adds
            some. None when the converter split or merged the kernel, as it does for recurrent
            layers: such kernels are counted together.
        tensor: The tensor of the file that holds it, or None.
    """

    key: str
    size: int
    zeros: int
    zeros_in_file: int | None
    tensor: str | None


def count_zeros(
    kernels: Mapping[str, np.ndarray], constants: Sequence[Constant]
) -> tuple[ZeroCount, ...]:
    """Find each kernel in the file by its zeros, and check that none was lost.

    The converter stores kernels with their axes in another order and folds factors of
    normalization into them; neither moves a zero off its weight. So the tensor of a kernel is the
    one of its size that, read along some order of the kernel's axes, is zero wherever it is.

    Args:
        kernels: Key to array, of the Keras model.
        constants: The tensors of the file.

    Returns:
        One count a kernel, in their order.

    Raises:
        ExportError: when zeros were lost.
    """
    zero_in = [constant.is_zero for constant in constants]
    counts: list[ZeroCount] = []
    used: set[int] = set()
    for key, kernel in kernels.items():
        pruned = kernel == 0
        fitting = [i for i, zero in enumerate(zero_in) if _covers(zero, pruned)]
        # Of several that cover it, the one with the fewest zeros is nearest.
        best = min(fitting, key=lambda i: int(zero_in[i].sum()), default=None)
        zeros, tensor = None, None
        if best is not None:
            used.add(best)
            zeros, tensor = int(zero_in[best].sum()), constants[best].name
        counts.append(ZeroCount(key, pruned.size, int(pruned.sum()), zeros, tensor))
    lost = [count for count in counts if count.tensor is None]
    expected = sum(count.zeros for count in lost)
    found = sum(int(zero.sum()) for i, zero in enumerate(zero_in) if i not in used)
    if found < expected:
        raise ExportError(
            "Each pruned weight must be zero in the exported file too. Received: "
            f"{found:,} zeros where the Keras model has {expected:,}, in "
            f"{', '.join(f'`{count.key}`' for count in lost)}."
        )
    return tuple(counts)


def _covers(zero: np.ndarray, pruned: np.ndarray) -> bool:
    """Tell whether `zero` holds wherever `pruned` does, for some order of the axes of `pruned`."""
    flat = zero.ravel()
    if flat.size != pruned.size or np.count_nonzero(flat) < np.count_nonzero(pruned):
        return False
    orders = itertools.permutations(reversed(range(pruned.ndim)))
    return any(bool(np.all(flat | ~pruned.transpose(order).ravel())) for order in orders)
