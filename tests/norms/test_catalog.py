import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.norms.catalog import (
    NORMS,
    Norm,
    axis_of,
    channels_of,
    groups_of,
    is_norm,
    kind_of,
    norm_layer,
    options_of,
)
from tfticket.norms.layers import FilterResponseNorm, GroupNorm, LpBatchNorm

LAYERS = [kind for kind in NORMS if kind != "none"]


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


def test_the_names():
    assert set(NORMS) == {
        "none", "batch", "batch_renorm", "frozen_batch", "sync_batch", "group", "layer", "instance",
        "rms", "filter_response", "ws_group", "l1_batch", "l2_batch", "linf_batch", "noisy_batch",
    }  # fmt: skip
    assert [kind for kind in NORMS if NORMS[kind].standardizes_weights] == ["ws_group"]
    assert norm_layer("none", 8) is None


@pytest.mark.parametrize("kind", LAYERS)
def test_every_option_is_one_of_the_layer(kind):
    default = norm_layer(kind, 8, name="norm")
    assert default.name == "norm"
    for option in options_of(kind):
        value = "float32" if option == "dtype" else getattr(default, option)
        changed = norm_layer(kind, 8, name="norm", **{option: value})
        assert changed.get_config() == default.get_config()


@pytest.mark.parametrize("kind", LAYERS)
def test_defaults_are_those_of_the_papers(kind):
    layer = norm_layer(kind, 8)
    assert layer.epsilon == (1e-6 if kind == "filter_response" else 1e-5)
    if "momentum" in options_of(kind):
        assert layer.momentum == 0.9


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l1_batch", (LpBatchNorm, {"p": 1})),
        ("l2_batch", (LpBatchNorm, {"p": 2})),
        ("linf_batch", (LpBatchNorm, {"p": "inf"})),
        ("layer", (GroupNorm, {"groups": 1, "channels_per_group": None})),
        ("instance", (GroupNorm, {"groups": None, "channels_per_group": 1})),
        ("batch_renorm", (keras.layers.BatchNormalization, {"renorm": True})),
        ("sync_batch", (keras.layers.BatchNormalization, {"synchronized": True})),
        ("filter_response", (FilterResponseNorm, {"threshold": False})),
    ],
)
def test_what_makes_a_kind_its_kind_cannot_be_changed(kind, expected):
    layer = norm_layer(kind, 8)
    assert type(layer) is expected[0]
    assert expected[1].items() <= layer.get_config().items()
    if kind != "filter_response":
        assert not expected[1].keys() & set(options_of(kind))


def test_options_reach_the_layer():
    layer = norm_layer("group", 24, groups=8, epsilon=1e-3, center=False, dtype="mixed_bfloat16")
    assert (layer.groups, layer.epsilon, layer.center) == (8, 1e-3, False)
    assert layer.compute_dtype == "bfloat16"
    assert norm_layer("batch", 8, momentum=0.5, axis=1).axis == 1


def test_a_norm_is_chosen_once_for_many_layers():
    norm = Norm("group", {"channels_per_group": 4})
    layers = [norm("one", 8), norm.layer(16, name="two")]
    assert [layer.name for layer in layers] == ["one", "two"]
    assert layers[0] is not layers[1]
    assert norm == Norm("group", {"channels_per_group": 4})


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("grup", 8), {}, r"one of none, batch, .*Received: 'grup'\. Did you mean 'group'\?"),
        (("zzz", 8), {}, r"Received: 'zzz'\.$"),
        (("layer", 8), {"groups": 2}, r"options of the norm 'layer' are axis, .*'groups'\.$"),
        (("group", 8), {"group": 2}, r"channels_per_group, .*'group'\. Did you mean 'groups'\?"),
        (("rms", 8), {"momentum": 0.9}, "'rms' are axis, dtype, epsilon, trainable. Received"),
        (("none", 8), {"epsilon": 1e-3}, "'none' are none. Received: 'epsilon'"),
        (("batch", 0), {}, "`channels` must be at least 1. Received: channels=0"),
        (("group", 8), {"groups": 0}, "Received: groups=0"),
    ],
)
def test_mistakes(arguments, options, words):
    with pytest.raises(ModelError, match=words):
        norm_layer(*arguments, **options)


@pytest.mark.parametrize("kind", ["batch", "group", "layer", "instance", "sync_batch"])
def test_weak_activations_are_not_made_weaker(kind):
    x = random((16, 8, 8, 16), scale=0.01)
    assert np.std(norm_layer(kind, 16)(x, training=True)) > 0.9
    weak = keras.layers.BatchNormalization()(x, training=True)  # with Keras' epsilon
    assert np.std(weak) < 0.35


def test_moving_statistics_are_of_use_after_some_steps():
    layer, slow = norm_layer("batch", 4), keras.layers.BatchNormalization()
    for seed in range(40):
        x = random((64, 4), mean=3.0, seed=seed)
        layer(x, training=True)
        slow(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 3.0, rtol=0.05)
    assert np.max(slow.moving_mean) < 1.5


def test_batch_norm_of_one_example_is_constant():
    for x in (random((1, 4)), random((1, 4), seed=1)):
        np.testing.assert_array_equal(norm_layer("batch", 4)(x, training=True), np.zeros((1, 4)))


def test_batch_renorm_at_its_limits():
    """Within its clips it is normalized by the averages, beyond them by the batch."""
    layer = norm_layer("batch_renorm", 2)
    layer.build((None, 2))
    layer.renorm_mean.assign([0.1, 50.0])
    layer.renorm_stddev.assign([1.1, 100.0])
    x = random((512, 2))
    deviation = np.sqrt(x.var(0) + 1e-5)
    r, d = [deviation[0] / 1.1, 1 / 1.5], [(x.mean(0)[0] - 0.1) / 1.1, -0.5]
    expected = (x - x.mean(0)) / deviation * r + d
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)


def test_rms_takes_each_position_by_itself_over_its_channels():
    x = random((2, 3, 3, 4), mean=1.0)
    expected = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm_layer("rms", 4)(x), expected, atol=1e-5)


layers = keras.layers


@pytest.mark.parametrize("kind", sorted(set(NORMS) - {"none"}))
def test_the_catalog_s_layers_are_known_by_their_kind(kind):
    layer = NORMS[kind].layer(8)
    layer.build((None, 4, 4, 8))
    assert is_norm(layer)
    assert kind_of(layer) == ("group" if kind == "ws_group" else kind)
    assert channels_of(layer) == 8
    assert (groups_of(layer) is not None) == (kind in ("group", "ws_group", "layer", "instance"))


@pytest.mark.parametrize(
    ("layer", "kind", "axis"),
    [
        (layers.GroupNormalization(2, axis=1), "group", 1),
        (layers.GroupNormalization(1), "layer", -1),
        (layers.GroupNormalization(-1), "instance", -1),
        (layers.LayerNormalization(axis=[1, 2, 3]), "LayerNormalization", 3),
        (layers.RMSNormalization(axis=[-1]), "rms", -1),
        (layers.BatchNormalization(axis=1, renorm=True), "batch_renorm", 1),
    ],
)
def test_layers_of_keras(layer, kind, axis):
    layer.build((None, 4, 4, 4))
    assert (is_norm(layer), kind_of(layer), axis_of(layer)) == (True, kind, axis)


def test_other_layers_are_no_norms():
    assert not is_norm(layers.Dense(2))
    assert not is_norm(layers.Normalization())  # scales the data, once
    assert kind_of(layers.Identity()) == "none"
