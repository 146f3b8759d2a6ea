import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.norms.folding import fold_batch_norm
from tfticket.norms.layers import (
    FrozenBatchNorm,
    GroupNorm,
    LpBatchNorm,
    NoisyBatchNorm,
    StandardizedConv2D,
)
from tfticket.sparsity import get_mask, sparsify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers


def randomized(model, seed=0):
    """All weights away from where they begin; negative scales too."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "moving" in variable.name:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif variable.name in ("gamma", "beta", "bias"):
            variable.assign(rng.uniform(-2, 2, variable.shape))
    return model


def sequence(shape, *stack):
    return randomized(keras.Sequential([keras.Input(shape), *stack]))


def check(model, shape, *, folded, left=0):
    x, _ = helpers.batch(shape, examples=4)
    expected = model(x, training=False).numpy()
    found = fold_batch_norm(model)
    assert (len(found.folded), len(found.left)) == (folded, left)
    np.testing.assert_allclose(found.model(x, training=False), expected, atol=1e-5, rtol=1e-5)
    return found


IMAGE, SERIES, CUBE = (6, 6, 4), (8, 4), (4, 4, 4, 2)
LAYERS = {
    "dense": (lambda **k: layers.Dense(5, **k), (7,)),
    "dense_on_images": (lambda **k: layers.Dense(5, **k), IMAGE),
    "conv1d": (lambda **k: layers.Conv1D(5, 3, padding="causal", **k), SERIES),
    "conv2d": (lambda **k: layers.Conv2D(6, 3, groups=2, padding="same", **k), IMAGE),
    "conv3d": (lambda **k: layers.Conv3D(3, 2, **k), CUBE),
    "depthwise1d": (lambda **k: layers.DepthwiseConv1D(3, depth_multiplier=2, **k), SERIES),
    "depthwise2d": (lambda **k: layers.DepthwiseConv2D(3, depth_multiplier=2, **k), IMAGE),
    "separable1d": (lambda **k: layers.SeparableConv1D(5, 3, **k), SERIES),
    "separable2d": (lambda **k: layers.SeparableConv2D(5, 3, depth_multiplier=2, **k), IMAGE),
    "transpose1d": (lambda **k: layers.Conv1DTranspose(5, 3, **k), SERIES),
    "transpose2d": (lambda **k: layers.Conv2DTranspose(5, 3, strides=2, **k), IMAGE),
    "transpose3d": (lambda **k: layers.Conv3DTranspose(3, 2, **k), CUBE),
}


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_norm_goes_into_any_linear_layer_before_it(kind, use_bias):
    make, shape = LAYERS[kind]
    model = sequence(shape, make(use_bias=use_bias), layers.BatchNormalization())
    found = check(model, shape, folded=1)
    assert [type(layer) for layer in found.model.layers] == [type(model.layers[0])]
    assert found.model.layers[0].name == model.layers[0].name


@pytest.mark.parametrize(
    "norm",
    [
        lambda: layers.BatchNormalization(scale=False),
        lambda: layers.BatchNormalization(center=False, renorm=True),
        lambda: FrozenBatchNorm(),
        lambda: NoisyBatchNorm(),
        lambda: LpBatchNorm(1),
        lambda: LpBatchNorm("inf", scale=False, center=False),
    ],
    ids=["shift", "renorm", "frozen", "noisy", "l1", "bare"],
)
def test_any_norm_with_moving_statistics_is_folded(norm):
    check(sequence(IMAGE, layers.Conv2D(5, 3), norm()), IMAGE, folded=1)


@pytest.mark.parametrize(
    ("behind", "shape"),
    [
        (lambda: layers.Dense(3, activation="relu"), IMAGE),
        (lambda: layers.Conv2D(3, 3, strides=2, use_bias=False), IMAGE),
        (lambda: layers.Conv1D(3, 3), SERIES),
    ],
    ids=["dense", "conv2d", "conv1d"],
)
def test_a_norm_with_no_linear_layer_before_it_goes_into_the_one_behind(behind, shape):
    check(sequence(shape, layers.ReLU(), layers.BatchNormalization(), behind()), shape, folded=1)


def test_a_layer_takes_norms_from_both_sides():
    both = [layers.BatchNormalization(), layers.Conv2D(3, 3), layers.BatchNormalization()]
    found = check(sequence(IMAGE, *both, layers.ReLU()), IMAGE, folded=2)
    assert [type(layer).__name__ for layer in found.model.layers] == ["Conv2D", "ReLU"]


@pytest.mark.parametrize(
    ("stack", "why"),
    [
        ([layers.ReLU, layers.BatchNormalization, layers.ReLU], "no linear layer"),
        (
            [
                layers.ReLU,
                layers.BatchNormalization,
                lambda: layers.Conv2D(3, 3, padding="same"),
            ],
            "without padding",
        ),
        (
            [lambda: layers.Conv2D(3, 3, activation="relu"), layers.BatchNormalization],
            "no linear layer",
        ),
        ([lambda: layers.Conv2D(3, 3), lambda: layers.BatchNormalization(axis=1)], "no linear"),
        ([lambda: StandardizedConv2D(4, 3), layers.BatchNormalization], "no linear layer"),
        ([lambda: layers.Conv2D(4, 3), lambda: GroupNorm(groups=2)], "those of each example"),
        ([lambda: layers.TimeDistributed(layers.BatchNormalization())], "can't be opened"),
    ],
)
def test_what_can_not_be_folded_stays_and_is_told(stack, why):
    found = check(sequence(IMAGE, *(make() for make in stack)), IMAGE, folded=0, left=1)
    assert why in next(iter(found.left.values()))


def test_a_layer_with_another_reader_or_several_calls_keeps_its_kernel():
    inputs = keras.Input(IMAGE)
    conv = layers.Conv2D(4, 3, padding="same", name="read_twice")(inputs)
    x = layers.Add()([conv, layers.BatchNormalization(name="a")(conv)])
    shared = layers.Conv2D(4, 3, padding="same", name="called_twice")
    x = layers.ReLU()(layers.BatchNormalization(name="b")(shared(shared(x))))
    norm = layers.BatchNormalization(name="c")
    outputs = layers.ReLU()(norm(layers.ReLU()(norm(x))))
    model = randomized(keras.Model(inputs, outputs))
    found = check(model, IMAGE, folded=0, left=3)
    assert "several places" in found.left["c"]


def test_blocks_inside_are_folded_once_though_they_are_called_twice():
    inputs = keras.Input(IMAGE)
    block = keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
        ],
        name="block",
    )
    model = randomized(keras.Model(inputs, keras.ops.relu(block(block(inputs)))))
    found = check(model, IMAGE, folded=1)
    assert found.folded == {"block/norm": "block/conv"}


def test_a_pruned_network_keeps_its_zeros_and_masks():
    model = sequence(
        IMAGE, layers.Conv2D(8, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)
    )
    mask = helpers.random_mask(model)
    found = check(sparsify(model, mask), IMAGE, folded=1)
    assert get_mask(found.model) == mask
    assert helpers.leaked(found.model, mask) == 0  # no negative zeros either
    helpers.compiled(found.model).fit(*helpers.batch(IMAGE), verbose=0)
    assert helpers.leaked(found.model, mask) == 0


def test_a_network_of_keras_applications_loses_all_its_norms():
    model = keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=3)
    norms = sum(isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    check(model, (32, 32, 3), folded=norms)


def test_a_subclassed_model_is_refused():
    with pytest.raises(ModelError, match=r"class Subclassed\. Convert it to TFLite"):
        fold_batch_norm(helpers.Subclassed())
