import itertools

import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models.parts import NORMS, parts
from tfticket.norms.catalog import Norm
from tfticket.norms.layers import StandardizedConv2D

pytestmark = pytest.mark.slow

OPTIONS = {"seed": 0, "width": 1.0, "norm": None, "dropout": 0.0, "initializer": "glorot_normal"}


def twins(**options):
    """Two dense layers of one shape, with normalization and ReLU, and an output layer."""
    make = parts({**OPTIONS, **options}, initializer="he_normal")
    inputs = x = keras.Input((12,))
    for name in ("first", "second"):
        x = make.dense(x, 12, name)
    return keras.Model(inputs, make.logits(x, 12))


def kernels(model):
    return [w.numpy() for w in model.weights if w.path.endswith("kernel")]


def test_a_seed_gives_the_same_weights_each_time_and_another_seed_others():
    one, same, other = kernels(twins()), kernels(twins()), kernels(twins(seed=1))
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("initializer", ["glorot_normal", keras.initializers.HeNormal(seed=3)])
def test_no_two_layers_start_alike(initializer):
    for a, b in itertools.combinations(kernels(twins(initializer=initializer)), 2):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.3


def test_initializers_without_a_seed():
    assert all((kernel == 0).all() for kernel in kernels(twins(initializer="zeros")))


def test_a_layer_keeps_its_weights_when_another_is_added():
    make = parts(OPTIONS, initializer="he_normal")
    inputs = keras.Input((12,))
    alone = keras.Model(inputs, make.dense(inputs, 12, "second"))
    np.testing.assert_array_equal(kernels(alone)[0], kernels(twins())[1])


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "ws_group"])
@pytest.mark.parametrize("channels", [3, 12, 16, 100, 300])
def test_norms_take_any_number_of_channels_and_depend_on_their_input(norm, channels, seeded):
    layer = NORMS[norm]("name", channels)
    x = keras.random.normal((8, 2, 2, channels))
    assert layer.name == "name"
    for inputs in (x, x[:, 0, 0]):
        result = NORMS[norm]("name", channels)(inputs, training=True).numpy()
        assert result.shape == inputs.shape
        np.testing.assert_allclose(result.mean(), 0, atol=1e-4)
        assert result.std() > 0.5


def test_layer_norm_takes_the_whole_example():
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 5, 6)).astype(np.float32)
    result = NORMS["layer"]("name", 6)(x).numpy()
    flat = x.reshape(4, -1)
    expected = (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)
    np.testing.assert_allclose(result.reshape(4, -1), expected, atol=1e-4)


def test_norm_by_function_and_no_bias_beside_it():
    def factory(name, channels):
        assert channels == 12
        return keras.layers.LayerNormalization(name=name)

    model = twins(norm=factory)
    assert isinstance(model.get_layer("first_norm"), keras.layers.LayerNormalization)
    assert not model.get_layer("first").use_bias
    assert model.get_layer("output").use_bias
    assert twins(norm="none").get_layer("first").use_bias


def test_norm_with_options():
    norm = twins(norm=Norm("group", {"channels_per_group": 3})).get_layer("first_norm")
    assert norm.group_count == 4


def test_convolutions_are_standardized_where_the_norm_wants_it():
    inputs = keras.Input((8, 8, 2))
    for name, kind in (("group", keras.layers.Conv2D), ("ws_group", StandardizedConv2D)):
        make = parts({**OPTIONS, "norm": name}, initializer="he_normal")
        model = keras.Model(inputs, make.convolve(inputs, 12, "conv"))
        assert type(model.get_layer("conv")) is kind
        kernel = model.get_layer("conv").kernel.numpy()
    make = parts(OPTIONS, initializer="he_normal")
    plain = keras.Model(inputs, make.convolve(inputs, 12, "conv"))
    np.testing.assert_array_equal(plain.get_layer("conv").kernel, kernel)


def test_instance_norm_stays_away_from_dense_layers():
    model = twins(norm="instance")
    assert [layer.name for layer in model.layers if layer.name.endswith("_norm")] == []
    assert model.get_layer("first").use_bias


def test_the_noise_of_two_layers_differs_and_comes_from_the_seed():
    def seeds(model):
        return [model.get_layer(f"{name}_norm").seed for name in ("first", "second")]

    one, other = seeds(twins(norm="noisy_batch")), seeds(twins(norm="noisy_batch", seed=1))
    assert len({*one, *other}) == 4
    assert seeds(twins(norm="noisy_batch")) == one
    assert seeds(twins(norm=Norm("noisy_batch", {"seed": 5}))) == [5, 5]


def test_width_scales_hidden_units_only():
    assert [k.shape for k in kernels(twins(width=0.5))] == [(12, 6), (6, 6), (6, 12)]
    assert kernels(twins(width=0.001))[0].shape == (12, 1)


def test_logits_stay_precise_under_mixed_precision(seeded):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = twins()
    assert model.get_layer("first").compute_dtype == "bfloat16"
    assert model(np.ones((1, 12))).dtype == "float32"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, "width=0"),
        ({"width": float("nan")}, "width=nan"),
        ({"dropout": 1.0}, r"in \[0, 1\). Received: dropout=1.0"),
        ({"norm": "grup"}, "none, batch, .* Received: 'grup'. Did you mean 'group'"),
        ({"initializer": "he"}, "Received: 'he'"),
    ],
)
def test_bad_options(change, words):
    with pytest.raises(ModelError, match=words):
        parts({**OPTIONS, **change}, initializer="he_normal")


def test_unknown_options():
    with pytest.raises(TypeError, match=r"width, norm, .*Received: \['depth'\]"):
        parts({**OPTIONS, "depth": 3}, initializer="he_normal")
