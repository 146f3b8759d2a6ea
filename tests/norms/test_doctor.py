import math

import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.norms.doctor import diagnose
from tfticket.norms.layers import FilterResponseNorm, FrozenBatchNorm, GroupNorm
from tfticket.norms.swap import swap_norm

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers
IMAGE = (8, 8, 4)
GOOD = {"momentum": 0.9, "epsilon": 1e-5, "name": "norm"}


def sequence(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack])


def good_norm(**options):
    return layers.BatchNormalization(**GOOD | options)


def codes(model, **arguments):
    return {found.code: found for found in diagnose(model, **arguments)}


def test_a_healthy_model_has_no_findings():
    model = sequence(
        IMAGE, layers.Conv2D(8, 3, use_bias=False), good_norm(), layers.Flatten(), layers.Dense(3)
    )
    assert diagnose(model, batch_size=32) == []
    assert diagnose(swap_norm(model, "group").model, batch_size=2) == []
    assert diagnose(helpers.mlp(), batch_size=1) == []


@pytest.mark.parametrize(("positions", "batch_size"), [((2, 2), 50), ((8, 8), 3), ((), 200)])
def test_a_small_batch_is_told_by_the_error_of_its_variance(positions, batch_size):
    model = sequence((*positions, 4), good_norm())
    numbers = batch_size * math.prod(positions)
    assert math.sqrt(2 / (numbers - 1)) == pytest.approx(0.1, abs=0.003)
    just_enough = math.sqrt(2 / (numbers - 1)) <= 0.1
    assert ("small-batch" in codes(model, batch_size=batch_size)) != just_enough
    found = codes(model, batch_size=2 if positions else 20)["small-batch"]
    assert found.severity == "warning"
    assert found.layers == ("norm",)


def test_the_stated_error_is_that_of_simulated_batches():
    model = sequence((4,), good_norm())
    found = codes(model, batch_size=9)["small-batch"]
    assert "off by 50%" in found.what
    variances = np.random.default_rng(0).normal(size=(50_000, 9)).var(1, ddof=1)
    assert variances.std() == pytest.approx(0.5, abs=0.01)


def test_one_number_of_each_channel_is_an_error():
    model = sequence((4,), good_norm())
    assert codes(model, batch_size=1)["one-number"].severity == "error"
    x, _ = helpers.batch((4,), examples=1)
    np.testing.assert_array_equal(model(x, training=True), np.zeros((1, 4)))


def test_frozen_norms_and_unknown_sizes_need_no_batch():
    frozen = sequence(IMAGE, good_norm(trainable=False))
    assert "small-batch" not in codes(frozen, batch_size=1)
    assert "small-batch" not in codes(sequence((None, None, 3), good_norm()), batch_size=1)


@pytest.mark.parametrize(
    ("before", "norm", "told"),
    [
        (lambda: layers.Conv2D(4, 3), good_norm, True),
        (lambda: layers.Dense(4), lambda: GroupNorm(channels_per_group=1, name="norm"), True),
        (lambda: layers.Conv2D(4, 3, use_bias=False), good_norm, False),
        (lambda: layers.Conv2D(4, 3, activation="relu"), good_norm, False),
        (lambda: layers.Conv2D(4, 3), lambda: GroupNorm(groups=2, name="norm"), False),
    ],
    ids=["conv", "instance", "no_bias", "relu", "group"],
)
def test_a_bias_before_a_norm_is_told_where_it_has_no_effect(before, norm, told):
    model = sequence(IMAGE, before(), norm())
    assert ("bias-before-norm" in codes(model)) == told
    x, _ = helpers.batch(IMAGE)
    expected = model(x, training=True).numpy()
    if model.layers[0].use_bias:
        model.layers[0].bias.assign([1.0, -2.0, 3.0, 4.0])
        same = np.allclose(model(x, training=True), expected, atol=1e-3)
        assert same == told


def test_constants_of_keras_are_noted():
    found = codes(sequence(IMAGE, layers.BatchNormalization(), layers.GroupNormalization(2)))
    assert found["large-epsilon"].layers == ("batch_normalization", "group_normalization")
    assert found["slow-statistics"].layers == ("batch_normalization",)
    norm = GroupNorm(groups=1, epsilon=1e-3)
    weak = np.random.default_rng(0).normal(0, 0.01, (1, 50, 50, 4)).astype("float32")
    assert norm(weak).numpy().std() == pytest.approx(0.3, abs=0.01)  # as the finding says
    np.testing.assert_allclose(0.99**100, 1 / 3, atol=0.04)


def test_groups_of_one_or_two_numbers():
    pool = layers.GlobalAveragePooling2D(keepdims=True)
    one = sequence(IMAGE, pool, layers.GroupNormalization(-1, epsilon=1e-5, name="norm"))
    assert codes(one)["one-number-a-group"].severity == "error"
    x, _ = helpers.batch(IMAGE)
    np.testing.assert_array_equal(one(x), np.zeros((16, 1, 1, 4)))
    two = sequence((4,), GroupNorm(groups=2, epsilon=1e-9, name="norm"))
    assert codes(two)["two-numbers-a-group"].layers == ("norm",)
    np.testing.assert_allclose(np.abs(two(helpers.batch((4,))[0])), 1, atol=1e-3)
    four = sequence((4,), GroupNorm(groups=1))
    assert diagnose(four) == []


def test_filter_response_of_one_position():
    model = sequence((4,), FilterResponseNorm(threshold=False, name="norm"))
    assert codes(model)["one-position"].layers == ("norm",)
    assert diagnose(sequence((4,), FilterResponseNorm(learn_epsilon=True))) == []
    assert diagnose(sequence(IMAGE, FilterResponseNorm())) == []


def test_a_mask_that_group_normalization_ignores():
    def model(norm):
        inputs = keras.Input((5, 4))
        return keras.Model(inputs, norm(layers.Masking(0.0)(inputs)))

    x, _ = helpers.batch((5, 4))
    x[:, 3:] = 0.0
    for norm, told in [
        (layers.GroupNormalization(2, epsilon=1e-5, name="norm"), True),
        (GroupNorm(groups=2, name="norm"), False),
    ]:
        assert ("mask-ignored" in codes(model(norm))) == told
        padded = norm(layers.Masking(0.0)(x)).numpy()[:, :3]
        assert np.allclose(padded, norm(x[:, :3]), atol=1e-4) != told  # as the finding says
    unmasked = sequence((5, 4), layers.GroupNormalization(2, epsilon=1e-5))
    assert diagnose(unmasked) == []


@pytest.mark.filterwarnings("ignore:Layer 'norm' .* was passed an input with a mask")
def test_a_mask_that_is_not_passed_on():
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, layers.RMSNormalization(name="norm")(layers.Masking(0.0)(inputs)))
    assert list(codes(model)) == ["mask-lost"]


def test_frozen_on_the_statistics_that_it_began_with():
    for norm in (good_norm(trainable=False), FrozenBatchNorm(name="norm")):
        model = sequence(IMAGE, norm)
        assert codes(model)["frozen-untrained"].severity == "error"
        norm.moving_mean.assign(np.ones(4))
        assert diagnose(model, batch_size=1) == []


def test_training_false_does_not_freeze():
    inputs = keras.Input((4,))
    norm = good_norm()
    model = keras.Model(inputs, norm(inputs, training=False))
    assert codes(model)["training-argument"].layers == ("norm",)
    model.compile("sgd", "mse")
    x, _ = helpers.batch((4,))
    model.fit(x + 3, x, verbose=0)
    assert norm.moving_mean.numpy().min() > 0.1  # as the finding says
    norm.trainable = False
    assert "training-argument" not in codes(model)


@pytest.mark.parametrize("kind", ["functional", "sequential", "deep"])
def test_training_false_around_a_model_freezes_nothing_inside(kind):
    norm = layers.BatchNormalization(momentum=0.5, name="norm")
    if kind == "sequential":
        base = keras.Sequential([keras.Input((4,)), norm], name="base")
    else:
        inner = keras.Input((4,))
        base = keras.Model(inner, norm(inner), name="base")
    if kind == "deep":
        middle = keras.Input((4,))
        base = keras.Model(middle, base(middle), name="middle")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(4)(base(inputs, training=False)))
    (key,) = codes(model)["training-argument"].layers
    assert key.endswith("base/norm")
    x, _ = helpers.batch((4,))
    model.compile("sgd", "mse")
    model.fit(x + 3, x, verbose=0)
    assert norm.moving_mean.numpy().min() > 0.1  # as the finding says
    base.trainable = False
    assert "training-argument" not in codes(model)
    model.compile("sgd", "mse")
    before = norm.moving_mean.numpy()
    model.fit(x + 3, x, verbose=0)
    np.testing.assert_array_equal(norm.moving_mean, before)


def test_statistics_behind_frozen_weights():
    conv = layers.Conv2D(4, 3, use_bias=False, trainable=False)
    assert codes(sequence(IMAGE, conv, good_norm()))["statistics-move"].layers == ("norm",)


def test_half_precision():
    assert "half-statistics" in codes(sequence(IMAGE, good_norm(dtype="float16")))
    assert diagnose(sequence(IMAGE, good_norm(dtype="mixed_float16"))) == []


def test_other_pitfalls():
    written_over = sequence(IMAGE, layers.GroupNormalization(-1, epsilon=1e-5))
    assert list(codes(written_over)) == ["groups-written-over"]
    assert written_over.layers[0].get_config()["groups"] == 4  # as the finding says
    dropped = sequence(IMAGE, layers.Dropout(0.5), good_norm())
    assert list(codes(dropped)) == ["dropout-before-norm"]


def test_the_worst_comes_first_and_nested_layers_have_their_keys():
    block = sequence(IMAGE, layers.Conv2D(4, 3), good_norm())
    block.name = "block"
    model = sequence(IMAGE, block, layers.Flatten(), good_norm(name="last"))
    found = diagnose(model, batch_size=1)
    assert [f.severity for f in found] == ["error", "warning", "note"]
    assert [f.layers for f in found] == [("last",), ("block/norm",), ("block/norm",)]


def test_a_subclassed_model_is_looked_at_as_far_as_it_shows():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization(name="norm")

        def call(self, x, training=None):
            return self.norm(x, training=training)

    model = Model()
    with pytest.raises(ModelError, match="call it on data or `build` it first"):
        diagnose(model)
    model(np.ones((2, 4)))
    assert list(codes(model, batch_size=1)) == ["one-number", "large-epsilon", "slow-statistics"]


def test_a_batch_has_an_example():
    with pytest.raises(ModelError, match="Received: batch_size=0"):
        diagnose(helpers.mlp(), batch_size=0)
