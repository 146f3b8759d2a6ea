import subprocess
import sys

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from exports import convnet, digits
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
from tfticket.export.conversion import convert, quantize_weights_int4
from tfticket.export.preparation import static_copy
from tfticket.export.sparse.encoding import dense_layers, encode_dense_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def net():
    """An odd number of weights in one layer, and a unit of another that is dead."""
    keras.utils.set_random_seed(0)
    model = dense_net(32, 5, inputs=(33,), density=0.3)
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(32) == 7, 0.0, kernel))
    return file_of(model)


def test_weights_take_4_bits_and_zeros_stay(net):
    made = quantize_weights_int4(net)
    before, after = weights_in(net), weights_in(made)
    assert after.keys() == before.keys()
    for name, values in after.items():
        assert values.dtype == np.int8
        assert (values.min(), values.max()) == (-7, 7)
        assert (values[before[name] == 0] == 0).all()
    stored = [
        (len(model.buffers[tensor.buffer].data), int(np.prod(tensor.shape)))
        for model in [parsed(made)]
        for tensor in model.subgraphs[0].tensors
        if tensor.type == schema.TensorType.INT4
    ]
    assert stored
    assert all(size == -(-count // 2) for size, count in stored)


def test_each_number_is_read_from_its_own_half_byte(net):
    made = parsed(quantize_weights_int4(net))
    for tensor in made.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT4:
            scale = np.asarray(tensor.quantization.scale)[:, None]
            exact = weights_in(net)[tensor.name.decode()]
            error = np.abs(flatbuffer.values(made, tensor) * scale - exact)
            assert (error <= 0.5001 * scale).all()


def test_the_file_answers_nearly_as_before(net):
    made = quantize_weights_int4(net)
    span = np.ptp(answers(net, inputs_for(net)))
    assert 0 < largest_difference(made, net) < 0.15 * span
    assert np.isfinite(answers(made, inputs_for(made))).all()


def test_convolutions_are_rounded_too():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    content = file_of(thinned(model, 0.5))
    made = quantize_weights_int4(content)
    assert {values.dtype for values in weights_in(made).values()} >= {np.dtype(np.int8)}
    assert largest_difference(made, content) < 0.2 * np.ptp(answers(content, inputs_for(content)))


def test_equal_files_give_equal_bytes_and_nothing_is_printed(net, tmp_path, capfd):
    made = quantize_weights_int4(net)
    assert made == quantize_weights_int4(net) == flatbuffer.pack(parsed(made))
    assert capfd.readouterr() == ("", "")
    (tmp_path / "net.tflite").write_bytes(net)
    code = (
        "import sys; from tfticket.export.conversion import quantize_weights_int4 as q;"
        "sys.stdout.buffer.write(q(open(sys.argv[1], 'rb').read()))"
    )
    command = [sys.executable, "-c", code, tmp_path / "net.tflite"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == made


def test_sparsely_stored_weights_are_refused(net):
    name = dense_layers(parsed(net), source="it")[0][0].tensor
    sparse = encode_dense_layers(net, {name: "csr"}, source="it")
    with pytest.raises(ExportError, match="Received: mine with sparsely stored weights"):
        quantize_weights_int4(sparse, source="mine")


@pytest.mark.parametrize(("format", "kind"), [("fp16", "FLOAT16"), ("int8", "INT8")])
def test_weights_that_are_rounded_already_are_refused(format, kind):
    x = np.random.default_rng(0).normal(size=(20, 16)).astype("float32")
    content = file_of(dense_net(8, 8), format, x)
    with pytest.raises(ExportError, match=rf"must be float32 .* \({kind}\)"):
        quantize_weights_int4(content)


def test_a_file_without_such_weights_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization()])
    with pytest.raises(ExportError, match="none was rounded"):
        quantize_weights_int4(file_of(model))


def test_what_is_missing_is_named(net, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(ExportError, match=r"pip install 'tfticket\[int4\]'"):
        quantize_weights_int4(net)


def test_no_weight_is_stored_sparsely_where_nobody_asks(exported):
    for format in ("fp32", "fp16", "dynamic", "int8"):
        report = exported.reports[format]
        model = flatbuffer.parse(report.path.read_bytes(), source="it")
        assert "DENSIFY" not in flatbuffer.operators(model)
        assert all(t.sparsity is None for graph in model.subgraphs for t in graph.tensors)


def test_calibration_data_that_does_not_fit_is_an_export_error():
    with pytest.raises(ExportError, match="could not convert the model to int8"):
        convert(static_copy(convnet()), "int8", digits()[0][:5, :4])


def recurrent(layer):
    return static_copy(keras.Sequential([keras.Input((4, 3)), layer, layers.Dense(2)]))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_loops_are_refused_where_calibrating_them_would_end_the_process(kind):
    x = np.random.default_rng(0).normal(size=(9, 4, 3)).astype("float32")
    with pytest.raises(ExportError, match=r"loops in \[.*while.*choose dynamic"):
        convert(recurrent(getattr(layers, kind)(5)), "int8", x)


def test_an_unrolled_layer_has_no_loops():
    x = np.random.default_rng(0).normal(size=(9, 4, 3)).astype("float32")
    content = convert(recurrent(layers.SimpleRNN(5, unroll=True)), "int8", x)
    assert "WHILE" not in flatbuffer.operators(flatbuffer.parse(content, source="it"))
