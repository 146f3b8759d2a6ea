"""The one place that calls TensorFlow's converter."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import ExportError
from tfticket.export.quiet import quiet
from tfticket.export.static import input_structure


def convert(static: keras.Model, format: str, calibration: np.ndarray | None) -> bytes:
    """Converts a model of batch 1 to the bytes of a TensorFlow Lite file.

    Sparse storage (`Optimize.EXPERIMENTAL_SPARSITY`) is never asked for: with anything but plain
    fp32 its files crash, give NaN or are silently wrong, and convolutions go wrong on ARM in fp32
    too.

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
    try:
        with quiet(), warnings.catch_warnings():
            # The ranges come from the calibration, not from the older way that this asks for.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            return bytes(converter.convert())
    except Exception as error:  # the converter lets through whatever its parts raise
        raise ExportError(
            f"TensorFlow Lite could not convert the model to {format}: {error}"
        ) from error


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
            f"in {loops}. Build recurrent layers with unroll=True, or choose dynamic."
        )
