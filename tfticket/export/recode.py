"""Formats that TensorFlow's converter doesn't make: its dense fp32 file, stored in another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.dense_encoding import Encoding, encode_dense_layers
from tfticket.export.int4 import quantize_weights_int4
from tfticket.export.result import Format
from tfticket.export.sparse_fc import Objective, sparsify_dense_layers

_OBJECTIVES: Mapping[Format, Objective] = {"sparse_fc": "smallest", "sparse_fc_fast": "fastest"}
_GAINS: Mapping[Objective, str] = {"smallest": "smaller", "fastest": "faster on this machine"}


@dataclass(frozen=True, eq=False)
class Recoded:
    """A file in its final format.

    Attributes:
        content: Its bytes.
        facts: What was decided on the way; goes into the file's metadata.
    """

    content: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


def base_format(format: Format) -> Format:
    """The format that the converter is asked for."""
    return "fp32" if format in _OBJECTIVES or format == "int4" else format


def recode(
    content: bytes,
    format: Format,
    *,
    example: np.ndarray,
    encodings: Mapping[str, Encoding] | None,
    source: str,
) -> Recoded:
    """Stores the converter's file as a format wants it.

    Args:
        content: The converter's file, in `base_format(format)`.
        format: The format.
        example: One input, real numbers, shape without the batch; what is measured is measured
            with it.
        encodings: How to store each dense layer, from an earlier export; measured when None.
        source: What to call the file in an error.

    Raises:
        ExportError: when the format isn't possible, or is of no use for this file.
    """
    if format in _OBJECTIVES:
        return _sparse(content, _OBJECTIVES[format], example, encodings, source)
    makers: Mapping[str, Callable[[bytes], bytes]] = {"int4": quantize_weights_int4}
    return Recoded(makers[format](content) if format in makers else content)


def _sparse(
    content: bytes,
    objective: Objective,
    example: np.ndarray,
    encodings: Mapping[str, Encoding] | None,
    source: str,
) -> Recoded:
    if encodings is None:
        found = sparsify_dense_layers(content, example=example, objective=objective, source=source)
        encodings, content = found.choices, found.content
    else:
        content = encode_dense_layers(content, encodings, source=source)
    if not set(encodings.values()) - {"dense"}:
        raise ExportError(
            "A sparse file must have a dense layer that is better stored sparsely. Received: "
            f"{source}, where none gets {_GAINS[objective]}. Take fp32, or prune dense layers more."
        )
    return Recoded(content, {"encodings": dict(encodings)})
