"""Curvature against Hessians by finite differences, closed forms, and rules of the measurement."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, compiled, mlp, random_mask

from tfticket.errors import DataError, ModelError
from tfticket.norms import (
    batch_sharpness,
    critical_sharpness,
    hessian_eigenvalues,
    hessian_trace,
)
from tfticket.norms.landscape.lanczos import lanczos
from tfticket.norms.landscape.probe import Probe
from tfticket.norms.landscape.second_order import differentiable_twice
from tfticket.norms.layers import FusedBatchNorm, GroupNorm
from tfticket.sparsity import sparsify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
X, Y = batch((5, 5, 2), examples=12)


def dense_hessian(model, x, y):
    """Central differences of the gradient, in float64, so that no second derivative is used."""
    probe = Probe(model)
    gradient = tf.function(lambda weights: probe.gradient(weights, (x, y))[1])
    weights = [w.numpy() for w in probe.weights()]
    sizes = np.cumsum([w.size for w in weights])
    flat = np.concatenate([w.ravel() for w in weights])

    def at(theta):
        parts = np.split(theta, sizes[:-1])
        found = gradient(
            [tf.constant(p.reshape(w.shape)) for p, w in zip(parts, weights, strict=True)]
        )
        return np.concatenate([np.ravel(part) for part in found])

    steps = 1e-5 * np.eye(len(flat))
    columns = [(at(flat + step) - at(flat - step)) / 2e-5 for step in steps]
    return (np.array(columns) + np.array(columns).T) / 2


NORMS = {
    # in float64, in float32
    "none": (None, None),
    "batch": (layers.BatchNormalization, FusedBatchNorm),
    "group": (lambda: layers.GroupNormalization(2), lambda: GroupNorm(2, epsilon=1e-3)),
}


def network(norm=None):
    """A network of many kinds of operations, smooth up to the choice in max pooling."""
    return compiled(
        keras.Sequential(
            [
                keras.Input((5, 5, 2)),
                layers.Conv2D(4, 2, use_bias=False, kernel_regularizer="l2", name="conv"),
                *([norm()] if norm else []),
                layers.Activation("softplus"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(3, name="output"),
            ]
        ),
        jit_compile=False,
    )


@pytest.fixture(scope="module", params=NORMS)
def known(request):
    """Networks in float64 and float32, and their Hessian by finite differences."""
    keras.utils.set_random_seed(1)
    double, single = NORMS[request.param]
    model = network(single)
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    exact = network(double)
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    exact.set_weights(model.get_weights())
    return exact, model, dense_hessian(exact, X.astype("float64"), Y)


def test_eigenvalues_and_trace_are_those_of_the_dense_hessian(known):
    model, _, hessian = known
    expected = np.linalg.eigvalsh(hessian)[::-1]
    found = hessian_eigenvalues(model, X, Y, k=4, tolerance=1e-7)
    np.testing.assert_allclose(found.values, expected[:4], rtol=1e-6)
    assert found.converged.all()
    trace = hessian_trace(model, X, Y, products=45)
    assert trace.mean == pytest.approx(np.trace(hessian), abs=4 * trace.error)
    assert trace.error < 0.12 * np.trace(hessian)
    # As many products as thrice the rank of the Hessian leave nothing to sample.
    whole = hessian_trace(model, X, Y, products=3 * len(expected))
    assert whole.mean == pytest.approx(np.trace(hessian), rel=1e-6)


def test_float32_and_layers_with_kernels_of_their_own_give_the_same(known):
    _, model, hessian = known
    found = hessian_eigenvalues(model, X, Y, k=2, tolerance=1e-4)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(hessian)[::-1][:2], rtol=1e-4)


@pytest.mark.parametrize("left_out", ["scale", "center"])
def test_batch_norm_of_rows_without_a_scale_or_a_center(left_out):
    def rows(dtype):
        parts = [
            keras.Input((50,), dtype=dtype),
            layers.Dense(3, activation="tanh", dtype=dtype),
            layers.BatchNormalization(**{left_out: False}, dtype=dtype),
            layers.Dense(3, activation="tanh", dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ]
        return compiled(keras.Sequential(parts), jit_compile=False)

    model, exact = rows("float32"), rows("float64")
    exact.set_weights(model.get_weights())
    # float64 takes Keras' operations, whose second derivative is TensorFlow's.
    values = [
        hessian_eigenvalues(each, X.reshape(len(X), -1), Y, k=3).values for each in (model, exact)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def test_a_layer_alone_has_its_block_of_the_hessian(known):
    model, _, hessian = known
    size = model.get_layer("output").count_params()
    expected = np.linalg.eigvalsh(hessian[-size:, -size:])[-1]
    found = hessian_eigenvalues(model, X, Y, layer="output", tolerance=1e-6)
    assert found.values[0] == pytest.approx(expected, rel=1e-6)


def test_pruned_weights_have_no_curvature():
    dense = compiled(mlp((6, 5, 3), activation="tanh"), jit_compile=False)
    mask = random_mask(dense)
    sparse = compiled(sparsify(dense, mask), jit_compile=False)
    x, y = batch(examples=20)
    hessian = dense_hessian(sparse, x, y)
    kernels = [mask[key].ravel() for key in ("hidden_0/kernel", "output/kernel")]
    kept = np.concatenate([kernels[0], np.ones(5), kernels[1], np.ones(3)])
    block = hessian[np.ix_(kept > 0, kept > 0)]
    found = hessian_eigenvalues(sparse, x, y, k=3, tolerance=1e-5)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(block)[::-1][:3], rtol=5e-3)


@pytest.fixture(scope="module")
def quadratic():
    """L(w) = mean of (w x)^2 / 1 for n examples: each has the Hessian 2 x x'."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 3)) @ np.diag([3.0, 1.0, 0.2])
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    return model, x, np.zeros((6, 1)), model.layers[0].kernel.numpy()[:, 0]


def test_critical_sharpness_of_a_quadratic_is_the_curvature_along_the_step(quadratic):
    model, x, y, w = quadratic
    hessian = 2 / len(x) * x.T @ x
    g = hessian @ w
    expected = g @ hessian @ g / (g @ g)
    for tolerance in (0.1, 1e-3):
        found = critical_sharpness(model, x, y, tolerance=tolerance)
        assert found == pytest.approx(expected, rel=tolerance)
    # Along the first update of Adam, d = -rate sign(g): L rises beyond eta_c = -2 g'd / d'Hd rate.
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    d = np.sign(g)
    found = critical_sharpness(model, x, y, direction="update", tolerance=1e-3)
    assert found == pytest.approx(d @ hessian @ d / (g @ d), rel=2e-3)
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)


def test_critical_sharpness_where_the_loss_never_rises_or_at_once():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), lambda y, p: keras.ops.mean(p), jit_compile=False)
    one = np.ones((1, 1))
    assert critical_sharpness(model, one, one) == 0.0

    class Climber(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(-gradient, variable, learning_rate)

    x = np.full((1, 1), 3.0)

    model.compile(Climber(0.1), "mse", jit_compile=False)
    assert critical_sharpness(model, x, 0 * x, direction="update") == np.inf


def test_batch_sharpness_is_the_mean_over_mini_batches(quadratic):
    model, x, y, w = quadratic

    def curvature(rows):
        hessian = 2 / len(rows) * x[rows].T @ x[rows]
        g = hessian @ w
        return g @ hessian @ g / (g @ g)

    every = [curvature(list(pair)) for pair in itertools.combinations(range(6), 2)]
    found = batch_sharpness(model, x, y, batch_size=2, batches=200)
    assert found.samples == 200
    assert found.mean == pytest.approx(np.mean(every), abs=4 * found.error)
    assert found.error == pytest.approx(np.std(every) / np.sqrt(200), rel=0.2)
    whole = batch_sharpness(model, x, y, batch_size=6, batches=2)
    assert whole.mean == pytest.approx(curvature(range(6)), rel=1e-5)
    assert whole.error == pytest.approx(0, abs=1e-5)


def test_lanczos_goes_on_where_a_subspace_is_invariant():
    diagonal = tf.constant([5.0, 5.0, -7.0, 1.0, 0.0])
    start = tf.constant([1.0, 1.0, 1.0, 1.0, 0.0])  # the last weight is pruned
    rule = tf.constant(1e-5, tf.float64), tf.constant(4), tf.constant(0)
    solve = tf.function(lambda v: lanczos(lambda u: diagonal * u, v, 4, *rule))
    values, vectors, bound, products = solve(start)
    np.testing.assert_allclose(values, [5, 5, 1, -7], atol=1e-5)
    np.testing.assert_allclose(vectors @ tf.transpose(vectors), np.eye(4), atol=1e-5)
    assert not np.any(vectors[:, 4])
    assert bound.numpy() == pytest.approx(7e-5)
    assert products == 4


def test_gradients_of_no_function_show_in_the_mismatch():
    """H by differentiation is then that of another function, and looks as good as any."""

    class Stopped(layers.Layer):
        def call(self, x):
            return x * keras.ops.stop_gradient(x)

    class Rounded(layers.Layer):
        def call(self, x):
            return x + keras.ops.stop_gradient(keras.ops.round(4 * x) / 4 - x)

    def found(*between):
        sizes = layers.Dense(4, activation="tanh"), *between, layers.Dense(3)
        model = compiled(keras.Sequential([keras.Input((6,)), *sizes]), jit_compile=False)
        made = hessian_eigenvalues(model, *batch(examples=20))
        assert made.converged.all()
        return made.mismatch

    assert found() < 0.01
    assert found(Stopped()) > 0.05
    assert found(Rounded()) > 0.05


def test_few_products_are_told_to_be_too_few(quadratic):
    model, x, y, _ = quadratic
    found = hessian_eigenvalues(model, x, y, max_products=1)
    assert found.products == 2
    assert not found.converged.any()


def test_what_is_replaced_has_the_same_values_and_gradients_and_is_put_back():
    before = tf.nn.moments, tf.nn.max_pool
    model = network(FusedBatchNorm)
    x = tf.constant(np.maximum(X, 0))  # with ties in windows

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(model(x, training=True)))
        return loss, *tape.gradient(loss, [x, *(v.value for v in model.trainable_variables)])

    plain = gradient()
    with differentiable_twice(model):
        for own, other in zip(gradient(), plain, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-5)
    assert before == (tf.nn.moments, tf.nn.max_pool)


def test_recurrent_layers_and_embeddings_have_curvature():
    tokens = np.random.default_rng(0).integers(0, 7, (8, 5))
    sequence = [keras.Input((5,), dtype="int32"), layers.Embedding(7, 2), layers.SimpleRNN(2)]
    model = compiled(keras.Sequential([*sequence, layers.Dense(3)]), jit_compile=False)
    found = hessian_eigenvalues(model, tokens, np.arange(8) % 3, k=2, tolerance=1e-4)
    assert found.converged.all()
    assert found.values[0] > found.values[1] > 0


class Once(layers.Layer):
    """An operation whose gradient has none."""

    def call(self, x):
        return tf.nn.lrn(x[:, None, None])[:, 0, 0]


def test_bad_input_is_told_in_one_error(quadratic):
    model, x, y, _ = quadratic
    with pytest.raises(DataError, match="Mini-batches of 7 examples can't be drawn from 6"):
        batch_sharpness(model, x, y, batch_size=7)
    with pytest.raises(DataError, match=r"have \[5, 6\] examples"):
        hessian_trace(model, x, y[:5])
    with pytest.raises(ModelError, match="k=4 for 3 weights"):
        hessian_eigenvalues(model, x, y, k=4)
    with pytest.raises(ValueError, match="max_products=1, k=2"):
        hessian_eigenvalues(model, x, y, k=2, max_products=1)
    with pytest.raises(ValueError, match="at least 3 products"):
        hessian_trace(model, x, y, products=2)
    with pytest.raises(ModelError, match=r"must fit a layer with trainable weights.*'conv'"):
        hessian_eigenvalues(model, x, y, layer="conv")
    rounded = compiled(keras.Sequential([keras.Input((6,)), layers.Dense(3), Once()]))
    with pytest.raises(ModelError, match=r"can't be differentiated twice.*LRNGrad"):
        hessian_eigenvalues(rounded, *batch())
    with pytest.raises(ModelError, match="must be compiled"):
        hessian_eigenvalues(mlp((6, 3)), *batch())
