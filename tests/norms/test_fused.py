"""Our batch normalization against that of Keras: the same in all but the time it takes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import convnet, digits
from helpers import batch, compiled
from hypothesis import given
from hypothesis import strategies as st

from tfticket.channels import shrink
from tfticket.export import save_keras, to_tflite
from tfticket.models import build
from tfticket.norms.catalog import Norm, norm_layer
from tfticket.norms.layers import FusedBatchNorm
from tfticket.norms.swap import swap_norm
from tfticket.sparsity.saliency import grasp
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers
CLASSES = (FusedBatchNorm, layers.BatchNormalization)
IMAGES = (6, 5, 4, 8)
STEPS = 3


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


def kernels_in(function):
    """How many fused kernels a compiled function calls, forward and back."""
    operations = function.graph.as_graph_def().node
    return sum("FusedBatchNorm" in node.op for node in operations)


def make(kind, shape, **options):
    """A built layer whose weights aren't where they begin."""
    layer = kind(**options)
    layer.build(shape)
    for number, weight in enumerate(layer.weights):
        values = np.random.default_rng(number).uniform(0.5, 2.0, weight.shape)
        weight.assign(values)
    return layer


def stepper(layer, *, jit=False, training=True):
    """A compiled function: outputs and the gradients of a sum that is weighted by `weights`."""

    @tf.function(jit_compile=jit)
    def step(x, weights):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 2 * weights)
        wanted = [x, *(v.value for v in layer.trainable_variables)]
        return outputs, tape.gradient(loss, wanted)

    return step


def run(layer, x, **options):
    """Outputs, gradients and moving statistics after each of some steps, as float32."""
    step, found = stepper(layer, **options), []
    for number in range(STEPS):
        given_ = tf.constant(x + number, layer.compute_dtype)
        outputs, gradients = step(given_, random(x.shape, seed=9))
        found += [outputs, *gradients, *(tf.identity(v) for v in layer.non_trainable_variables)]
    return [tf.cast(one, "float32").numpy() for one in found]


def assert_same(x, *, digits=2e-5, kind_options=None, **options):
    ours, theirs = (
        run(make(kind, x.shape, **kind_options or {}), x, **options) for kind in CLASSES
    )
    for one, other in zip(ours, theirs, strict=True):
        scale = max(1.0, np.abs(other).max()) if other.size else 1.0
        np.testing.assert_allclose(one, other, rtol=digits, atol=digits * scale)


SHAPES = [(7, 8), (6, 9, 8), IMAGES, (3, 4, 3, 2, 8), (1, 1, 1, 8), (2, 1, 1, 8), (1, 3, 8)]


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "xla"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape(shape, jit):
    few = np.prod(shape[:-1]) == 2  # where two numbers are near, what is left of them is rounding
    assert_same(random(shape, mean=0.5, scale=2.0), jit=jit, digits=1e-3 if few else 2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"center": False},
        {"scale": False},
        {"center": False, "scale": False},
        {"trainable": False},
        {"epsilon": 1e-5, "momentum": 0.0},
        {"epsilon": 1e-7, "momentum": 0.9},
        {"axis": 1},
        {"axis": 3},
        {"renorm": True},
        {"synchronized": True},
        {"dtype": "float64"},
    ],
    ids=str,
)
def test_every_option(options):
    assert_same(random(IMAGES), kind_options=options)
    assert_same(random(IMAGES), kind_options=options, training=False)


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=4),
    st.integers(1, 9),
    st.sampled_from([1e-5, 1e-3, 0.1]),
    st.floats(0.1, 10.0),
    st.floats(-20.0, 20.0),
)
def test_any_numbers(positions, channels, epsilon, scale, mean):
    x = random((*positions, channels), mean=mean, scale=scale)
    outputs = []
    for kind in CLASSES:
        layer = make(kind, x.shape, epsilon=epsilon)
        outputs.append([layer(x, training=True), layer.moving_mean, layer.moving_variance])
    for one, other in zip(*outputs, strict=True):
        # Where the numbers of a channel are nearly one, its digits are those of the inputs.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 + 1e-5 * abs(mean))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("jit", [False, True], ids=["plain", "xla"])
def test_half_precision(policy, jit):
    digits = 2**-7 if "bfloat16" in policy else 2**-9
    assert_same(random(IMAGES), kind_options={"dtype": policy}, digits=digits, jit=jit)


def test_inputs_of_more_precision_than_the_layer_keep_it():
    x = tf.constant(random(IMAGES, mean=500.0))
    kinds = (make(kind, IMAGES, dtype="mixed_float16", autocast=False) for kind in CLASSES)
    ours, theirs = (layer(x, training=True) for layer in kinds)
    assert ours.dtype == "float16"
    np.testing.assert_allclose(ours, theirs, rtol=2**-10, atol=2**-10)
    low = tf.cast(x, "float16")
    kinds = (make(kind, IMAGES, autocast=False) for kind in CLASSES)
    ours, theirs = (layer(low, training=True) for layer in kinds)
    assert ours.dtype == "float32"
    np.testing.assert_allclose(ours, theirs, atol=5e-4)


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "xla"])
@pytest.mark.parametrize("mean", [100.0, 1e4])
def test_large_means_cost_no_more_precision_than_the_inputs_have(mean, jit):
    x = random((8, 4, 4, 8), mean=mean)
    exact = (x - x.mean((0, 1, 2), dtype=float)) / np.sqrt(x.var((0, 1, 2), dtype=float) + 1e-3)
    layer = FusedBatchNorm()
    outputs = tf.function(lambda x: layer(x, training=True), jit_compile=jit)(x)
    np.testing.assert_allclose(outputs, exact, atol=4 * np.spacing(np.float32(mean)))


def test_the_kernel_is_used_where_it_is_said_to_be():
    elsewhere = {"axis": 1}, {"renorm": True}, {"synchronized": True}, {"dtype": "float64"}
    for options in ({}, {"dtype": "mixed_bfloat16"}, {"center": False}, *elsewhere):
        layer = make(FusedBatchNorm, IMAGES, **options)
        for training in (True, False):
            spec = tf.TensorSpec((None, *IMAGES[1:]), layer.compute_dtype)
            step = stepper(layer, training=training)
            traced = step.get_concrete_function(spec, tf.TensorSpec(spec.shape))
            assert kernels_in(traced) == (2 if training and options not in elsewhere else 0)


@pytest.mark.parametrize("shape", [(5, 4, 8), (4, 8), (8,)], ids=str)
def test_any_number_of_examples_by_one_trace(shape):
    found = []
    for kind in CLASSES:
        layer = make(kind, (None, *shape))
        spec = tf.TensorSpec((None, *shape))
        traced = stepper(layer).get_concrete_function(spec, spec)
        assert traced.structured_outputs[0].shape == (None, *shape)
        results = []
        for examples in (3, 1, 0):
            x = tf.constant(random((examples, *shape)))
            outputs, gradients = traced(x, x)
            # Without an example the statistics aren't numbers, as with Keras.
            results += [outputs, gradients[0], *map(tf.identity, layer.non_trainable_variables)]
        found.append(results)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_masked_position_never_counts():
    x, mask = random((4, 6, 8)), np.arange(6) < np.array([[6], [4], [2], [5]])
    found = []
    for kind in CLASSES:
        layer = make(kind, x.shape)
        found.append([layer(x, training=True, mask=mask), *layer.non_trainable_variables])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


class Exact(layers.BatchNormalization):
    """Keras' own has wrong second derivatives: `tf.nn.moments` takes the mean for a constant."""

    def _moments(self, inputs, mask):
        mean = tf.reduce_mean(inputs, self._reduction_axes)
        return mean, tf.reduce_mean((inputs - mean) ** 2, self._reduction_axes)


@pytest.mark.parametrize("shape", [(4, 3, 3, 5), (7, 3)], ids=str)
def test_gradients_of_gradients(shape):
    """Of a sum over the squared gradients, along a direction: against differences in float64."""
    x, direction = random(shape).astype(float), random(shape, seed=1).astype(float)
    weights = random(shape, seed=2)

    def flow(layer, x):
        values = [x, layer.gamma.value, layer.beta.value]
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(layer(x, training=True) ** 3 * tf.cast(weights, x.dtype))
        return sum(tf.reduce_sum(g**2) for g in tape.gradient(loss, values))

    precise = make(layers.BatchNormalization, shape, dtype="float64", epsilon=1e-5)
    ahead, behind = (flow(precise, tf.constant(x + h * direction)) for h in (1e-5, -1e-5))
    for kind in (FusedBatchNorm, Exact):
        layer, given_ = make(kind, shape, epsilon=1e-5), tf.constant(x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(given_)
            value = flow(layer, given_)
        slope = tf.reduce_sum(tape.gradient(value, given_) * tf.cast(direction, tf.float32))
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-3)


def test_probes_leave_the_moving_statistics_alone():
    layer, x = make(FusedBatchNorm, IMAGES), random(IMAGES)
    before = [v.numpy() for v in layer.non_trainable_variables]
    with keras.StatelessScope() as scope:
        layer(x, training=True)
    for variable, value in zip(layer.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
        assert not np.array_equal(scope.get_current_value(variable), value)


def twins(name="resnet20", shape=(16, 16, 3), *, classes=CLASSES, **options):
    """The same network with the layer of each class."""
    norms = (lambda name, _, kind=kind: kind(name=name, epsilon=1e-5) for kind in classes)
    return [build(name, shape, 10, seed=0, norm=norm, **options) for norm in norms]


def test_a_deep_network_is_the_same_in_every_variable():
    ours, theirs = twins(width=0.25)
    x = random((16, 16, 16, 3))
    assert named_variables(ours).keys() == named_variables(theirs).keys()
    gradients = []
    for model in (ours, theirs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax(model(x, training=True)) ** 2)
        values = [v.value for v in model.trainable_variables]
        gradients.append(tape.gradient(loss, values))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-4 * np.abs(other).max() + 1e-7)
    for key, variable in named_variables(ours).items():
        np.testing.assert_allclose(variable, named_variables(theirs)[key], atol=1e-4)


def test_training_goes_the_same_way():
    x, y = batch((8, 8, 3), examples=48, classes=3)
    ours, theirs = twins("conv2", (8, 8, 3), width=0.1)
    for model in (ours, theirs):
        compiled(model, keras.optimizers.SGD(0.05, momentum=0.9), jit_compile=False)
        model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)  # the last is of 16
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-4)
    for key, variable in named_variables(ours).items():
        np.testing.assert_allclose(variable, named_variables(theirs)[key], atol=1e-4)


def test_it_is_the_norm_of_the_zoo_and_swaps_in():
    assert type(norm_layer("batch", 8)) is FusedBatchNorm
    model = build("resnet20", (8, 8, 3), 3, width=0.25, norm="batch")
    norms = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    assert norms
    assert {type(norm) for norm in norms} == {FusedBatchNorm}
    plain = convnet()
    swapped, report = swap_norm(plain, "batch")
    assert [layer.name for layer in swapped.layers] == [layer.name for layer in plain.layers]
    assert type(swapped.get_layer("norm")) is FusedBatchNorm
    assert report.layers[0].weights.new == ()
    np.testing.assert_array_equal(swapped(digits()[0][:4]), plain(digits()[0][:4]))


def test_automatic_names_and_keys_are_those_of_keras():
    models = [
        keras.Sequential([keras.Input((4, 4, 2)), kind(), layers.ReLU(), kind()])
        for kind in CLASSES
    ]
    keys = [list(named_variables(model)) for model in models]
    assert keys[0] == keys[1]
    assert keys[0][0] == "batch_normalization/gamma"
    swapped = swap_norm(models[1], "batch").model
    assert [layer.name for layer in swapped.layers] == [layer.name for layer in models[1].layers]


def test_a_child_is_named_after_itself():
    class Mine(FusedBatchNorm):
        pass

    assert Mine().name.startswith("mine")
    model = keras.Sequential([keras.Input((4, 2)), Mine()])
    assert "mine/gamma" in named_variables(model)


def test_a_file_of_ours_and_one_of_keras_load(tmp_path):
    x = random((3, 8, 8, 3))
    for model in twins("conv2", (8, 8, 3), width=0.1):
        model(random((9, 8, 8, 3), seed=1), training=True)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert [type(one) for one in again.layers] == [type(one) for one in model.layers]
        np.testing.assert_array_equal(again(x), model(x))
    ours, theirs = (make(kind, IMAGES, momentum=0.7, name="norm") for kind in CLASSES)
    assert json.loads(json.dumps(ours.get_config())) == theirs.get_config()
    ours.set_weights(theirs.get_weights())
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]


def test_a_plain_file_holds_the_layer_of_keras(tmp_path):
    model = build("conv2", (8, 8, 3), 3, width=0.1, norm="batch")
    model(random((9, 8, 8, 3), seed=1), training=True)
    loaded = keras.saving.load_model(save_keras(model, tmp_path / "plain.keras"))
    assert {type(one).__module__.partition(".")[0] for one in loaded.layers} == {"keras"}
    x = random((3, 8, 8, 3))
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("format", ["fp32", "int8"])
def test_an_exported_file_is_the_same_to_the_byte(format, tmp_path):
    files, x = [], random((8, 8, 8, 3))  # of one name each, which the file holds
    for number, model in enumerate(twins("conv2", (8, 8, 3), width=0.1)):
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(0.5, 0.1, w.shape) for w in model.weights])
        path = tmp_path / f"{number}.tflite"
        calibration = x if format == "int8" else None
        to_tflite(model, path, format=format, calibration=calibration, min_agreement=0.0)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_channels_behind_it_are_cut_out():
    model = build("conv2", (8, 8, 3), 3, width=0.2, norm="batch")
    model(random((9, 8, 8, 3), seed=1), training=True)
    conv = next(one for one in model.layers if isinstance(one, layers.Conv2D))
    kernel = conv.kernel.numpy()
    kernel[..., ::2] = 0
    conv.kernel.assign(kernel)
    small = shrink(model).model
    assert small.count_params() < model.count_params()
    assert any(type(one) is FusedBatchNorm for one in small.layers)
    x = random((3, 8, 8, 3))
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)


def test_saliency_by_second_derivatives():
    x, y = batch((8, 8, 3), examples=16, classes=3)
    models = twins("conv2", (8, 8, 3), width=0.1, classes=(FusedBatchNorm, Exact))
    ours, exact = (grasp(compiled(model), x, y) for model in models)
    for key, scores in ours.items():
        scale = np.abs(exact[key]).max()
        np.testing.assert_allclose(scores, exact[key], rtol=1e-3, atol=1e-3 * scale)


def test_options_of_the_catalog_reach_it():
    layer = Norm("batch", {"momentum": 0.5, "axis": 1})("norm", 8)
    assert (layer.momentum, layer.axis, layer.epsilon) == (0.5, 1, 1e-5)
