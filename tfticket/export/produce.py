"""A model of batch 1 in any format: by the converter alone, or its dense file stored otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export.convert import convert
from tfticket.export.dense_encoding import Encoding, encode_dense_layers
from tfticket.export.int4 import quantize_weights_int4
from tfticket.export.result import Format
from tfticket.export.sparse_conv import sparse_conv
from tfticket.export.sparse_fc import Objective, sparsify_dense_layers

_GAINS: Mapping[Objective, str] = {"smallest": "smaller", "fastest": "faster on this machine"}


@dataclass(frozen=True, eq=False)
class Request:
    """What a file is made from.

    Attributes:
        static: The model, from `static_copy`.
        calibration: For `int8`: training examples, shape (n, ...).
        example: One input, real numbers, shape without the batch; what is measured is measured
            with it.
        encodings: How to store each dense layer, from an earlier export; measured when None.
        source: What to call the file in an error.
    """

    static: keras.Model
    calibration: np.ndarray | None
    example: np.ndarray
    encodings: Mapping[str, Encoding] | None
    source: str


@dataclass(frozen=True, eq=False)
class Produced:
    """A file in its format, not yet run.

    Attributes:
        content: Its bytes.
        facts: What was decided on the way; goes into the file's metadata.
        warnings: What should be known before it is used, in words.
    """

    content: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def produce(format: Format, request: Request) -> Produced:
    """Makes the bytes of a file.

    Raises:
        ExportError: when the format isn't possible, is known to go wrong, or is of no use here.
    """
    maker = _MAKERS.get(format)
    if maker is None:
        return Produced(convert(request.static, format, request.calibration))
    return maker(request)


def _dense(request: Request) -> bytes:
    return convert(request.static, "fp32", None)


def _int4(request: Request) -> Produced:
    return Produced(quantize_weights_int4(_dense(request)))


def _sparse_conv(request: Request) -> Produced:
    made = sparse_conv(request.static, source=request.source)
    return Produced(made.content, warnings=tuple(f.message for f in made.findings))


def _sparse_fc(objective: Objective) -> Callable[[Request], Produced]:
    def make(request: Request) -> Produced:
        content, encodings, source = _dense(request), request.encodings, request.source
        if encodings is None:
            found = sparsify_dense_layers(
                content, example=request.example, objective=objective, source=source
            )
            content, encodings = found.content, found.choices
        else:
            content = encode_dense_layers(content, encodings, source=source)
        if not set(encodings.values()) - {"dense"}:
            raise ExportError(
                "A sparse file must have a dense layer that is better stored sparsely. Received: "
                f"{source}, where none gets {_GAINS[objective]}. Take fp32, or prune dense layers "
                "more."
            )
        return Produced(content, {"encodings": dict(encodings)})

    return make


_MAKERS: Mapping[Format, Callable[[Request], Produced]] = {
    "int4": _int4,
    "sparse_fc": _sparse_fc("smallest"),
    "sparse_fc_fast": _sparse_fc("fastest"),
    "sparse_conv": _sparse_conv,
}
