"""What every normalization of the catalog must be able to do; a new one joins by its name."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from helpers import batch, compiled, leaked, random_mask

from tfticket.export import to_tflite
from tfticket.norms.catalog import NORMS, norm_layer
from tfticket.norms.layers import standardized
from tfticket.sparsity import Mask, sparsify
from tfticket.state import named_variables, prunable_variables

pytestmark = pytest.mark.slow

layers = keras.layers

KINDS = tuple(NORMS)
LAYERS = tuple(kind for kind in NORMS if kind != "none")


def network(kind, **options):
    """Convolution, normalization, ReLU, and an output layer."""
    conv = layers.Conv2D(8, 3, use_bias=False, name="conv")
    norm = norm_layer(kind, 8, name="norm", **options)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            standardized(conv) if NORMS[kind].standardizes_weights else conv,
            *([] if norm is None else [norm]),
            layers.ReLU(name="relu"),
            layers.Flatten(),
            layers.Dense(3, dtype="float32", name="output"),
        ]
    )


@dataclass(frozen=True)
class Trained:
    """A pruned network before and after a few steps."""

    kind: str
    model: keras.Model
    mask: Mask
    before: dict[str, np.ndarray]
    losses: list[float]
    x: np.ndarray


@pytest.fixture(scope="module", params=KINDS)
def trained(request):
    keras.utils.set_random_seed(7)
    plain = network(request.param)
    mask = random_mask(plain)
    model = compiled(sparsify(plain, mask), keras.optimizers.SGD(0.05), jit_compile=False)
    before = {key: np.array(v.numpy()) for key, v in named_variables(model).items()}
    x, y = batch((8, 8, 2))
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    return Trained(request.param, model, mask, before, history.history["loss"], x)


@pytest.mark.parametrize("kind", LAYERS)
def test_config_survives_json_before_and_after_the_layer_is_built(kind, seeded):
    layer = norm_layer(kind, 8, name="norm", dtype="mixed_bfloat16", trainable=False)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    layer.build((None, 4, 4, 8))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(layer)
    assert (again.name, again.compute_dtype, again.trainable) == ("norm", "bfloat16", False)
    again.build((None, 4, 4, 8))
    assert again.get_config() == layer.get_config()
    assert again.compute_output_shape((None, 4, 4, 8)) == (None, 4, 4, 8)


def test_a_fit_is_finite_and_changes_every_trainable_parameter(trained):
    assert np.isfinite(trained.losses).all()
    for key, variable in named_variables(trained.model).items():
        moved = not np.array_equal(variable.numpy(), trained.before[key])
        assert moved or not variable.trainable, key


def test_masks_cover_kernels_and_never_a_norm(trained):
    assert set(trained.mask) == {"conv/kernel", "output/kernel"}
    assert set(prunable_variables(trained.model)) == set(trained.mask)
    assert leaked(trained.model, trained.mask) == 0
    for key, variable in named_variables(trained.model).items():
        if key.startswith("norm/") and trained.before[key].all():  # gamma, for one
            assert variable.numpy().all(), key


def test_keras_file_gives_the_same_outputs(trained, tmp_path):
    trained.model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(trained.x), trained.model(trained.x))
    if trained.kind != "noisy_batch":  # Keras files don't hold the state of seeds
        np.testing.assert_array_equal(
            again(trained.x, training=True), trained.model(trained.x, training=True)
        )


def test_tflite_gives_the_same_outputs_and_holds_every_zero(trained, tmp_path):
    path = tmp_path / "model.tflite"
    report = to_tflite(trained.model, path, check_on=(trained.x, None))
    for count in report.zeros:
        assert count.zeros == int((~trained.mask[count.key]).sum())
        assert count.zeros_in_file == count.zeros
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    given, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for example, expected in zip(trained.x, trained.model(trained.x).numpy(), strict=True):
        interpreter.set_tensor(given["index"], example[None])
        interpreter.invoke()
        np.testing.assert_allclose(interpreter.get_tensor(got["index"])[0], expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", LAYERS)
def test_mixed_precision_computes_statistics_precisely(kind, policy, seeded):
    # Squares of such values are beyond float16, and their sums beyond the digits of bfloat16.
    x = np.random.default_rng(0).normal(300, 100, (4, 16, 16, 8)).astype(np.float32)
    x = tf.cast(tf.cast(x, policy.removeprefix("mixed_")), "float32")
    options = {"seed": 1} if kind == "noisy_batch" else {}
    outputs = []
    for dtype in ("float32", policy):
        layer = norm_layer(kind, 8, dtype=dtype, **options)
        outputs.append(layer(tf.cast(x, layer.compute_dtype), training=True))
        assert outputs[-1].dtype == layer.compute_dtype
        assert {v.dtype for v in layer.weights if "seed" not in v.path} == {"float32"}
    precise, mixed = (tf.cast(y, "float32").numpy() for y in outputs)
    digits = 2**-8 if policy == "mixed_bfloat16" else 2**-11
    np.testing.assert_allclose(mixed, precise, rtol=2 * digits, atol=4 * digits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_in_mixed_precision(kind, seeded):
    keras.config.set_dtype_policy("mixed_float16")
    model = compiled(network(kind), "sgd", run_eagerly=True)
    before = model.get_layer("conv").kernel.numpy()
    assert np.isfinite(model.train_on_batch(*batch((8, 8, 2))))
    assert not np.array_equal(model.get_layer("conv").kernel.numpy(), before)


@pytest.mark.parametrize("kind", LAYERS)
def test_shapes_may_be_unknown_but_for_the_channels(kind, seeded):
    layer = norm_layer(kind, 4)
    inputs = keras.Input((None, None, 4))
    outputs = layer(inputs)
    assert outputs.shape == (None, None, None, 4)
    anything = keras.Model(inputs, outputs)
    traced = tf.function(
        lambda x: anything(x, training=False),
        input_signature=[tf.TensorSpec((None, None, None, 4))],
    )
    for shape in ((2, 3, 5, 4), (3, 6, 2, 4)):
        x = np.random.default_rng(0).normal(2, 3, shape).astype(np.float32)
        same = type(layer).from_config(layer.get_config())
        np.testing.assert_allclose(traced(x), same(x), atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_mask_is_heeded_and_passed_on_or_given_up_aloud(kind, seeded):
    x = np.random.default_rng(0).normal(2, 3, (4, 6, 4)).astype(np.float32)
    mask = np.arange(6) < np.array([[6], [4], [2], [5]])
    options = {"seed": 1} if kind == "noisy_batch" else {}
    outputs = []
    for garbage in (0.0, 1e6):
        inputs = tf.constant(np.where(mask[..., None], x, garbage).astype(np.float32))
        keras.src.backend.set_keras_mask(inputs, mask)
        layer = norm_layer(kind, 4, **options)
        gives_up = not layer.supports_masking
        with pytest.warns(UserWarning, match="mask") if gives_up else contextlib.nullcontext():
            given = layer(inputs, training=True)
        assert gives_up or given._keras_mask is not None
        outputs.append(given.numpy()[mask])
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_layers_of_ours_are_compiled_by_xla(seeded):
    ours = ("frozen_batch", "group", "filter_response", "l1_batch", "l2_batch", "linf_batch")
    built = {kind: norm_layer(kind, 4) for kind in ours}
    noisy = norm_layer("noisy_batch", 4)
    conv = standardized(layers.Conv2D(4, 3))

    @tf.function(jit_compile=True)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = {kind: layer(x, training=True) for kind, layer in built.items()}
            outputs["conv"], outputs["noisy_batch"] = conv(x), noisy(x, training=True)
            loss = sum(tf.reduce_sum(y**3) for y in outputs.values())
        return outputs, tape.gradient(loss, x)

    x = tf.constant(np.random.default_rng(0).normal(2, 3, (4, 5, 5, 4)).astype(np.float32))
    for layer in (*built.values(), noisy, conv):
        layer.build(x.shape)
    copies = {kind: type(one).from_config(one.get_config()) for kind, one in built.items()}
    outputs, gradient = step(x)
    assert np.isfinite(gradient).all()
    assert np.isfinite(outputs["noisy_batch"]).all()
    np.testing.assert_allclose(outputs["conv"], conv(x), atol=1e-5)
    for kind, copy in copies.items():
        np.testing.assert_allclose(outputs[kind], copy(x, training=True), atol=1e-5)
        for one, other in zip(built[kind].weights, copy.weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
