"""Small `.tflite` files of the kinds that people publish, each as bytes; see `KINDS`."""

from __future__ import annotations

import io
import tempfile
import warnings
import zipfile

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from edge_nets import convnet, examples_for, raw
from flatbuffers import flexbuffers
from several_ends import Ring, streaming
from tflite_files import dense_net, file_of, parsed

from tfticket.export import flatbuffer
from tfticket.export.sparse.encoding import encode_dense_layers
from tfticket.quiet import quiet

layers = keras.layers
INT8 = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
TYPES = vars(schema.TensorType)


def wake_word():
    """As microWakeWord's: ring buffers in variables, int8 in, uint8 out, one step at a time."""
    model = streaming(Ring(3))
    steps = [[examples_for(model, 1, seed)] for seed in range(30)]
    return raw(
        model, optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=lambda: steps,
        target_spec=tf.lite.TargetSpec(supported_ops=INT8), inference_input_type=tf.int8,
        inference_output_type=tf.uint8, _experimental_variable_quantization=True,
    )  # fmt: skip


def landmarks():
    """As those of faces and hands: several outputs, weights of 16 bits that are unpacked."""
    image = keras.Input((16, 16, 3), batch_size=1)
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(image))
    points = layers.Dense(21)(seen)
    score = layers.Dense(1, activation="sigmoid")(seen)
    half = tf.lite.TargetSpec(supported_types=[tf.float16])
    model = keras.Model(image, [points, score])
    return raw(model, optimizations=[tf.lite.Optimize.DEFAULT], target_spec=half)


def from_functions(module, *functions, **attributes):
    traced = [function.get_concrete_function() for function in functions]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(traced, module)
    for name, value in attributes.items():
        setattr(converter, name, value)
    with quiet():
        return bytes(converter.convert())


def pitch():
    """As SPICE: sound of any length, two curves out."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def curves(sound):
        frames = tf.nn.avg_pool1d(sound[None, :, None], 4, 4, "VALID")[0, :, 0]
        return {"pitch": tf.sigmoid(frames), "uncertainty": tf.abs(frames)}

    return from_functions(tf.Module(), curves)


def tensor(model, name, shape, kind, *, values=None, scale=None, zero_point=0):
    """Add a tensor to the first graph of a file that is put together by hand."""
    made = schema.TensorT()
    made.name, made.shape, made.type = name, list(shape), TYPES[kind]
    model.buffers.append(schema.BufferT())
    made.buffer = len(model.buffers) - 1
    if values is not None:
        model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    if scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    model.subgraphs[0].tensors.append(made)
    return len(model.subgraphs[0].tensors) - 1


def by_hand(code, custom=None, options=None):
    """A model of one operator without tensors; returns it and the operator."""
    model, graph, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    model.operatorCodes = [schema.OperatorCodeT()]
    # As files of 2018 and 2019 have it: the number stands in the older field.
    model.operatorCodes[0].deprecatedBuiltinCode = code
    model.operatorCodes[0].builtinCode = code
    model.operatorCodes[0].customCode = custom
    model.operatorCodes[0].version = 1
    graph.tensors, graph.operators = [], [operator]
    operator.builtinOptions, operator.opcodeIndex = options, 0
    return model, operator


def old_uint8():
    """As the first quantized MobileNets: uint8 throughout, one scale a tensor, no signature."""
    options = schema.FullyConnectedOptionsT()
    model, operator = by_hand(schema.BuiltinOperator.FULLY_CONNECTED, options=options)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    rng, graph = np.random.default_rng(0), model.subgraphs[0]
    weights = rng.integers(0, 256, (5, 8)).astype(np.uint8)
    given = tensor(model, "input", (1, 8), "UINT8", scale=0.0078125, zero_point=128)
    kernel = tensor(model, "w", (5, 8), "UINT8", values=weights, scale=0.02, zero_point=121)
    bias = tensor(model, "b", (5,), "INT32", values=np.arange(5, dtype=np.int32), scale=0.00015625)
    made = tensor(model, "output", (1, 5), "UINT8", scale=0.05, zero_point=100)
    operator.inputs, operator.outputs = [given, kernel, bias], [made]
    graph.inputs, graph.outputs = [given], [made]
    return flatbuffer.pack(model)


def detection():
    """As SSD detectors end: the custom operator that decodes boxes and drops overlapping ones."""
    model, operator = by_hand(schema.BuiltinOperator.CUSTOM, b"TFLite_Detection_PostProcess")
    told = {
        "max_detections": 3, "max_classes_per_detection": 1, "detections_per_class": 1,
        "use_regular_nms": False, "nms_score_threshold": 0.0, "nms_iou_threshold": 0.5,
        "num_classes": 2, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    operator.customOptions = np.frombuffer(flexbuffers.Dumps(told), np.uint8)
    anchors = np.random.default_rng(0).random((6, 4)).astype(np.float32) + 0.1
    boxes = tensor(model, "boxes", (1, 6, 4), "FLOAT32")
    classes = tensor(model, "classes", (1, 6, 3), "FLOAT32")
    known = tensor(model, "anchors", (6, 4), "FLOAT32", values=anchors)
    outputs = [
        tensor(model, name, shape, "FLOAT32")
        for name, shape in (("places", (1, 3, 4)), ("kinds", (1, 3)), ("scores", (1, 3)),
                            ("count", (1,)))
    ]  # fmt: skip
    operator.inputs, operator.outputs = [boxes, classes, known], outputs
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = [boxes, classes], outputs
    return flatbuffer.pack(model)


def sixteen_by_eight():
    model = convnet()
    return file_of(model, "int16x8", examples_for(model))


def dynamic_range():
    """Weights of 8 bits, computed with floats (large enough for the converter to round them)."""
    return file_of(dense_net(64, 10, density=1.0, inputs=(64,)), "dynamic")


def sparse():
    content = file_of(dense_net(64, 10, density=0.02, inputs=(64,)))
    names = [c.name for c in flatbuffer.constants(parsed(content)) if c.values.ndim == 2]
    return encode_dense_layers(content, {names[0]: "csr"}, source="it")


def flex():
    """Operators of TensorFlow, by SELECT_TF_OPS."""

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    def unusual(x):
        return tf.linalg.inv(tf.reshape(x, [2, 2]))

    spec = tf.lite.TargetSpec(
        supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    )
    return from_functions(tf.Module(), unusual, target_spec=spec)


def control_flow():
    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    def loop(x):
        return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, tf.tanh(x)), [0, x])[1]

    return from_functions(tf.Module(), loop)


def two_signatures():
    class Both(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def encode(self, x):
            return {"code": x[:, :2]}

        @tf.function(input_signature=[tf.TensorSpec([1, 2], tf.float32)])
        def decode(self, code):
            return {"x": tf.tile(code, [1, 2])}

    both = Both()
    with tempfile.TemporaryDirectory() as folder, quiet():
        tf.saved_model.save(both, folder, {"encode": both.encode, "decode": both.decode})
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["encode", "decode"]
        )
        return bytes(converter.convert())


def words():
    """Text in, and a table of words that is looked up."""

    class Lookup(tf.Module):
        def __init__(self):
            keys, values = tf.constant(["yes", "no"]), tf.constant([1, 2], tf.int64)
            rows = tf.lookup.KeyValueTensorInitializer(keys, values)
            self.table = tf.lookup.StaticHashTable(rows, 0)

        @tf.function(input_signature=[tf.TensorSpec([2], tf.string)])
        def find(self, text):
            return self.table.lookup(text)

    module = Lookup()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_functions(module, module.find)


def with_labels():
    """Metadata, and names of classes in an archive behind the file."""
    model = parsed(file_of(dense_net(3)))
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(b"M001" * 8, np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("labels.txt", "cat\ndog\nbird\n")
    return flatbuffer.pack(model) + archive.getvalue()


KINDS = {
    made.__name__: made
    for made in (
        wake_word, landmarks, pitch, old_uint8, detection, sixteen_by_eight, dynamic_range, sparse,
        flex, control_flow, two_signatures, words, with_labels,
    )
}  # fmt: skip
