"""Ways to store weights that are known to crash, or to be silently wrong, somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.sparse_lint import lint_sparse_conv

_SPARSE_VERSION = 8
_DENSE, _COMPRESSED = schema.DimensionType.DENSE, schema.DimensionType.SPARSE_CSR


def check_hazards(model: Any, source: str) -> tuple[str, ...]:
    """Looks into a file, whoever made it, for what running it on this machine may not show.

    - Sparsely stored weights go with floats alone: with 8-bit weights the runtime doesn't load the
      file or gives NaN, with 16-bit activations it is silently wrong. Those of float16 must be
      unpacked by DENSIFY, or they give NaN.
    - Sparsely stored weights are unpacked by DENSIFY, or read by version 8 of FULLY_CONNECTED, in
      one of the two layouts that it has kernels for. Any other kernel takes them for dense.
    - What is stored must lie inside the tensor: the kernels don't look.
    - Sparsely stored convolutions may meet only operators that can follow them (`sparse_lint`).
    - Variables that are read must have been written, or their numbers are lost.

    Args:
        model: A `ModelT`, from `flatbuffer.parse`.
        source: What to call the file in the error.

    Returns:
        What should be known of sparsely stored convolutions, in sentences.

    Raises:
        ExportError: naming each rule that is broken, with the tensors.
    """
    try:
        return _check(model, source)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The runtime has looked at each offset, but not at what an operator needs.
        raise ExportError(
            f"{source} must be put together as the format asks. Received: operators or tensors "
            f"without what belongs to them ({error!r})."
        ) from error


def _check(model: Any, source: str) -> tuple[str, ...]:
    broken = [message for rule in _RULES for message in rule(model)]
    if broken:
        raise ExportError(
            "A file must not store weights in a way that is known to crash or to be wrong. "
            f"Received: {source}: {' '.join(broken)} Export the network again, in a dense format."
        )
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.sparsity is not None and flatbuffer.has_values(tensor):
                flatbuffer.values(model, tensor)  # raises where it contradicts itself
    return tuple(finding.message for finding in lint_sparse_conv(model, source))


def _rounded(model: Any) -> Iterator[str]:
    """Sparse storage in a file with integers, or of halves that nothing unpacks."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
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
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = flatbuffer.operator_name(model, operator)
            version = model.operatorCodes[operator.opcodeIndex].version
            for place, index in enumerate(map(int, operator.inputs)):
                tensor = graph.tensors[index] if index >= 0 else None
                if tensor is None or tensor.sparsity is None or name == "DENSIFY":
                    continue
                said = f"`{flatbuffer.name_of(tensor)}` is stored sparsely and read by {name}"
                if (name, place) != ("FULLY_CONNECTED", 1):
                    yield f"{said}, which has no sparse kernel and takes it for dense."
                elif version != _SPARSE_VERSION:
                    yield (
                        f"{said} version {version}, but only version {_SPARSE_VERSION} keeps "
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


_RULES: tuple[Callable[[Any], Iterator[str]], ...] = (_rounded, _readers, _variables)


def _has_scale(tensor: Any) -> bool:
    quantization = tensor.quantization
    return bool(quantization and quantization.scale is not None and len(quantization.scale))


def _has_kernel(sparsity: Any) -> bool:
    """Whether float32 weights in this layout have a kernel: by rows, or by blocks of 1x4."""
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
    names = [
        f"`{flatbuffer.name_of(tensor)}`" + (f" ({flatbuffer.type_name(tensor)})" if types else "")
        for tensor in tensors[:2]
    ]
    more = f" and {len(tensors) - 2} more" if len(tensors) > 2 else ""
    return f"{', '.join(names)}{more} {'is' if len(tensors) == 1 else 'are'}"
