"""From a model of batch 1 to the bytes of a file, in any format.

Formats that the converter makes alone are `fp32`, `fp16`, `dynamic`, `int8` and `int16x8`; in the
others its dense fp32 file is stored otherwise, or it stores weights sparsely itself
(`sparse_conv`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.contents import INTEGERS, Ends
from tfticket.export.ends import input_names, output_names, structures
from tfticket.export.int4 import quantize_weights_int4
from tfticket.export.preparation import keeps_state, recurrent_steps, static_copy, unroll
from tfticket.export.result import Format
from tfticket.export.runtime import Arrays, Examples
from tfticket.export.sparse.convolutions import lint_sparse_conv
from tfticket.export.sparse.encoding import Encoding, encode_dense_layers
from tfticket.export.sparse.selection import Objective, sparsify_dense_layers
from tfticket.export.verification import CheckData, Reference, examples_for, reference_of
from tfticket.internals import flat_layers, graph_of, maker_of, nodes_of
from tfticket.quiet import quiet
from tfticket.state import kernels_of, named_layers

_OBJECTIVES: Mapping[Format, tuple[Objective, str]] = {
    "sparse_fc": ("smallest", "smaller"),
    "sparse_fc_fast": ("fastest", "faster on this machine"),
}
_BATCH = 64
_OPERATORS = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}
_LONGEST = 200
_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_PLACE = re.compile(r"<unknown>:\d+: |error: |loc\(.*?\): ")


@dataclass(frozen=True, eq=False)
class Convertible:
    """A model and its data, with what all formats share: each is made once, when it is needed.

    Attributes:
        model: A built Sequential or Functional model.
        calibration: Training examples, shape (n, ...) for each input; int8 needs them.
        check_on: Examples that its files are checked on, and their labels or None.
        ends: The type that a file of integers takes and gives; its own when None.
        keep_float: Keys of layers that a file of the format int8 computes with floats.
    """

    model: keras.Model
    calibration: Arrays | None = None
    check_on: CheckData | None = None
    ends: Ends | None = None
    keep_float: tuple[str, ...] = ()

    @cached_property
    def examples(self) -> Examples | None:
        """The calibration data in the types that the model takes."""
        if self.calibration is None:
            return None
        return examples_for(self.model, self.calibration, "calibration")

    @cached_property
    def streams(self) -> bool:
        """True if each inference changes what the next one answers."""
        return keeps_state(self.model)

    @cached_property
    def computing(self) -> keras.Model:
        """The model to ask for answers: one that keeps a state takes one example at a time."""
        return self.static if self.streams else self.model

    @cached_property
    def reference(self) -> Reference:
        """Outputs of the model on the examples that its files are checked with."""
        return reference_of(
            self.computing, self.examples, self.check_on, self.model, streaming=self.streams
        )

    @cached_property
    def static(self) -> keras.Model:
        """The copy that the converter takes."""
        return static_copy(self.model)

    @cached_property
    def dense(self) -> bytes:
        """The fp32 file, of which other formats are made, too."""
        return self.convert("fp32", self.static)

    def convert(self, format: Format, static: keras.Model) -> bytes:
        """Convert a copy to a format that the converter makes; see `convert`."""
        if format == "int8" and self.keep_float:
            content = self._mixed(static)
        else:
            content = convert(static, format, self.examples, ends=self.ends, streaming=self.streams)
        return named_ends(content, input_names(self.model), output_names(self.model))

    def _mixed(self, static: keras.Model) -> bytes:
        """Convert to int8 but for some layers; inputs and outputs are floats then."""
        parsed = flatbuffer.parse(convert(static, "fp32", None), source="The file")
        nodes = [node_of_layer(parsed, static, key) for key in self.keep_float]
        assert self.examples is not None
        return convert_mixed(static, self.examples, nodes)

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
    return Produced(of.convert(format, static))


def convert(
    static: keras.Model,
    format: str,
    calibration: Arrays | Examples | None,
    *,
    ends: Ends | None = None,
    streaming: bool = False,
) -> bytes:
    """Convert a model of batch 1 to the bytes of a TensorFlow Lite file.

    Args:
        static: The model, from `static_copy`.
        format: `fp32`, `fp16`, `dynamic`, `int8` or `int16x8`.
        calibration: For `int8` and `int16x8`: training examples of the model's input types.
        ends: What these take and give; `int8` and `int16` when None.
        streaming: Whether the model keeps a state, which is to be of integers then too.

    Returns:
        The file's bytes, with dense weights; not yet run.

    Raises:
        ExportError: when the converter fails, or would bring down the process.
    """
    if format in INTEGERS:
        converter = _calibrated(static, format, calibration)
        type_of_ends = tf.dtypes.as_dtype(ends or INTEGERS[format][0])
        converter.inference_input_type = converter.inference_output_type = type_of_ends
        converter._experimental_variable_quantization = streaming
        return _run(converter.convert, format, static)
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    if format != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    return _run(converter.convert, format, static)


def _calibrated(static: keras.Model, format: str, calibration: Arrays | Examples | None) -> Any:
    """A converter to integers that knows the calibration data."""
    assert calibration is not None
    _check_no_loops(static)
    names = [tensor.name for tensor in static.inputs]
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        dict(zip(names, feed, strict=True)) if len(feed) > 1 else feed
        for feed in Examples.of(calibration).batches()
    )
    converter.target_spec.supported_ops = [_OPERATORS[format]]
    return converter


def convert_mixed(static: keras.Model, calibration: Examples, nodes: Sequence[str]) -> bytes:
    """Convert to int8, and leave some operators in float; inputs and outputs are floats.

    Args:
        static: The model, from `static_copy`.
        calibration: Training examples of the model's input types.
        nodes: The tensors that these operators write in the fp32 file.
    """
    converter = _calibrated(static, "int8", calibration)

    def make() -> Any:
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_nodes=list(nodes)
            ),
        )
        return debugger.get_nondebug_quantized_model()

    return _run(make, "int8", static)


def node_of_layer(parsed: Any, static: keras.Model, key: str) -> str:
    """Return the tensor that the operator of a layer writes in the fp32 file of a model.

    Args:
        parsed: The file.
        static: The copy that it was made of.
        key: The layer's key.

    Raises:
        ExportError: when there's no such layer, or no operator with its kernel.
    """
    layers = {each: layer for each, layer in named_layers(static).items() if kernels_of(layer)}
    kernels = list(kernels_of(layers[key]).values()) if key in layers else []
    sorted_kernels = [np.sort(kernel.numpy().ravel()) for kernel in kernels]
    for graph in flatbuffer.graphs(parsed):
        for operator in graph.operators:
            for tensor in graph.read(operator):
                if flatbuffer.is_constant(parsed, tensor) and flatbuffer.has_values(tensor):
                    values = np.sort(flatbuffer.values(parsed, tensor).ravel())
                    if any(np.array_equal(values, kernel) for kernel in sorted_kernels):
                        return flatbuffer.name_of(graph.written(operator)[0])
    if key not in layers:
        known = (each for each, layer in layers.items() if not isinstance(layer, keras.Model))
        raise ExportError(
            f"No layer {key!r} has a kernel that could stay in float. Those that have are "
            f"{', '.join(known)}."
        )
    raise ExportError(
        f"The layer {key!r} is no operator of its own in the file: the converter joined its kernel "
        "with something else, such as batch normalization. `export` folds that first; recurrent "
        "layers can't be left in float."
    )


def named_ends(content: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Bring several inputs and outputs of a file into their order, under their names.

    The converter orders outputs by chance, and numbers them in its signature.

    Args:
        content: A file of a copy from `static_copy`.
        inputs: The names of its inputs.
        outputs: The names of its outputs.
    """
    if len(inputs) == len(outputs) == 1:
        return content
    parsed = flatbuffer.parse(content, source="The file")
    (signature,), graph = parsed.signatureDefs, parsed.subgraphs[0]
    for ends, prefix, names in (
        ("inputs", "input_", inputs), ("outputs", "output_", outputs)
    ):  # fmt: skip
        found = {entry.name.decode(): entry for entry in getattr(signature, ends)}
        entries = list(found.values())
        if len(names) > 1 or prefix == "output_":
            entries = [found[f"{prefix}{number}"] for number in range(len(names))]
        for entry, name in zip(entries, names, strict=True):
            entry.name = graph.tensors[entry.tensorIndex].name = name
        setattr(signature, ends, entries)
        setattr(graph, ends, [entry.tensorIndex for entry in entries])
    return flatbuffer.pack(parsed)


def convert_sparsely(static: keras.Model) -> bytes:
    """Convert a model of batch 1 to float32 with sparsely stored weights; see `convert`.

    There is no such way for other formats: with them `Optimize.EXPERIMENTAL_SPARSITY` makes files
    that crash, give NaN or are silently wrong. In float32 it is dangerous for convolutions alone,
    see `sparse_conv`.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return _run(converter.convert, "sparse fp32", static)


def _run(make: Callable[[], Any], what: str, static: keras.Model) -> bytes:
    try:
        with quiet(), warnings.catch_warnings():
            # The ranges come from the calibration, not from the older way that this asks for.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            # The converter itself asks it for the signature, where calibration data has names.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
            return bytes(make())
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
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), structures(static)[0]
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


def check_inside(model: keras.Model, x: Examples) -> None:
    """Check that all that a network computes from calibration data is finite.

    What leaves the range of floats inside, such as outputs that a sigmoid then hides, gives a file
    that no runtime loads, or one of floats.

    Args:
        model: The model.
        x: Calibration data in the model's types.

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
    for batch in x.batches(batch_size):
        with keras.StatelessScope():  # a state that the model keeps stays as it is
            answers = inside(batch, training=False)
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
            of.dense, example=of.reference.x, objective=objective, source=source
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
