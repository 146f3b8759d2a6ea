"""From a model of batch 1 to the bytes of a file, in any format.

Formats that the converter makes alone are `fp32`, `fp16`, `dynamic` and `int8`; in the others its
dense fp32 file is stored otherwise, or it stores weights sparsely itself (`sparse_conv`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.preparation import input_structure, recurrent_steps, static_copy, unroll
from tfticket.export.result import Format
from tfticket.export.sparse.convolutions import lint_sparse_conv
from tfticket.export.sparse.encoding import Encoding, encode_dense_layers
from tfticket.export.sparse.selection import Objective, sparsify_dense_layers
from tfticket.export.verification import CheckData, Reference, examples_for, reference_of
from tfticket.internals import flat_layers, graph_of, maker_of, nodes_of
from tfticket.quiet import quiet

_OBJECTIVES: Mapping[Format, tuple[Objective, str]] = {
    "sparse_fc": ("smallest", "smaller"),
    "sparse_fc_fast": ("fastest", "faster on this machine"),
}
_BATCH = 64
_LONGEST = 200
_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_PLACE = re.compile(r"<unknown>:\d+: |error: |loc\(.*?\): ")


@dataclass(frozen=True, eq=False)
class Convertible:
    """A model and its data, with what all formats share: each is made once, when it is needed.

    Attributes:
        model: A built Sequential or Functional model with one input and one output.
        calibration: Training examples, shape (n, ...); int8 needs them.
        check_on: Examples that its files are checked on, and their labels or None.
    """

    model: keras.Model
    calibration: np.ndarray | None = None
    check_on: CheckData | None = None

    @cached_property
    def examples(self) -> np.ndarray | None:
        """The calibration data in the type that the model takes."""
        if self.calibration is None:
            return None
        return examples_for(self.model, self.calibration, "calibration")

    @cached_property
    def reference(self) -> Reference:
        """Outputs of the model on the examples that its files are checked with."""
        return reference_of(self.model, self.examples, self.check_on)

    @cached_property
    def static(self) -> keras.Model:
        """The copy that the converter takes."""
        return static_copy(self.model)

    @cached_property
    def dense(self) -> bytes:
        """The fp32 file, of which other formats are made, too."""
        return convert(self.static, "fp32", None)

    def unrolled(self, source: str) -> keras.Model:
        """A copy without loops, see `unroll`."""
        if not recurrent_steps(self.static):
            return self.static
        static = static_copy(self.model)
        unroll(static, source)
        return static


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


def produce(
    format: Format,
    of: Convertible,
    *,
    static: keras.Model,
    encodings: Mapping[str, Encoding] | None,
    source: str,
) -> Produced:
    """Convert a model to the bytes of a file.

    Args:
        format: The format.
        of: The model and its data; what is measured is measured with the first example.
        static: Its copy: `of.static`, or without loops where the format takes none.
        encodings: How to store each dense layer, from an earlier export; measured when None.
        source: What to call the file in an error.

    Raises:
        ExportError: when the format isn't possible, is known to go wrong, or is of no use here.
    """
    match format:
        case "fp32":
            return Produced(of.dense)
        case "int4":
            return Produced(quantize_weights_int4(of.dense))
        case "sparse_conv":
            return sparse_conv(static, source=source)
        case "sparse_fc" | "sparse_fc_fast":
            return _sparse_fc(format, of, encodings, source)
    return Produced(convert(static, format, of.examples))


def convert(static: keras.Model, format: str, calibration: np.ndarray | None) -> bytes:
    """Convert a model of batch 1 to the bytes of a TensorFlow Lite file.

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
    """Convert a model of batch 1 to float32 with sparsely stored weights; see `convert`.

    There is no such way for other formats: with them `Optimize.EXPERIMENTAL_SPARSITY` makes files
    that crash, give NaN or are silently wrong. In float32 it is dangerous for convolutions alone,
    see `sparse_conv`.
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
    functions = (function.node_def for function in graph.library.function)
    nodes = [*graph.node, *(node for function in functions for node in function)]
    loops = sorted({node.name for node in nodes if node.op in ("While", "StatelessWhile")})
    if loops:
        raise ExportError(
            "A model with loops can't be exported as int8: the converter crashes. Received: loops "
            f"in {loops}. Build it without them, or choose dynamic."
        )


def check_inside(model: keras.Model, x: np.ndarray) -> None:
    """Check that all that a network computes from calibration data is finite.

    What leaves the range of floats inside, such as outputs that a sigmoid then hides, gives a file
    that no runtime loads, or one of floats.

    Args:
        model: The model.
        x: Calibration data in the model's type, shape (n, ...).

    Raises:
        ExportError: naming the first layer whose outputs aren't finite.
    """
    made = [
        tensor
        for node in nodes_of(graph_of(model))
        for tensor in node.outputs
        if keras.backend.is_float_dtype(tensor.dtype)
    ]
    inside = keras.Model(model.inputs, made)
    batch_size = model.inputs[0].shape[0] or _BATCH
    for start in range(0, len(x), batch_size):
        answers = inside([x[start : start + batch_size]], training=False)
        for tensor, answer in zip(made, answers, strict=True):
            if not bool(keras.ops.all(keras.ops.isfinite(answer))):
                raise ExportError(
                    f"The layer {maker_of(tensor).name!r} gives NaN or infinite numbers for the "
                    "calibration data. int8 needs the range of all values inside the network. "
                    "Leave out the examples it does so for, or look for weights or inputs that are "
                    "far too large."
                )


def _sparse_fc(
    format: Format, of: Convertible, encodings: Mapping[str, Encoding] | None, source: str
) -> Produced:
    objective, gain = _OBJECTIVES[format]
    if encodings is None:
        found = sparsify_dense_layers(
            of.dense, example=of.reference.x[0], objective=objective, source=source
        )
        content, encodings = found.content, found.choices
    else:
        content = encode_dense_layers(of.dense, encodings, source=source)
    if not set(encodings.values()) - {"dense"}:
        raise ExportError(
            "A sparse file must have a dense layer that is better stored sparsely. Received: "
            f"{source}, where none gets {gain}. Take fp32, or prune dense layers more."
        )
    return Produced(content, {"encodings": dict(encodings)})


def sparse_conv(static: keras.Model, *, source: str) -> Produced:
    """Convert a model to float32 with all weights stored sparsely that have enough zeros.

    The file is smaller, and its weights are unpacked when it is loaded. It is faster only on
    processors without AVX, ARM for instance, and only where the network is of the narrow family
    that the runtime has sparse kernels for.

    Raises:
        ExportError: when the file would crash or be silently wrong where these kernels run.
    """
    content = convert_sparsely(static)
    found = lint_sparse_conv(flatbuffer.parse(content, source=source), source)
    return Produced(content, warnings=tuple(finding.message for finding in found))


def quantize_weights_int4(content: bytes, *, source: str = "The file") -> bytes:
    """Round the weights of a file to 4 bits; activations are computed in floats.

    Each output channel has a scale of its own and no zero point, so weights that are zero stay
    zero. The layers are computed as those of the format `dynamic` are. Made by ai-edge-quantizer.

    Args:
        content: A `.tflite` file with float32 weights, stored densely.
        source: What to call it in an error.

    Returns:
        The new file; equal files give equal bytes.

    Raises:
        ExportError: when the file has weights that are stored sparsely or quantized already, when
            the package ai-edge-quantizer isn't there, or when it fails.
    """
    _check_plain(flatbuffer.parse(content, source=source), source)
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise ExportError(
            "Weights in 4 bits are made by the package ai-edge-quantizer. Received: an environment "
            f"without it ({error}). Install it: pip install 'tfticket[int4]'"
        ) from error
    try:
        with quiet():
            work = quantizer.Quantizer(content, recipe.dynamic_wi4_afp32())
            done = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    except Exception as error:  # it lets through whatever its parts raise
        raise ExportError(
            f"ai-edge-quantizer could not round the weights of {source} to 4 bits: {error}"
        ) from error
    if done.quantized_model is None:
        raise ExportError(f"ai-edge-quantizer made nothing of {source}.")
    # Written again, so that the data is aligned as in all other files.
    made = flatbuffer.parse(bytes(done.quantized_model), source=f"{source}, in 4 bits,")
    if not any(tensor.type == schema.TensorType.INT4 for tensor in flatbuffer.tensors(made)):
        raise ExportError(
            f"A file needs weights of layers that can be computed in 4 bits. Received: {source}, "
            "where none was rounded. Choose another format."
        )
    return flatbuffer.pack(made)


def _check_plain(model: Any, source: str) -> None:
    if flatbuffer.has_sparse_tensors(model):
        raise ExportError(
            "Weights are rounded to 4 bits where they are stored densely: of sparsely stored ones "
            f"the quantizer makes nothing, or a file that fails. Received: {source} with sparsely "
            "stored weights. Round the dense fp32 file."
        )
    rounded = [
        f"`{flatbuffer.name_of(tensor)}` ({flatbuffer.type_name(tensor)})"
        for tensor in flatbuffer.tensors(model)
        if tensor.type == schema.TensorType.FLOAT16
        or (tensor.quantization is not None and tensor.quantization.scale is not None)
    ]
    if rounded:
        raise ExportError(
            "Weights must be float32 before they are rounded to 4 bits. Received: "
            f"{source} with {', '.join(rounded[:3])}{' and more' * (len(rounded) > 3)}. Round the "
            "fp32 file."
        )
