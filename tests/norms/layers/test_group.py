import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, compiled
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import ModelError
from tfticket.norms.layers import GroupNorm, group_count

pytestmark = pytest.mark.slow

layers = keras.layers


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


BOTH = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def with_gradients(layer, x, weights, **call):
    """Output, and the gradients of a weighted sum of it for inputs, gamma and beta."""
    x = tf.constant(x)
    layer.build(x.shape)
    layer.gamma.assign(random(layer.gamma.shape, mean=1.0, seed=1))
    layer.beta.assign(random(layer.beta.shape, seed=2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, **call)
        loss = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    return outputs, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])


IMAGES = [(5, 7, 16), (5, 6, 7, 16), (3, 2, 3, 4, 16)]


@pytest.mark.parametrize(
    ("shape", "groups"),
    [*itertools.product([(5, 16)], [1, 2, 4]), *itertools.product(IMAGES, [1, 2, 4, 16])],
)
@BOTH
def test_equals_keras_in_outputs_and_gradients(shape, groups, training):
    x, weights = random(shape, mean=0.5, scale=2.0), random(shape, seed=3)
    ours = with_gradients(GroupNorm(groups=groups), x, weights, training=training)
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


@BOTH
@pytest.mark.parametrize("mean", [0.0, 100.0, 1e4])
def test_large_means_cost_no_more_precision_than_the_inputs_have(mean, training):
    x = random((2, 16, 16, 8), mean=mean)
    outputs = GroupNorm(groups=2)(x, training=training)
    step = np.spacing(np.float32(mean + 1))  # inputs are known to half of it
    np.testing.assert_allclose(outputs, by_hand(x, 2), atol=max(1e-5, 2 * step))


@BOTH
def test_channels_of_a_group_may_lie_far_apart(training):
    x = random((2, 16, 16, 8)) * [1, 1e-3, 10, 1, 1, 5, 1, 1] + [0, 9, -1e3, 1, 0, 1e3, -50, 7]
    x = x.astype(np.float32)
    outputs = GroupNorm(groups=2)(x, training=training)
    np.testing.assert_allclose(outputs, by_hand(x, 2), rtol=1e-4, atol=1e-5)


@BOTH
def test_gradients_under_large_means_are_those_without_them(training):
    x, weights = random((2, 8, 8, 8)), random((2, 8, 8, 8), seed=3)
    near = with_gradients(GroupNorm(groups=2), x, weights, training=training)
    shifted = x + np.float32(4096)
    far = with_gradients(GroupNorm(groups=2), shifted, weights, training=training)
    for one, other in zip(near[1:], far[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=5e-3)


def test_one_group_takes_the_whole_example_and_one_channel_each_by_itself():
    x = random((4, 5, 5, 6), mean=3.0, scale=2.0)
    np.testing.assert_allclose(GroupNorm(groups=1)(x), by_hand(x, 1), atol=1e-5)
    layer = GroupNorm(channels_per_group=1)
    np.testing.assert_allclose(layer(x), by_hand(x, 6), atol=1e-5)
    assert layer.group_count == 6


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_compiled_by_xla_for_any_batch(dtype, training):
    layer = GroupNorm(groups=4, dtype=dtype)
    layer.build((None, 6, 6, 16))

    @tf.function(jit_compile=True)
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=training) ** 3)
        return layer(x, training=training), tape.gradient(loss, layer.gamma.value)

    for examples in (2, 3):
        x = random((examples, 6, 6, 16))
        outputs, gradient = step(x)
        atol = 1e-5 if dtype == "float32" else 0.05
        np.testing.assert_allclose(tf.cast(outputs, "float32"), by_hand(x, 4), atol=atol)
        assert np.isfinite(gradient).all()


def operations_of(layer, shape, *, training):
    """Names of the operations that output and gradient for `gamma` are made of."""

    def step(x):
        with tf.GradientTape() as tape:
            outputs = layer(x, training=training)
        return outputs, tape.gradient(outputs, layer.gamma.value)

    traced = tf.function(step).get_concrete_function(tf.TensorSpec(shape))
    assert traced.structured_outputs[0].shape == shape
    return {node.op for node in traced.graph.as_graph_def().node}


@pytest.mark.parametrize("axis", [-1, 3])
def test_a_gradient_is_written_out_at_training_only(axis):
    shape = (None, None, 6, 16)
    layer = GroupNorm(groups=4, axis=axis)
    layer.build(shape)
    assert "EuclideanNorm" in operations_of(layer, shape, training=True)
    assert "EuclideanNorm" not in operations_of(layer, shape, training=False)  # TFLite has none
    step = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec(shape)])
    for examples, side in ((2, 5), (3, 1), (0, 4)):
        x = random((examples, side, 6, 16))
        np.testing.assert_allclose(step(x), by_hand(x, 4), atol=1e-5)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"axis": 1}], ids=str)
def test_options_at_training(options):
    x, results = tf.constant(random((4, 8, 3, 8), mean=1.0)), []
    for training in (True, False):
        layer = GroupNorm(groups=2, **options)
        layer.build(x.shape)
        for weight in layer.weights:
            weight.assign(random(weight.shape, seed=1))
        values = [x, *(v.value for v in layer.trainable_variables)]
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            loss = tf.reduce_sum(outputs**3)
        results.append([outputs, *tape.gradient(loss, values)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_types_at_training(policy):
    x, found = random((4, 5, 5, 8), mean=300.0, scale=100.0), []
    for training in (True, False):
        layer = GroupNorm(groups=2, dtype=policy)
        given_ = tf.cast(x, layer.compute_dtype).numpy()
        found.append(with_gradients(layer, given_, random(x.shape, seed=3), training=training))
    assert found[0][0].dtype == layer.compute_dtype
    digits = {"mixed_float16": 2**-9, "mixed_bfloat16": 2**-6, "float64": 1e-12}[policy]
    for one, other in zip(*found, strict=True):
        one, other = tf.cast(one, "float64"), tf.cast(other, "float64")
        np.testing.assert_allclose(one, other, rtol=digits, atol=digits * np.abs(other).max())


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "graph"])
def test_gradients_of_gradients_at_training(traced):
    """Of a sum over the squared gradients, along a direction: against differences in float64."""
    shape = (3, 4, 2, 8)
    x, direction, weights = (random(shape, seed=seed).astype(float) for seed in range(3))
    x[..., 3] = 0.5  # a constant channel has a finite gradient too
    layer = GroupNorm(groups=2, dtype="float64")
    layer.build(shape)

    def flow(x, training):
        values = [x, layer.gamma.value, layer.beta.value]
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(layer(x, training=training) ** 3 * weights)
        return sum(tf.reduce_sum(g**2) for g in tape.gradient(loss, values))

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = flow(x, True)
        return tf.reduce_sum(tape.gradient(value, x) * direction)

    ahead, behind = (flow(tf.constant(x + h * direction), False) for h in (1e-5, -1e-5))
    got = (tf.function(slope) if traced else slope)(tf.constant(x))
    np.testing.assert_allclose(got, (ahead - behind) / 2e-5, rtol=1e-6)


def test_training_goes_as_with_keras(seeded):
    x, y = batch((6, 6, 3), examples=48)
    results = []
    for norm in (GroupNorm(groups=2), layers.GroupNormalization(2, epsilon=1e-5)):
        keras.utils.set_random_seed(3)
        conv, flat, dense = layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(3)
        model = keras.Sequential([keras.Input((6, 6, 3)), conv, norm, layers.ReLU(), flat, dense])
        compiled(model, keras.optimizers.SGD(0.05, momentum=0.9), jit_compile=False)
        model.fit(x, y, batch_size=20, epochs=3, shuffle=False, verbose=0)  # the last is of 8
        results.append(model(x))
    np.testing.assert_allclose(*results, atol=1e-4)


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
