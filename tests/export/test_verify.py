import numpy as np
import pytest

from tfticket.errors import ExportError
from tfticket.export.labels import Labels
from tfticket.export.static import predictions
from tfticket.export.verify import Reference, verify


@pytest.fixture
def reference(exported):
    x = exported.x[1300:1550]
    outputs = predictions(exported.model, x)
    return Reference(x, outputs, Labels.of(exported.y[1300:1550], outputs, "y"), "given")


def changed(reference, **changes):
    return Reference(**{**vars(reference), **changes})


def run(exported, reference, format="fp32", min_agreement=0.95):
    content = exported.reports[format].path.read_bytes()
    return verify(content, reference, format=format, min_agreement=min_agreement, source="The file")


def test_what_is_found_is_what_keras_says(exported, reference):
    found = run(exported, reference)
    right = reference.outputs.argmax(-1) == exported.y[1300:1550]
    assert found.keras_accuracy == found.accuracy == pytest.approx(right.mean())
    assert found.agreement == 1.0
    assert found.max_difference == pytest.approx(
        found.relative_difference * np.abs(reference.outputs).max()
    )


def test_without_labels_there_is_no_accuracy(exported, reference):
    found = run(exported, changed(reference, labels=None))
    assert found.accuracy is None
    assert found.keras_accuracy is None
    assert found.agreement == 1.0


@pytest.mark.parametrize("format", ["fp32", "fp16"])
def test_other_outputs_fail(exported, reference, format):
    with pytest.raises(ExportError, match="must answer as the Keras model does"):
        run(exported, changed(reference, outputs=reference.outputs * 1.05), format)


@pytest.mark.parametrize("format", ["dynamic", "int8"])
def test_other_answers_fail(exported, reference, format):
    turned = changed(reference, outputs=np.roll(reference.outputs, 1, axis=1))
    with pytest.raises(ExportError, match=r"at least 95\.0% of 250 inputs"):
        run(exported, turned, format)
    assert run(exported, turned, format, min_agreement=0.0).agreement < 0.5


def test_random_inputs_hold_quantized_files_to_their_outputs(exported, reference):
    turned = np.roll(reference.outputs, 1, axis=1)
    with pytest.raises(ExportError, match=r"to 0\.25 of the range"):
        run(exported, changed(reference, outputs=turned, inputs="random"), "int8", 0.0)


def test_a_model_of_lower_precision_is_held_to_that(exported, reference):
    near = changed(reference, outputs=reference.outputs * 1.002)
    with pytest.raises(ExportError, match="must answer"):
        run(exported, near)
    assert run(exported, changed(near, reduced_precision=True)).agreement == 1.0


def test_damaged_bytes_fail(exported, reference):
    content = exported.reports["fp32"].path.read_bytes()
    with pytest.raises(ExportError, match=r"^The file must load and run in LiteRT"):
        verify(content[:5000], reference, format="fp32", min_agreement=0.9, source="The file")
