import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import ModelError
from tfticket.norms.layers import GroupNorm, group_count

layers = keras.layers


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


def with_gradients(layer, x, weights):
    """Output, and the gradients of a weighted sum of it for inputs, gamma and beta."""
    x = tf.constant(x)
    layer.build(x.shape)
    layer.gamma.assign(random(layer.gamma.shape, mean=1.0, seed=1))
    layer.beta.assign(random(layer.beta.shape, seed=2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
        loss = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    return outputs, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])


IMAGES = [(5, 7, 16), (5, 6, 7, 16), (3, 2, 3, 4, 16)]


@pytest.mark.parametrize(
    ("shape", "groups"),
    [*itertools.product([(5, 16)], [1, 2, 4]), *itertools.product(IMAGES, [1, 2, 4, 16])],
)
def test_equals_keras_in_outputs_and_gradients(shape, groups):
    x, weights = random(shape, mean=0.5, scale=2.0), random(shape, seed=3)
    ours = with_gradients(GroupNorm(groups=groups), x, weights)
    theirs = with_gradients(layers.GroupNormalization(groups, epsilon=1e-5), x, weights)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def by_hand(x, groups, epsilon=1e-5):
    """Group after group, in double precision."""
    x = x.astype(np.float64)
    outputs = np.empty_like(x)
    width = x.shape[-1] // groups
    for example, result in zip(x, outputs, strict=True):
        for start in range(0, x.shape[-1], width):
            group = example[..., start : start + width]
            normalized = (group - group.mean()) / np.sqrt(group.var() + epsilon)
            result[..., start : start + width] = normalized
    return outputs


@pytest.mark.parametrize("mean", [0.0, 100.0, 1e4])
def test_large_means_cost_no_more_precision_than_the_inputs_have(mean):
    x = random((2, 16, 16, 8), mean=mean)
    step = np.spacing(np.float32(mean + 1))  # inputs are known to half of it
    np.testing.assert_allclose(GroupNorm(groups=2)(x), by_hand(x, 2), atol=max(1e-5, 2 * step))


def test_channels_of_a_group_may_lie_far_apart():
    x = random((2, 16, 16, 8)) * [1, 1e-3, 10, 1, 1, 5, 1, 1] + [0, 9, -1e3, 1, 0, 1e3, -50, 7]
    x = x.astype(np.float32)
    np.testing.assert_allclose(GroupNorm(groups=2)(x), by_hand(x, 2), rtol=1e-4, atol=1e-5)


def test_gradients_under_large_means_are_those_without_them():
    x, weights = random((2, 8, 8, 8)), random((2, 8, 8, 8), seed=3)
    near = with_gradients(GroupNorm(groups=2), x, weights)
    far = with_gradients(GroupNorm(groups=2), x + np.float32(4096), weights)
    for one, other in zip(near[1:], far[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=5e-3)


def test_one_group_takes_the_whole_example_and_one_channel_each_by_itself():
    x = random((4, 5, 5, 6), mean=3.0, scale=2.0)
    np.testing.assert_allclose(GroupNorm(groups=1)(x), by_hand(x, 1), atol=1e-5)
    layer = GroupNorm(channels_per_group=1)
    np.testing.assert_allclose(layer(x), by_hand(x, 6), atol=1e-5)
    assert layer.group_count == 6


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_compiled_by_xla_for_any_batch(dtype):
    layer = GroupNorm(groups=4, dtype=dtype)
    layer.build((None, 6, 6, 16))

    @tf.function(jit_compile=True)
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) ** 3)
        return layer(x), tape.gradient(loss, layer.gamma.value)

    for examples in (2, 3):
        x = random((examples, 6, 6, 16))
        outputs, gradient = step(x)
        atol = 1e-5 if dtype == "float32" else 0.05
        np.testing.assert_allclose(tf.cast(outputs, "float32"), by_hand(x, 4), atol=atol)
        assert np.isfinite(gradient).all()


@given(st.integers(1, 600), st.none() | st.integers(1, 64), st.none() | st.integers(1, 64))
def test_rule_for_the_number_of_groups(channels, groups, channels_per_group):
    count = group_count(channels, groups, channels_per_group)
    most = 32 if groups is channels_per_group is None else groups or channels
    fewest = 4 if groups is channels_per_group is None else channels_per_group or 1
    allowed = [
        n
        for n in range(1, channels + 1)
        if channels % n == 0 and n <= most and channels // n >= fewest
    ]
    assert count == max(allowed, default=1)


@pytest.mark.parametrize(
    ("channels", "options", "expected"),
    [
        (64, {}, 16),
        (128, {}, 32),
        (100, {}, 25),
        (24, {"groups": 32}, 24),
        (48, {"groups": 32}, 24),
        (72, {"groups": 32}, 24),
        (37, {"groups": 32}, 1),
        (72, {"channels_per_group": 16}, 4),
        (8, {"channels_per_group": 16}, 1),
        (512, {"groups": 32, "channels_per_group": 32}, 16),
    ],
)
def test_widths_that_cannot_be_divided_as_asked(channels, options, expected):
    layer = GroupNorm(**options)
    given_ = (layer.groups, layer.channels_per_group)
    layer.build((None, 4, 4, channels))
    assert layer.group_count == expected
    config = layer.get_config()
    assert (config["groups"], config["channels_per_group"]) == given_


@pytest.mark.parametrize("shape", [(None, 8), (None, 1, 1, 8), (None, 1, 8)])
def test_a_group_of_one_number_is_refused(shape):
    with pytest.raises(ModelError, match=r"more than one number, .*8 groups .* in 'norm'"):
        GroupNorm(groups=8, name="norm").build(shape)
    GroupNorm(groups=8).build((None, None, 1, 8))  # may be larger


def test_two_channels_a_group_on_one_pixel_give_only_signs():
    outputs = np.asarray(GroupNorm(groups=4)(random((6, 1, 1, 8), scale=5.0)))
    np.testing.assert_allclose(np.abs(outputs), 1.0, atol=0.01)


@pytest.mark.parametrize("name", ["groups", "channels_per_group"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8"])
def test_bad_numbers(name, value):
    with pytest.raises(ModelError, match=f"Received: {name}="):
        GroupNorm(**{name: value})


def test_masked_positions_have_no_say():
    x = random((3, 6, 8), mean=2.0)
    mask = np.arange(6) < np.array([[6], [4], [2]])
    poisoned = np.where(mask[..., None], x, np.nan).astype(np.float32)
    outputs = np.asarray(GroupNorm(groups=2)(poisoned, mask=mask))
    for example, length, result in zip(x, (6, 4, 2), outputs, strict=True):
        np.testing.assert_allclose(
            result[:length], by_hand(example[None, :length], 2)[0], atol=1e-5
        )
    nothing = GroupNorm(groups=2)(x, mask=np.zeros((3, 6), bool))
    assert np.isfinite(nothing).all()


def test_a_padded_sequence_is_as_a_shorter_one(seeded):
    model = keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(9, 8, mask_zero=True),
            GroupNorm(groups=2),
            layers.GlobalAveragePooling1D(),
        ]
    )
    short, padded = np.array([[3, 1, 4]]), np.array([[3, 1, 4, 0, 0]])
    np.testing.assert_allclose(model(padded), model(short), atol=1e-6)
