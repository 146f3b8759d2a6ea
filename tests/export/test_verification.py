from dataclasses import replace

import keras
import numpy as np
import pytest
from helpers import mlp

from tfticket.errors import ExportError
from tfticket.export.labels import Labels
from tfticket.export.preparation import predictions, static_copy
from tfticket.export.runtime import Examples
from tfticket.export.tflite import to_tflite
from tfticket.export.verification import (
    Expected,
    Reference,
    check_size,
    predicted_bytes,
    verify,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def reference(exported):
    x = exported.x[1300:1550]
    outputs = predictions(exported.model, x)
    labels = Labels.of(exported.y[1300:1550], outputs, "y")
    return Reference(Examples((x,)), (Expected("output", outputs, labels),), "given")


def changed(reference, **changes):
    """With other outputs or labels, or other fields."""
    own = {name: changes.pop(name) for name in ("outputs", "labels") if name in changes}
    (expected,) = reference.expected
    return replace(reference, expected=(replace(expected, **own),), **changes)


def outputs_of(reference):
    return reference.expected[0].outputs


def run(exported, reference, format="fp32", min_agreement=0.95):
    content = exported.reports[format].path.read_bytes()
    return verify(content, reference, format=format, min_agreement=min_agreement, source="The file")


def test_what_is_found_is_what_keras_says(exported, reference):
    found = run(exported, reference)
    right = outputs_of(reference).argmax(-1) == exported.y[1300:1550]
    assert found.keras_accuracy == found.accuracy == pytest.approx(right.mean())
    assert found.agreement == 1.0
    assert found.max_difference == pytest.approx(
        found.relative_difference * np.abs(outputs_of(reference)).max()
    )


def test_without_labels_there_is_no_accuracy(exported, reference):
    found = run(exported, changed(reference, labels=None))
    assert found.accuracy is None
    assert found.keras_accuracy is None
    assert found.agreement == 1.0


@pytest.mark.parametrize("format", ["fp32", "fp16"])
def test_other_outputs_fail(exported, reference, format):
    with pytest.raises(ExportError, match="must answer as the Keras model does"):
        run(exported, changed(reference, outputs=outputs_of(reference) * 1.05), format)


@pytest.mark.parametrize("format", ["dynamic", "int8"])
def test_other_answers_fail(exported, reference, format):
    turned = changed(reference, outputs=np.roll(outputs_of(reference), 1, axis=1))
    with pytest.raises(ExportError, match=r"at least 95\.0% of 250 inputs"):
        run(exported, turned, format)
    assert run(exported, turned, format, min_agreement=0.0).agreement < 0.5


def test_random_inputs_hold_quantized_files_to_their_outputs(exported, reference):
    turned = np.roll(outputs_of(reference), 1, axis=1)
    with pytest.raises(ExportError, match=r"to 0\.25 of the range"):
        run(exported, changed(reference, outputs=turned, inputs="random"), "int8", 0.0)


def test_a_model_of_lower_precision_is_held_to_that(exported, reference):
    near = changed(reference, outputs=outputs_of(reference) * 1.002)
    with pytest.raises(ExportError, match="must answer"):
        run(exported, near)
    assert run(exported, changed(near, reduced_precision=True)).agreement == 1.0


def test_damaged_bytes_fail(exported, reference):
    content = exported.reports["fp32"].path.read_bytes()
    with pytest.raises(ExportError, match=r"^The file must load and run in LiteRT"):
        verify(content[:5000], reference, format="fp32", min_agreement=0.9, source="The file")


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
