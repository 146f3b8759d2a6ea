"""Is a file of the type that was asked for? The converter falls back to floats without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfticket.errors import ExportError
from tfticket.export.flatbuffer import is_constant, operator_name, type_name
from tfticket.export.tensors import indices, shape_of

_STORED: Mapping[str, str] = {"fp16": "FLOAT16", "dynamic": "INT8", "int8": "INT8", "int4": "INT4"}
_UNPACKING = ("DEQUANTIZE", "DENSIFY")
_WEIGHTED = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})


def check_types(parsed: Any, format: str, source: str) -> tuple[str, ...]:
    """Compares the types in a file with its format.

    Args:
        parsed: A `ModelT`, from `flatbuffer.parse`.
        format: One of `FORMATS`.
        source: What to call the file in an error.

    Returns:
        What should be known, in sentences: that its weights weren't rounded, all or some of them.

    Raises:
        ExportError: when a file of the format int8 takes, gives or multiplies floats throughout.
    """
    wanted = _STORED.get(format)
    if wanted is None:
        return ()
    types = list(_weight_types(parsed))
    others = [found for found in types if found != wanted]
    if format == "int8":
        graph = parsed.subgraphs[0]
        ends = {
            type_name(graph.tensors[number])
            for number in (*indices(graph.inputs), *indices(graph.outputs))
        }
        if ends != {wanted} or (types and len(others) == len(types)):
            raise ExportError(
                f"{source} came out with {', '.join(sorted({*ends, *others} - {wanted}))} where "
                "int8 was asked for. A file of this format takes, gives and computes integers. "
                "Calibrate it with data as the model takes them, or choose another format."
            )
    if types and len(others) == len(types):
        return (
            f"None of its weights is stored as {wanted}: the converter leaves small layers as they "
            f"are. It is no smaller than fp32.",
        )
    if others and format == "int8":
        return (f"{len(others)} of its {len(types)} layers compute with floats.",)
    return ()


def _weight_types(parsed: Any) -> Iterator[str]:
    """The types that the weights of layers are stored in."""
    for graph in parsed.subgraphs:
        unpacked = {
            number: indices(operator.inputs)[0]
            for operator in graph.operators
            if operator_name(parsed, operator) in _UNPACKING
            for number in indices(operator.outputs)
        }
        for operator in graph.operators:
            if operator_name(parsed, operator) in _WEIGHTED:
                number = int(operator.inputs[1])
                while number in unpacked:
                    number = unpacked[number]
                tensor = graph.tensors[number]
                if is_constant(parsed, tensor) and len(shape_of(tensor)) > 1:
                    yield type_name(tensor)
