import keras
import numpy as np
import pytest
from helpers import mlp

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent
from tfticket.interop.comparing import compare


def content(inputs, outputs):
    return LegacyContent({}, (), tuple(inputs), tuple(outputs), {})


@pytest.fixture
def model(seeded):
    return mlp()


X = np.ones((4, 6), "float32")


def test_equal_outputs_and_the_largest_difference(model):
    y = model(X).numpy()
    assert compare(content([X], [y]), model, source="m") == 0.0
    y[0, 0] += 4e-6
    assert compare(content([X], [y]), model, source="m") == pytest.approx(4e-6, rel=0.1)


def test_large_outputs_are_held_to_their_size(model):
    output = model.get_layer("output")
    output.bias.assign([1000.0, 0.0, 0.0])
    y = model(X).numpy()
    assert compare(content([X], [y + 2e-3]), model, source="m") == pytest.approx(2e-6, rel=0.1)


def test_other_outputs_are_refused(model):
    y = model(X).numpy()
    with pytest.raises(ModelError, match=r"`m`, whose outputs differ by 0\.001"):
        compare(content([X], [y + 1e-3]), model, source="`m`")
    with pytest.raises(ModelError, match=r"with \[\(4, 2\)\], and in Keras 3 \[\(4, 3\)\]"):
        compare(content([X], [y[:, :2]]), model, source="`m`")


def test_outputs_that_are_no_numbers_prove_nothing(model):
    y = model(X).numpy()
    with pytest.raises(ModelError, match="has its training diverged"):
        compare(content([X], [y * np.nan]), model, source="`m`")
    model.get_layer("output").bias.assign([np.nan, 0.0, 0.0])
    with pytest.raises(ModelError, match="differ by nan"):
        compare(content([X], [y]), model, source="`m`")


def test_inputs_by_name_and_several_outputs(seeded):
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": a + b, "product": a * b})
    x, y = np.full((4, 2), 2.0, "float32"), np.full((4, 2), 3.0, "float32")
    # In the order of the names, as both libraries flatten dictionaries.
    assert compare(content([x, y], [x * y, x + y]), model, source="m") == 0.0
