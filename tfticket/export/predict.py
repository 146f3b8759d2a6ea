"""How large a file should be, told from the model: a file that isn't holds something else."""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras

from tfticket.errors import ExportError
from tfticket.export.result import Format
from tfticket.export.static import recurrent_steps
from tfticket.state import kernels_of, named_variables

_BYTES_A_WEIGHT: Mapping[Format, float] = {
    "fp32": 4.0,
    "fp16": 2.0,
    "dynamic": 1.0,
    "int8": 1.0,
    "int4": 0.5,
}
# The formats that leave what has no kernel for few bits in float32.
_MAY_STAY_FLOAT = ("dynamic", "int4")
_OVERHEAD = 1.25
_BYTES_A_LAYER = 4096  # names, shapes, scales: generous, since graphs can be unrolled
_BYTES_A_STEP = 8192  # of a recurrent layer without a loop
_BYTES_A_FILE = 65_536


def predicted_bytes(static: keras.Model, format: Format) -> int | None:
    """Bytes of the weights in a format; None where that depends on their zeros.

    Args:
        static: The model, from `static_copy`.
        format: The format.
    """
    if format not in _BYTES_A_WEIGHT:
        return None
    kernels = sum(math.prod(kernel.shape) for kernel in kernels_of(static).values())
    total = sum(math.prod(variable.shape) for variable in named_variables(static).values())
    return round(kernels * _BYTES_A_WEIGHT[format] + 4 * (total - kernels))


def check_size(size_bytes: int, static: keras.Model, format: Format, source: str) -> None:
    """Raises an `ExportError` when a file is much larger than its weights.

    It isn't asked whether it is smaller: equal weights are stored once, and normalization is folded
    away. Lost weights show in the answers.
    """
    predicted = predicted_bytes(static, "fp32" if format in _MAY_STAY_FLOAT else format)
    if predicted is None:
        predicted = predicted_bytes(static, "fp32") or 0  # sparse storage is never larger
    most = predicted * _OVERHEAD + len(static.layers) * _BYTES_A_LAYER + _BYTES_A_FILE
    most += recurrent_steps(static, unrolled=True) * _BYTES_A_STEP
    if size_bytes > most:
        raise ExportError(
            f"{source} must be about as large as its weights, {predicted:,} bytes. Received: "
            f"{size_bytes:,} bytes. The converter made constants of something else: a layer that "
            "computes with large fixed arrays, or a loop that was unrolled."
        )
