import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_files import (
    answers,
    dense_net,
    file_of,
    inputs_for,
    largest_difference,
    layers,
    parsed,
    thinned,
    weights_in,
)

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.sparse.encoding import dense_layers, encode_dense_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def net():
    """Three layers, of which the last has 10 inputs, and so no blocks of 4."""
    keras.utils.set_random_seed(0)
    return file_of(dense_net(24, 10, 3, inputs=(40,)))


def found_in(content):
    return dense_layers(parsed(content), source="it")


def all_as(content, encoding):
    """Each layer in this way, where it has it."""
    choices = {
        layer.tensor: encoding for layer in found_in(content)[0] if encoding in layer.stored_bytes
    }
    assert choices
    return encode_dense_layers(content, choices, source="it")


def versions(content):
    model = parsed(content)
    return [
        model.operatorCodes[operator.opcodeIndex].version
        for operator in model.subgraphs[0].operators
        if flatbuffer.operator_name(model, operator) == "FULLY_CONNECTED"
    ]


@pytest.mark.parametrize("encoding", ["csr", "block_1x4"])
def test_answers_and_weights_stay_and_bytes_go(net, encoding):
    made = all_as(net, encoding)
    assert len(made) < 0.75 * len(net)
    assert largest_difference(made, net) < 1e-5
    assert weights_in(made).keys() == weights_in(net).keys()
    for name, values in weights_in(net).items():
        np.testing.assert_array_equal(weights_in(made)[name], values)
    assert flatbuffer.has_sparse_tensors(parsed(made))
    assert not flatbuffer.has_sparse_tensors(parsed(net))
    assert "DENSIFY" not in flatbuffer.operators(parsed(made))


def test_only_layers_that_are_stored_sparsely_need_the_newer_operator(net):
    assert versions(net) == [1, 1, 1]
    assert versions(all_as(net, "csr")) == [8, 8, 8]
    assert versions(all_as(net, "block_1x4")) == [8, 8, 1]
    first = found_in(net)[0][0].tensor
    assert versions(encode_dense_layers(net, {first: "csr"}, source="it")) == [8, 1, 1]


def test_the_file_says_which_runtime_it_needs(net):
    def needed(content):
        model = parsed(content)
        (entry,) = [e for e in model.metadata if e.name == b"min_runtime_version"]
        return bytes(model.buffers[entry.buffer].data)

    assert needed(net).rstrip(b"\0") == b"1.5.0"
    assert needed(all_as(net, "csr")) == b"2.3.0".ljust(len(needed(net)), b"\0")


def test_blocks_need_a_multiple_of_four_inputs(net):
    last = found_in(net)[0][-1]
    assert last.weights.shape == (3, 10)
    assert "block_1x4" not in last.stored_bytes
    with pytest.raises(ExportError, match=r"multiple of 4 inputs. Received: `.*` with 10"):
        encode_dense_layers(net, {last.tensor: "block_1x4"}, source="it")


def test_the_same_choices_give_the_same_bytes(net):
    choices = {layer.tensor: "csr" for layer in found_in(net)[0]}
    backwards = dict(reversed(choices.items()))
    made = encode_dense_layers(net, choices, source="it")
    assert made == encode_dense_layers(net, backwards, source="it")
    assert made == flatbuffer.pack(parsed(made))
    assert net == encode_dense_layers(net, dict.fromkeys(choices, "dense"), source="it")


def test_bytes_are_those_of_the_weights(net):
    for layer in found_in(net)[0]:
        assert layer.stored_bytes["dense"] == layer.weights.nbytes
        kept = layer.weights.size - layer.zeros
        rows = layer.weights.shape[0]
        assert layer.stored_bytes["csr"] == 5 * kept + rows + 1


def test_weights_of_two_operators_are_stored_once():
    inputs = keras.Input((16,))
    shared = layers.Dense(16)
    content = file_of(thinned(keras.Model(inputs, shared(keras.ops.relu(shared(inputs)))), 0.1))
    assert len(found_in(content)[0]) == 1
    made = all_as(content, "csr")
    assert versions(made) == [8, 8]
    assert largest_difference(made, content) < 1e-5


def test_tensors_that_share_their_data_are_told_apart():
    content = file_of(dense_net(8, 8, inputs=(8,)))
    model = parsed(content)
    one, two = (layer.tensor for layer in found_in(content)[0])
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    tensors[two].buffer = tensors[one].buffer
    joined = flatbuffer.pack(model)
    made = encode_dense_layers(joined, {one: "csr"}, source="it")
    assert versions(made) == [8, 1]
    assert largest_difference(made, joined) < 1e-5


def test_layers_of_sequences_are_stored_sparsely_too():
    inputs = keras.Input((5, 16))
    model = keras.Model(inputs, layers.Dense(12)(layers.Dense(8, activation="relu")(inputs)))
    content = file_of(thinned(model, 0.1))
    assert flatbuffer.operators(parsed(content))["FULLY_CONNECTED"] == 2
    for encoding in ("csr", "block_1x4"):
        made = all_as(content, encoding)
        assert largest_difference(made, content) < 1e-5
        assert answers(made, inputs_for(made)).shape == (20, 5, 12)


def test_a_layer_of_zeros_alone_runs():
    content = file_of(dense_net(8, 8, density=0.0))
    for encoding in ("csr", "block_1x4"):
        made = all_as(content, encoding)
        assert largest_difference(made, content) < 1e-5
        assert all((values == 0).all() for values in weights_in(made).values())


def test_layers_without_zeros_and_without_gain_stay():
    model = dense_net(8, 8, density=1.0)
    model.layers[1].kernel.assign(np.where(np.eye(8), 0.0, model.layers[1].kernel))
    content = file_of(model)
    (layer,), left = found_in(content)
    assert set(layer.stored_bytes) == {"dense"}  # an eighth of zeros doesn't pay for the places
    assert list(left.values()) == ["has no zeros"]
    with pytest.raises(ExportError, match="has no zeros"):
        encode_dense_layers(content, dict.fromkeys(left, "csr"), source="it")


def test_weights_that_others_read_stay(net):
    def output(model, operator):
        graph = model.subgraphs[0]
        graph.outputs = np.append(graph.outputs, operator.inputs[1])

    def shuffled(model, operator):
        operator.builtinOptions.weightsFormat = 1

    def newer(model, operator):
        model.operatorCodes[operator.opcodeIndex].version = 9

    for edit, why in [(output, "an output"), (shuffled, "shuffled"), (newer, "newer")]:
        model = parsed(net)
        edit(model, model.subgraphs[0].operators[0])
        _, left = dense_layers(model, source="it")
        assert why in next(iter(left.values()))


def test_weights_that_another_operator_reads_stay():
    model = parsed(file_of(dense_net(8, 8, inputs=(8,))))
    graph = model.subgraphs[0]
    first, second = graph.operators
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.NEG
    code.version = 1
    model.operatorCodes.append(code)
    second.opcodeIndex, second.inputs = len(model.operatorCodes) - 1, first.inputs[1:2]
    _, left = dense_layers(model, source="it")
    assert list(left.values()) == ["is read by NEG"]


def test_computed_weights_stay(net):
    model = parsed(net)
    operator = model.subgraphs[0].operators[1]
    operator.inputs = [operator.inputs[0], operator.inputs[0], *operator.inputs[2:]]
    _, left = dense_layers(model, source="it")
    assert "is computed, not constant" in left.values()


def test_weights_that_are_sparse_already_stay(net):
    made = all_as(net, "block_1x4")
    (last,), left = found_in(made)
    assert set(left.values()) == {"is stored sparsely already"}
    assert last.weights.shape == (3, 10)
    again = encode_dense_layers(made, {last.tensor: "csr"}, source="it")
    assert versions(again) == [8, 8, 8]
    assert largest_difference(again, net) < 1e-5


@pytest.mark.parametrize("format", ["fp16", "dynamic", "int8"])
def test_weights_that_are_not_float32_are_refused(format):
    model = dense_net(64, 64, inputs=(64,), density=0.05)
    x = np.random.default_rng(0).normal(size=(20, 64)).astype("float32")
    content = file_of(model, format, x)
    stored = {"fp16": "FLOAT16"}.get(format, "INT8")
    with pytest.raises(ExportError, match=rf"Only float32 weights.*the net with `.*` \({stored}\)"):
        dense_layers(parsed(content), source="the net")


@pytest.mark.parametrize(
    ("choices", "message"),
    [({"nobody": "csr"}, "the net has no such weights"), ({"nobody": "coo"}, "must be one of")],
)
def test_choices_that_cannot_be_met_are_refused(net, choices, message):
    with pytest.raises(ExportError, match=message):
        encode_dense_layers(net, choices, source="the net")
