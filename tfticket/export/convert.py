"""The one place that calls TensorFlow's converter."""

from __future__ import annotations

import re
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import ExportError
from tfticket.export.static import input_structure
from tfticket.internals import flat_layers
from tfticket.quiet import quiet

_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_PLACE = re.compile(r"<unknown>:\d+: |error: |loc\(.*?\): ")
_LONGEST = 200


def convert(static: keras.Model, format: str, calibration: np.ndarray | None) -> bytes:
    """Converts a model of batch 1 to the bytes of a TensorFlow Lite file.

    Args:
        static: The model, from `static_copy`.
        format: `fp32`, `fp16`, `dynamic` or `int8`.
        calibration: For `int8`: training examples, shape (n, ...), of the model's input type.

    Returns:
        The file's bytes, with dense weights; not yet run.

    Raises:
        ExportError: when the converter fails, or would bring down the process.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    if format != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if format == "int8":
        assert calibration is not None
        _check_no_loops(static)
        converter.representative_dataset = lambda: ([example[None]] for example in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return _run(converter, format, static)


def convert_sparsely(static: keras.Model) -> bytes:
    """Converts a model of batch 1 to float32 with sparsely stored weights.

    There is no such way for other formats: with them `Optimize.EXPERIMENTAL_SPARSITY` makes files
    that crash, give NaN or are silently wrong. In float32 it is dangerous for convolutions alone,
    see `sparse_conv`.

    Args:
        static: The model, from `static_copy`.

    Returns:
        The file's bytes; not yet run.

    Raises:
        ExportError: when the converter fails.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return _run(converter, "sparse fp32", static)


def _run(converter: Any, what: str, static: keras.Model) -> bytes:
    try:
        with quiet(), warnings.catch_warnings():
            # The ranges come from the calibration, not from the older way that this asks for.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            return bytes(converter.convert())
    except Exception as error:  # the converter lets through whatever its parts raise
        raise ExportError(_reason(str(error), what, static)) from error


def _reason(said: str, what: str, static: keras.Model) -> str:
    """A sentence from what the converter says, which is pages of its inner language."""
    for layer in flat_layers(static):
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            return (
                f"The layer {layer.name!r} was quantized by Keras ({mode}), which TensorFlow Lite "
                "can't convert. A file is made of a model of floats, and rounds it itself. Export "
                "the model as it was before `quantize`, in the format int8, dynamic or int4."
            )
    missing = sorted(set(_MISSING.findall(said)))
    if missing:
        return (
            f"The model needs {', '.join(missing)}, which TensorFlow Lite doesn't have; with "
            "SELECT_TF_OPS they would be Flex operators, which need all of TensorFlow on the "
            "device. Build the layers that compute this from others."
        )
    words = " ".join(_PLACE.sub("", said).split())
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]} ..."
    return f"TensorFlow Lite could not convert the model to {what}: {words}"


def _check_no_loops(static: keras.Model) -> None:
    """Calibration ends the process with a segmentation fault where a loop is in the graph."""
    given = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), input_structure(static)
    )
    graph = tf.function(static).get_concrete_function(given).graph.as_graph_def()
    nodes = [
        *graph.node,
        *(node for function in graph.library.function for node in function.node_def),
    ]
    loops = sorted({node.name for node in nodes if node.op in ("While", "StatelessWhile")})
    if loops:
        raise ExportError(
            "A model with loops can't be exported as int8: the converter crashes. Received: loops "
            f"in {loops}. Build it without them, or choose dynamic."
        )
