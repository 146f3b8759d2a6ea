import keras
import numpy as np
import pytest
from helpers import mlp

from tfticket.errors import ExportError
from tfticket.export.predict import check_size, predicted_bytes
from tfticket.export.static import static_copy
from tfticket.export.tflite import to_tflite

layers = keras.layers


@pytest.mark.parametrize("format", ["fp32", "fp16", "dynamic", "int8", "int4"])
def test_files_are_about_as_large_as_foretold(exported, format):
    report = exported.reports[format]
    assert report.predicted_bytes < report.size_bytes < report.predicted_bytes + 12_000


def test_sparse_files_depend_on_their_zeros(exported):
    assert exported.reports["sparse_fc"].predicted_bytes is None


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    @keras.saving.register_keras_serializable(package="tests")
    class Shifted(layers.Layer):
        def call(self, x):
            rows = np.arange(x.shape[-1] * 4000, dtype="float32").reshape(x.shape[-1], 4000)
            return keras.ops.sum(keras.ops.matmul(x, rows) * 1e-6, -1, keepdims=True)

    model = keras.Sequential([keras.Input((64,)), layers.Dense(20), Shifted()])
    with pytest.raises(ExportError, match=r"about as large as its weights, 5,200 bytes"):
        to_tflite(model, tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []


def test_the_prediction_counts_kernels_by_format_and_the_rest_as_floats():
    static = static_copy(mlp((6, 5, 3)))
    assert predicted_bytes(static, "fp32") == 4 * (45 + 8)
    assert predicted_bytes(static, "int4") == round(0.5 * 45 + 4 * 8)
    check_size(50_000, static, "fp32", "It")
    with pytest.raises(ExportError, match=r"^It must be"):
        check_size(500_000, static, "int8", "It")
