import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.norms.layers import ChannelNorm, FilterResponseNorm, GroupNorm, LpBatchNorm
from tfticket.norms.layers.channels import mean

pytestmark = pytest.mark.slow

OWN = (GroupNorm, LpBatchNorm, FilterResponseNorm)


@pytest.mark.parametrize("kind", OWN)
def test_words_of_keras_for_scale_and_shift(kind, seeded):
    layer = kind(
        beta_initializer="random_normal",
        gamma_initializer=keras.initializers.Constant(2.0),
        gamma_regularizer=keras.regularizers.L2(0.1),
        beta_constraint="non_neg",
    )
    again = kind.from_config(layer.get_config())
    for one in (layer, again):
        one.build((None, 4, 4, 8))
        np.testing.assert_array_equal(one.gamma, np.full(8, 2.0))
        np.testing.assert_allclose(one.losses, [0.1 * 4 * 8], rtol=1e-6)
        assert isinstance(one.beta.constraint, keras.constraints.NonNeg)
        assert np.asarray(one.beta.numpy()).any()
    bare = kind(center=False, scale=False)
    bare.build((None, 4, 4, 8))
    assert (bare.gamma, bare.beta) == (None, None)
    assert not {"gamma", "beta"} & {v.name for v in bare.weights}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("shape", [(6, 4), (6, 5, 4), (6, 3, 5, 4), (6, 3, 2, 5, 4)])
def test_channels_may_be_any_axis_but_the_first(kind, shape, seeded):
    x = np.random.default_rng(0).normal(2, 3, shape).astype(np.float32)
    options = {
        "gamma_initializer": keras.initializers.RandomNormal(seed=1),
        "beta_initializer": keras.initializers.RandomNormal(seed=2),
    }
    last = kind(**options)(x, **training(kind))
    for axis in range(1, len(shape)):
        moved = kind(axis=axis, **options)(np.moveaxis(x, -1, axis), **training(kind))
        np.testing.assert_allclose(np.moveaxis(moved, axis, -1), last, atol=2e-6)


def training(kind):
    return {"training": True} if kind is LpBatchNorm else {}


@pytest.mark.parametrize("kind", OWN)
def test_float64_is_not_rounded(kind):
    x = 1e6 + np.random.default_rng(0).normal(size=(4, 8, 8, 4))
    x = np.where(np.arange(4) % 2, x, x - 1e6)
    outputs = kind(dtype="float64")(x)
    assert outputs.dtype == "float64"
    if kind is GroupNorm:
        flat = x.reshape(4, -1)
        expected = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
        np.testing.assert_allclose(outputs, expected.reshape(x.shape), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        ({"axis": 0}, None, "not 0. Received: axis=0"),
        ({"axis": [-1]}, None, r"Received: axis=\[-1\]"),
        ({"epsilon": 0}, None, "Received: epsilon=0"),
        ({}, (None,), r"rank 2 to 5 .*Received: the shape \(None,\)"),
        ({}, (1, 2, 3, 4, 5, 6), "rank 2 to 5"),
        ({"axis": 3}, (None, 4, 8), r"\(None, 4, 8\) with axis=3, in 'norm'"),
        ({}, (None, 4, None), "number of channels must be known"),
    ],
)
def test_bad_arguments_and_shapes(options, shape, words):
    with pytest.raises(ModelError, match=words):
        ChannelNorm(name="norm", **options).build(shape)


def test_mask_of_another_shape():
    with pytest.raises(ModelError, match=r"mask of shape \(2,\) for inputs of shape \(2, 3, 4\)"):
        GroupNorm()(np.ones((2, 3, 4), np.float32), mask=np.ones(2, bool))


def test_inputs_of_another_width_than_it_was_built_for():
    layer = GroupNorm()
    layer.build((None, 4, 8))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 8"):
        layer(np.ones((2, 4, 6), np.float32))


def test_mean_counts_only_what_is_present():
    x = np.array([[1.0, 2.0], [3.0, np.nan], [np.inf, 6.0]], np.float32)
    present = np.array([[True, True], [True, False], [False, True]])
    np.testing.assert_array_equal(mean(x, (0,), present), [[2.0, 4.0]])
    np.testing.assert_array_equal(mean(x, (0,), np.zeros((3, 1), bool)), [[0.0, 0.0]])
    np.testing.assert_array_equal(mean(x[:1], (0, 1)), [[1.5]])
    np.testing.assert_array_equal(mean(x, ()), x)
