"""Any `.tflite` file, ours or not, looked at again."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from edge_nets import SPARSE, convnet, examples_for, raw, sequential
from exports import layers
from helpers import mlp
from mutated_files import mutated
from sklearn.datasets import load_digits
from tflite_files import dense_net, file_of, parsed, thinned

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.c_array import write_c_array
from tfticket.export.inspect.check import check_file, check_lines
from tfticket.export.inspect.explain import explain_file
from tfticket.export.metadata import read_provenance
from tfticket.export.micro import run_on_micro
from tfticket.export.sparse.encoding import encode_dense_layers

pytestmark = pytest.mark.slow

COMMANDS = (
    check_file,
    read_provenance,
    explain_file,
    lambda path: run_on_micro(path.read_bytes(), np.zeros((1, 8, 8, 1)), source=f"`{path}`"),
    lambda path: write_c_array(path.read_bytes(), path),
)


@pytest.mark.parametrize("format", ["fp32", "int8", "sparse_fc"])
def test_our_files_pass_and_tell_where_they_are_from(exported, format):
    seen = check_file(exported.reports[format].path)
    assert (seen.inputs, seen.count) == ("random", 200)
    assert seen.sizes.raw == exported.reports[format].size_bytes
    assert seen.provenance["format"] == format
    assert seen.delegate_difference < 0.05
    zeros = {tensor.name: tensor.zeros for tensor in seen.tensors}
    expected = [count.zeros_in_file for count in exported.reports[format].zeros]
    assert sorted(zeros.values())[-len(expected) :] == sorted(expected)
    assert json.loads(json.dumps(seen.to_dict(), default=str))["host"] == seen.host


@pytest.mark.parametrize("format", ["fp32", "int8"])
def test_raw_data_is_brought_to_the_input_as_the_file_says(exported, format):
    report = exported.reports[format]
    raw, y = load_digits(return_X_y=True)
    raw = raw.reshape(-1, 8, 8, 1)[1000:1300]
    seen = check_file(report.path, raw=raw, y=y[1000:1300])
    assert (seen.inputs, seen.count) == ("given", 300)
    assert seen.accuracy == pytest.approx(report.verification.accuracy, abs=0.01)
    assert any(line.startswith("accuracy") for line in check_lines(seen))


def test_a_foreign_file_passes_too(tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(file_of(mlp()))
    seen = check_file(path)
    assert seen.provenance is None
    assert "not made by tfticket" in check_lines(seen)[-1]
    with pytest.raises(ExportError, match="say how raw data becomes its input"):
        check_file(path, raw=np.zeros((5, 6)))


def test_data_of_another_shape_is_refused(exported):
    with pytest.raises(ExportError, match=r"examples of the shape .*\(8, 8, 1\)"):
        check_file(exported.reports["fp32"].path, raw=np.zeros((5, 6)))


def written(folder, content):
    path = folder / "foreign.tflite"
    path.write_bytes(content)
    return path


def said(seen):
    return "\n".join(check_lines(seen))


def test_a_batch_of_unknown_size_is_run_with_one(tmp_path):
    seen = check_file(written(tmp_path, raw(sequential(layers.Flatten(), layers.Dense(3)))))
    assert (seen.input.shape, seen.output.shape) == ((1, 8, 8, 1), (1, 3))
    assert "tensors inside have sides of unknown length" in said(seen)


def test_a_fixed_batch_is_run_as_it_is(tmp_path):
    model = keras.Sequential([keras.Input((6,), batch_size=5), layers.Dense(3)])
    seen = check_file(written(tmp_path, raw(model)))
    assert (seen.input.shape, seen.output.shape) == ((5, 6), (5, 3))
    assert seen.notes == ()


def test_several_inputs_and_outputs_are_run(tmp_path):
    image, ids = keras.Input((8, 8, 3)), keras.Input((4,), dtype="int32")
    seen_image = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    seen_ids = layers.Flatten()(layers.Embedding(9, 2)(ids))
    both = layers.Concatenate()([seen_image, seen_ids])
    model = keras.Model([image, ids], [layers.Dense(4)(both), layers.Dense(2)(both), seen_image])
    seen = check_file(written(tmp_path, raw(model)))
    assert {spec.shape for spec in seen.takes} == {(1, 8, 8, 3), (1, 4)}
    assert {spec.dtype for spec in seen.takes} == {"float32", "int32"}
    assert sorted(spec.shape for spec in seen.gives) == [(1, 2), (1, 4), (1, 4)]
    assert "gives float32 [1, " in said(seen)
    assert len(json.loads(json.dumps(seen.to_dict(), default=str))["gives"]) == 3


@pytest.mark.parametrize(
    ("shape", "stack"),
    [
        ((None, 4), [layers.Conv1D(5, 3), layers.GlobalMaxPooling1D()]),
        ((None, None, 3), [layers.Conv2D(4, 3, strides=2), layers.Conv2D(2, 3)]),
    ],
    ids=["sequence", "image"],
)
def test_other_sides_of_unknown_length_are_told(tmp_path, shape, stack):
    seen = check_file(written(tmp_path, raw(keras.Sequential([keras.Input(shape), *stack]))))
    assert set(seen.input.shape[1:-1]) == {32}
    assert "beside the batch they were taken for 32" in said(seen)


def test_inputs_and_outputs_of_any_type_are_run(tmp_path):
    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None, 3], tf.bool)]
    )
    def several(text, flags):
        return text, tf.logical_not(flags), tf.argmax(tf.cast(flags, tf.float32), -1)

    traced = several.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    seen = check_file(written(tmp_path, bytes(converter.convert())))
    assert {spec.dtype for spec in seen.takes} == {"bytes", "bool"}
    assert {spec.dtype for spec in seen.gives} == {"bytes", "bool", "int64"}


def test_numbers_that_only_a_logarithm_takes_are_tried_too(tmp_path):
    model = keras.Sequential([keras.Input((6,)), layers.Lambda(tf.math.log), layers.Dense(2)])
    assert check_file(written(tmp_path, raw(model))).count == 200


def test_halves_that_are_unpacked_pass(tmp_path):
    model = thinned(sequential(layers.Conv2D(16, 3), layers.GlobalAveragePooling2D()), 0.1)
    half = tf.lite.TargetSpec(supported_types=[tf.float16])
    optimizations = [*SPARSE, tf.lite.Optimize.DEFAULT]
    seen = check_file(written(tmp_path, raw(model, optimizations=optimizations, target_spec=half)))
    assert seen.operators["DENSIFY"] >= 1
    assert "Not verified on ARM" in said(seen)


def test_operators_that_nobody_here_has_are_named(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Lambda(tf.math.asinh)])
    path = written(tmp_path, raw(model, allow_custom_ops=True))
    with pytest.raises(ExportError, match=r"needs operators that LiteRT doesn't have: Asinh\. "):
        check_file(path)


def test_a_file_that_gives_nan_whatever_it_is_given_fails(tmp_path):
    model = mlp()
    model.layers[0].kernel.assign(model.layers[0].kernel * np.nan)
    with pytest.raises(ExportError, match="must give finite answers"):
        check_file(written(tmp_path, raw(model)))


def test_accuracy_at_chance_level_is_told(exported):
    path = exported.reports["fp32"].path
    images, y = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1)[1000:1300]
    assert "chance" not in said(check_file(path, raw=images, y=y[1000:1300]))
    assert "chance level" in said(check_file(path, raw=images / 255, y=y[:300]))


@pytest.mark.parametrize("command", range(len(COMMANDS)))
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "half", "noise", "missing"])
def test_damaged_and_foreign_files_give_a_clear_error(exported, tmp_path, command, damage):
    content = exported.reports["int8"].path.read_bytes()
    path = tmp_path / "damaged.tflite"
    if damage != "missing":
        noise = np.random.default_rng(0).integers(0, 256, len(content) - 8, np.uint8).tobytes()
        path.write_bytes(
            {
                "empty": b"",
                "text": b"This is no model. " * 20,
                "cut": content[:100],
                "half": content[: len(content) // 2],
                "noise": content[:8] + noise,
            }[damage]
        )
    if damage == "missing" and command > 2:
        return  # these take bytes
    with pytest.raises(ExportError) as caught:
        COMMANDS[command](path)
    assert "damaged.tflite" in str(caught.value)


def test_one_flipped_byte_of_the_weights_is_found(exported, tmp_path):
    content = bytearray(exported.reports["fp32"].path.read_bytes())
    kernel = exported.model.get_layer("output").layer.kernel.numpy()
    weights = np.ascontiguousarray(kernel.T).tobytes()
    place = bytes(content).find(weights)
    assert place > 0
    content[place + 5] ^= 0x10
    path = tmp_path / "flipped.tflite"
    path.write_bytes(bytes(content))
    for command in COMMANDS[:2]:
        with pytest.raises(ExportError, match="damaged or was changed"):
            command(path)


@pytest.fixture(scope="module")
def seeds():
    """Files of several kinds to damage."""
    keras.utils.set_random_seed(0)
    net, recurrent = convnet(), sequential(layers.LSTM(4, return_sequences=True), shape=(5, 3))
    sparse = thinned(sequential(layers.Conv2D(16, 3), layers.GlobalAveragePooling2D()), 0.1)
    dense = file_of(dense_net(16, 8, inputs=(64,)))
    names = [c.name for c in flatbuffer.constants(parsed(dense)) if c.values.ndim == 2]
    return [
        *(file_of(net, format, examples_for(net)) for format in ("fp32", "int8")),
        file_of(recurrent),
        raw(sparse, optimizations=SPARSE),
        encode_dense_layers(dense, dict.fromkeys(names, "csr"), source="it"),
    ]


@pytest.mark.parametrize("seed", range(15))
def test_a_file_with_something_wrong_passes_or_is_a_short_error(seeds, tmp_path, seed):
    """Whatever it does to the process that runs it, this one goes on."""
    path = written(tmp_path, mutated(seeds[seed % len(seeds)], seed))
    told = []
    for command in (check_file, explain_file):
        try:
            command(path)
        except ExportError as error:
            told.append(str(error))
    assert all("foreign.tflite" in message and len(message) < 1000 for message in told)


def test_a_file_that_ends_the_process_that_runs_it_ends_another_one(tmp_path):
    model = parsed(file_of(convnet()))
    convolution = model.subgraphs[0].operators[0]
    convolution.inputs = np.array([convolution.inputs[0], -1, convolution.inputs[2]], np.int32)
    path = written(tmp_path, flatbuffer.pack(model))
    # It follows a pointer to nowhere: mostly it is ended, sometimes that asks for all memory, and
    # seldom what is there looks like a tensor without values.
    ends = r"ended by SIG(SEGV|ABRT|BUS)|std::bad_alloc|was optional but was expected"
    with pytest.raises(ExportError, match=ends):
        check_file(path)


def test_a_file_that_never_ends_is_ended(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([1, 2], tf.float32)])
    def endless(x):
        return tf.while_loop(lambda x: tf.reduce_max(x) < 1e9, lambda x: [tf.tanh(x)], [x])

    traced = endless.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    path = written(tmp_path, bytes(converter.convert()))
    with pytest.raises(ExportError, match=r"within 1 s\. It took longer\. Give it more time"):
        check_file(path, timeout=1)
    with pytest.raises(ExportError, match=r"within 0 s"):
        check_file(path, timeout=0)
