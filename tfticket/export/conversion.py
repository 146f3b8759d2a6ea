"""A model of batch 1 in any format: by the converter alone, or its dense file stored otherwise."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.preparation import input_structure
from tfticket.export.result import Format
from tfticket.export.runtime import quiet
from tfticket.export.sparse.convolutions import Finding, lint_sparse_conv
from tfticket.export.sparse.encoding import Encoding, encode_dense_layers
from tfticket.export.sparse.selection import Objective, sparsify_dense_layers
from tfticket.internals import flat_layers

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


def quantize_weights_int4(content: bytes, *, source: str = "The file") -> bytes:
    """Rounds the weights of a file to 4 bits; activations are computed in floats.

    Each output channel has a scale of its own and no zero point, so weights that are zero stay
    zero. The layers are computed as those of the format `dynamic` are.

    Args:
        content: A `.tflite` file with float32 weights, stored densely.
        source: What to call it in an error.

    Returns:
        The new file; equal files give equal bytes.

    Raises:
        ExportError: when the file has weights that are stored sparsely or quantized already, when
            the package ai-edge-quantizer isn't there, or when it fails.
    """
    model = flatbuffer.parse(content, source=source)
    _check_plain(model, source)
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
    if not any(t.type == schema.TensorType.INT4 for g in made.subgraphs for t in g.tensors):
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
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.type == schema.TensorType.FLOAT16
        or (tensor.quantization is not None and tensor.quantization.scale is not None)
    ]
    if rounded:
        raise ExportError(
            "Weights must be float32 before they are rounded to 4 bits. Received: "
            f"{source} with {', '.join(rounded[:3])}{' and more' * (len(rounded) > 3)}. Round the "
            "fp32 file."
        )


@dataclass(frozen=True)
class SparseConversion:
    """A file with sparsely stored weights.

    Attributes:
        content: Its bytes, not yet run. They are smaller, and unpacked when the file is loaded.
        findings: Warnings.
    """

    content: bytes
    findings: tuple[Finding, ...]


def sparse_conv(static: keras.Model, *, source: str) -> SparseConversion:
    """Converts a model to float32 with all weights stored sparsely that have enough zeros.

    The file is smaller. It is faster only on processors without AVX, ARM for instance, and only
    where the network is of the narrow family that the runtime has sparse kernels for.

    Args:
        static: The model, from `static_copy`.
        source: What to call the file in an error.

    Raises:
        ExportError: when the file would crash or be silently wrong where these kernels run.
    """
    content = convert_sparsely(static)
    return SparseConversion(
        content, lint_sparse_conv(flatbuffer.parse(content, source=source), source)
    )
