import functools

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_nets import convnet, examples_for, int8_of, layers, raw, sequential
from tflite_files import answers, dense_net, file_of, parsed

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, micro
from tfticket.export.activations import arena_lower_bound
from tfticket.export.micro import has_micro, run_on_micro
from tfticket.export.micro_rules import (
    FLOAT_ONLY,
    MAX_RANK_OF,
    OPERATORS,
    WEIGHTED,
    check_micro,
    violations,
)
from tfticket.export.runtime import Session
from tfticket.export.sparse.encoding import encode_dense_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
FORMATS = ("fp32", "fp16", "dynamic", "int8")
X = np.zeros((3, 8, 8, 1), "float32")
needs_micro = pytest.mark.skipif(not has_micro(), reason="tflite-micro isn't installed")


@pytest.fixture(scope="module")
def net():
    """Format to file of one small network."""
    keras.utils.set_random_seed(7)
    model = convnet()
    return {name: file_of(model, name, examples_for(model)) for name in FORMATS}


def ending_in(activation):
    return sequential(layers.Flatten(), layers.Dense(4, activation=activation))


def wide():
    """Eleven tensors joined."""
    given = keras.Input((8, 8, 1))
    flat = layers.Flatten()(given)
    return keras.Model(given, layers.Concatenate()([layers.Dense(2)(flat) for _ in range(11)]))


def deep():
    """A slice of a tensor with five sides."""
    given = keras.Input((8, 8, 1))
    parts = layers.Dense(4)(layers.Reshape((2, 2, 4, 4))(given))
    return keras.Model(given, parts[:, :, :, 1:])


UNSUPPORTED = {
    "EXP": lambda: ending_in("exponential"),
    "GELU": lambda: ending_in("gelu"),
    "CONCATENATION": wide,
    "STRIDED_SLICE": deep,
}


@functools.cache
def unsupported(operator):
    """A file whose operator the linter and the runtime itself must refuse."""
    return int8_of(UNSUPPORTED[operator]())


def found(content):
    return "\n".join(violations(parsed(content)))


def test_the_table_names_operators_of_the_format():
    known = {name for name in vars(schema.BuiltinOperator) if name.isupper()}
    assert known >= OPERATORS
    assert len(OPERATORS) == 100
    assert FLOAT_ONLY | set(WEIGHTED) | set(MAX_RANK_OF) <= OPERATORS


def test_an_int8_file_is_accepted(net):
    content = net["int8"]
    check_micro(parsed(content), "`it`")
    assert violations(parsed(content)) == ()


@pytest.mark.parametrize("format", ["fp32", "fp16", "dynamic"])
def test_floats_are_refused_with_everything_that_is_wrong(net, format):
    content = net[format]
    with pytest.raises(ExportError) as error:
        check_micro(parsed(content), "`it`")
    message = str(error.value)
    assert message.startswith("`it` must be a file that TensorFlow Lite Micro runs")
    assert "the input `serving_default_input:0` of type FLOAT32" in message
    assert "the output" in message
    assert "tensors of type FLOAT32" in message
    if format == "dynamic":
        assert "FULLY_CONNECTED with FLOAT32 data and INT8 weights" in message
        assert "CONV_2D with FLOAT32 data and" in message


def test_operators_that_it_does_not_have_are_named():
    assert "operators that it doesn't have: GELU." in found(unsupported("GELU"))


def test_operators_that_it_has_for_floats_only_are_named():
    assert "operators that it has for floats only: EXP." in found(unsupported("EXP"))


def test_islands_of_floats_are_found():
    content = int8_of(sequential(layers.Conv2D(4, 3), layers.GroupNormalization(2)))
    assert "tensors of type FLOAT32: " in found(content)


def test_a_batch_of_unknown_size_is_found():
    assert "sides of unknown length" in found(raw(dense_net(4, 2)))


def test_sparse_storage_is_refused():
    content = file_of(dense_net(16, 4, density=0.1, inputs=(64,)))
    name = next(c.name for c in flatbuffer.constants(parsed(content)) if c.values.ndim == 2)
    sparse = encode_dense_layers(content, {name: "csr"}, source="it")
    assert "which it would read as dense" in found(sparse)
    assert "which it would read as dense" not in found(content)


def test_too_many_sides_and_inputs_are_found(net):
    model = parsed(net["int8"])
    model.subgraphs[0].tensors[0].shape = np.array([1, 1, 1, 1, 8, 8, 1], np.int32)
    assert any("more than 6 sides in `serving_default" in line for line in violations(model))
    assert "CONCATENATION of 11 tensors; it takes 10" in found(unsupported("CONCATENATION"))
    assert "STRIDED_SLICE of " in found(unsupported("STRIDED_SLICE"))


def test_custom_operators_subgraphs_and_outside_buffers_are_found(net):
    model = parsed(net["int8"])
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexErf"
    model.subgraphs.append(model.subgraphs[0])
    model.buffers[model.subgraphs[0].tensors[0].buffer].offset = 4096
    lines = "\n".join(violations(model))
    assert "doesn't have: custom:FlexErf" in lines
    assert "2 subgraphs; there must be one" in lines
    assert "stored outside of the file's tables" in lines


def test_the_arena_holds_what_is_needed_at_the_same_time():
    # 8 x 8 and the 6 x 6 x 4 made of it; then 144 and the copy that a dense layer reads.
    content = int8_of(sequential(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)))
    assert arena_lower_bound(parsed(content)) == 144 + 144
    # A residual connection keeps 256 bytes while 64 become 256.
    image = keras.Input((8, 8, 4))
    wide = layers.Conv2D(1, 1)(image)
    sum_ = layers.Add()([image, layers.Conv2D(4, 1)(wide)])
    assert arena_lower_bound(parsed(int8_of(keras.Model(image, sum_)))) == 3 * 256


@needs_micro
def test_micro_answers_as_litert_does_in_the_memory_that_was_foretold(net):
    content = net["int8"]
    x = examples_for(convnet(), 100, seed=1)
    run = run_on_micro(content, x, source="`it`")
    expected = answers(content, x, delegate=False)
    assert run.outputs.shape == expected.shape == (100, 10)
    scale = Session(content, source="it").output.scale
    assert np.abs(run.outputs - expected).max() <= scale * 1.01
    assert (run.outputs.argmax(1) == expected.argmax(1)).mean() >= 0.99
    assert run.arena.activation_bytes >= arena_lower_bound(parsed(content))
    assert run.arena.arena_bytes > run.arena.activation_bytes


@needs_micro
@pytest.mark.parametrize("operator", UNSUPPORTED)
def test_micro_itself_says_what_the_linter_says(operator):
    content = unsupported(operator)
    said = operator if operator == "GELU" else f"{operator} .* failed"
    assert violations(parsed(content))
    x = np.ones((1, 8, 8, 1), "float32")
    with pytest.raises(ExportError, match=f"must load and run in TensorFlow Lite Micro.*{said}"):
        micro._run(content, x, "`it`", 60, None)


@needs_micro
def test_what_does_not_fit_is_refused_before_it_runs(net):
    content = net["int8"]
    with pytest.raises(ExportError, match=r"of the shape \(8, 8, 1\)"):
        run_on_micro(content, X[:3, :4])
    with pytest.raises(ExportError, match="int8 throughout"):
        run_on_micro(net["fp32"], X[:3])
    with pytest.raises(ExportError, match=r"within 0 s"):
        run_on_micro(content, X[:3], timeout=0)


def test_a_missing_package_is_told(net, monkeypatch):
    monkeypatch.setattr("tfticket.export.micro.has_micro", lambda: False)
    with pytest.raises(ExportError, match=r"pip install 'tfticket\[micro\]'"):
        run_on_micro(net["int8"], X[:1])
