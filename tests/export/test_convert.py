import keras
import numpy as np
import pytest
from exports import convnet, digits, layers

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.convert import convert
from tfticket.export.static import static_copy

pytestmark = pytest.mark.usefixtures("seeded")


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
