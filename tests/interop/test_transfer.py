import keras
import numpy as np
import pytest
from helpers import mlp

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent, LegacyLayer
from tfticket.interop.rebuilding import Rebuilt
from tfticket.interop.transfer import (
    clear,
    compare,
    give_weights,
    masks_of_wrappers,
    masks_of_zeros,
)

pytestmark = pytest.mark.slow


def content(inputs, outputs, **samples):
    layers = tuple(
        LegacyLayer((name,), (), (), {}, None, None, (sample,)) for name, sample in samples.items()
    )
    return LegacyContent({}, layers, tuple(inputs), tuple(outputs), {})


def compare_with(model, found):
    layers = {(layer.name,): layer for layer in model.layers}
    return compare(found, Rebuilt(model, layers), source="`m`")


@pytest.fixture
def model(seeded):
    return mlp()


X = np.ones((4, 6), "float32")


def test_equal_outputs_and_the_largest_difference(model):
    y = model(X).numpy()
    assert compare_with(model, content([X], [y])) == 0.0
    y[0, 0] += 4e-6
    assert compare_with(model, content([X], [y])) == pytest.approx(4e-6, rel=0.1)


def test_large_outputs_are_held_to_their_size(model):
    output = model.get_layer("output")
    output.bias.assign([1000.0, 0.0, 0.0])
    y = model(X).numpy()
    assert compare_with(model, content([X], [y + 2e-3])) == pytest.approx(2e-6, rel=0.1)


def test_other_outputs_are_refused(model):
    y = model(X).numpy()
    with pytest.raises(ModelError, match=r"`m`, whose outputs differ by 0\.001"):
        compare_with(model, content([X], [y + 1e-3]))
    with pytest.raises(ModelError, match=r"with \[\(4, 2\)\], and in Keras 3 \[\(4, 3\)\]"):
        compare_with(model, content([X], [y[:, :2]]))


def test_outputs_that_are_no_numbers_prove_nothing(model):
    y = model(X).numpy()
    with pytest.raises(ModelError, match="has its training diverged"):
        compare_with(model, content([X], [y * np.nan]))
    model.get_layer("output").bias.assign([np.nan, 0.0, 0.0])
    with pytest.raises(ModelError, match="differ by nan"):
        compare_with(model, content([X], [y]))


def test_inputs_by_name_and_several_outputs(seeded):
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": a + b, "product": a * b})
    x, y = np.full((4, 2), 2.0, "float32"), np.full((4, 2), 3.0, "float32")
    # In the order of the names, as both libraries flatten dictionaries.
    assert compare_with(model, content([x, y], [x * y, x + y])) == 0.0


def test_layers_on_the_way_are_held_to_their_own_size(model):
    model.get_layer("output").kernel.assign(np.zeros((4, 3)))  # outputs that tell nothing
    y = model(X).numpy()
    inside = model.get_layer("hidden_0")(X).numpy().ravel()
    assert compare_with(model, content([X], [y], hidden_0=inside)) == 0.0
    nearly = inside * (1 + 5e-5)
    assert compare_with(model, content([X], [y], hidden_0=nearly)) == 0.0
    with pytest.raises(ModelError, match=r"`hidden_0` \(Dense\) or what it reads does something"):
        compare_with(model, content([X], [y], hidden_0=inside * (1 + 5e-4)))
    with pytest.raises(ModelError, match=r"`hidden_0` \(Dense\)"):
        compare_with(model, content([X], [y], hidden_0=inside[:-1]))


def legacy_layer(path, weights, names=("kernel", "bias"), masks=None):
    return LegacyLayer((path,), names, tuple(weights), masks or {}, None, None, ())


def holding(*layers):
    return LegacyContent({}, layers, (), (), {})


@pytest.fixture
def rebuilt(seeded):
    model = mlp()
    return Rebuilt(model, {(layer.name,): layer for layer in model.layers})


def test_weights_and_masks_go_where_they_belong(rebuilt):
    kernel, bias = np.full((4, 3), 2.0, "float32"), np.arange(3, dtype="float32")
    mask = np.eye(4, 3) > 0
    found = holding(legacy_layer("output", [kernel, bias], masks={0: mask}))
    give_weights(found, rebuilt)
    output = rebuilt.model.get_layer("output")
    np.testing.assert_array_equal(output.kernel, kernel)
    np.testing.assert_array_equal(output.bias, bias)
    masks = masks_of_wrappers(found, rebuilt)
    assert masks.keys() == {"output/kernel"}
    assert clear(masks, rebuilt.model) == 9
    np.testing.assert_array_equal(output.kernel, kernel * mask)
    assert clear(masks, rebuilt.model) == 0


def test_a_kernel_may_have_had_a_longer_name(rebuilt):
    weights = [np.zeros((4, 3), "float32"), np.zeros(3, "float32")]
    give_weights(holding(legacy_layer("output", weights, ("depthwise_kernel", "bias"))), rebuilt)


def test_all_layers_with_other_weights_are_named(rebuilt):
    wrong_shape = legacy_layer("output", [np.zeros((4, 2)), np.zeros(3)])
    one_less = legacy_layer("hidden_0", [np.zeros((6, 5))], ("kernel",))
    wrong_name = legacy_layer("hidden_1", [np.zeros((5, 4)), np.zeros(4)], ("kernel", "scale"))
    with pytest.raises(ModelError) as caught:
        give_weights(holding(wrong_shape, one_less, wrong_name), rebuilt)
    message = str(caught.value)
    assert "`output` with kernel (4, 2), bias (3,), and in Keras 3 kernel (4, 3), bias" in message
    assert "`hidden_0` with kernel (6, 5), and" in message
    assert "`hidden_1` with kernel (5, 4), scale (4,), and" in message


def test_zeros_of_kernels_are_a_mask(rebuilt):
    assert masks_of_zeros(rebuilt.model) == {}  # biases are zero, but no kernel is
    kernel = rebuilt.model.get_layer("output").kernel
    kernel.assign(np.where(np.eye(4, 3), 0.0, kernel.numpy()))
    masks = masks_of_zeros(rebuilt.model)
    assert masks.keys() == {"output/kernel"}
    np.testing.assert_array_equal(masks["output/kernel"], np.eye(4, 3) == 0)
