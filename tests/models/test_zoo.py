import itertools

import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import (
    MODELS,
    NORMS,
    build,
    cnn9,
    conv2,
    conv6,
    gives_probabilities,
    lenet_300_100,
    resnet20,
    resnet32,
    vgg,
)
from tfticket.models.zoo import dln
from tfticket.state import named_variables, prunable_variables

pytestmark = pytest.mark.slow

SHAPE = (28, 28, 2)  # the least that all of them take


@pytest.mark.parametrize(
    ("name", "norm"),
    [*((name, None) for name in MODELS), *itertools.product(["lenet_300_100", "conv2"], NORMS)],
)
def test_every_model_with_every_norm_gives_logits_that_can_be_trained(name, norm, seeded):
    options = {"width": 0.05} if name != "dln" else {"depth": 3}  # one unit a layer learns nothing
    model = build(name, SHAPE, 3, norm=norm, seed=1, **options)
    assert model.output_shape == (None, *(SHAPE[:2] if name == "unet" else ()), 3)
    assert not gives_probabilities(model)
    x = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    model.compile("sgd", "mse", run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    assert np.isfinite(model.train_on_batch(x, np.ones((4, *model.output_shape[1:]), np.float32)))
    moved = [
        not np.array_equal(b, v) for b, v in zip(before, model.trainable_variables, strict=True)
    ]
    assert np.mean(moved) > 0.8


@pytest.mark.parametrize("name", MODELS)
def test_names_do_not_count_through_the_process(name):
    def paths():
        return [v.path for v in build(name, SHAPE, 3, width=0.1, dropout=0.1).variables]

    first, second = paths(), paths()
    assert [p for p in first if "seed_generator" not in p] == [
        p for p in second if "seed_generator" not in p
    ]


def test_unknown_model():
    with pytest.raises(
        ModelError,
        match=r"No network named 'resnett20'. Did you mean 'resnet20'\? .*lenet_300_100,",
    ):
        build("resnett20", (32, 32, 3), 10)


def test_one_class():
    with pytest.raises(ModelError, match=r"at least 2\. Received: 1"):
        build("lenet_300_100", (8,), 1)


def test_a_regression_may_have_one_target():
    assert build("mlp", (8,), 1).output_shape == (None, 1)
    with pytest.raises(ModelError, match=r"at least 1\. Received: 0"):
        build("mlp", (8,), 0)


def test_a_unet_halves_twice():
    model = build("unet", (16, 12, 1), 4)
    assert model.output_shape == (None, 16, 12, 4)
    assert sum(int(np.prod(v.shape)) for v in prunable_variables(model).values()) == 14_504
    with pytest.raises(ModelError, match=r"multiples of 4.*\(16, 10, 1\)"):
        build("unet", (16, 10, 1), 4)


def test_nine_convolutions_and_the_output():
    model = cnn9((32, 32, 3), 10)
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    widths = [128, 128, 128, 256, 256, 256, 512, 256, 128]
    assert [shape[-1] for shape in shapes.values()] == [*widths, 10]
    assert all(shape[:2] == (3, 3) for shape in list(shapes.values())[:-1])
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 4_428_416
    # Three convolutions without padding: 8, 6, 4, 2 pixels.
    assert model.get_layer("conv9").output.shape == (None, 2, 2, 128)
    assert "conv9_norm/gamma" in named_variables(model)
    assert "conv1/bias" not in named_variables(model)


def test_rectifiers_leak():
    model = cnn9((28, 28, 1), 3, width=0.05)
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert len(relus) == 9
    np.testing.assert_allclose(relus[0](np.array([-1.0, 1.0], np.float32)), [-0.01, 1.0])


def test_whole_channels_are_dropped_while_training_and_never_else(seeded):
    model = cnn9((28, 28, 1), 3, width=0.25, dropout=0.5, seed=1)
    one, two = model.get_layer("pool1_dropout"), model.get_layer("pool2_dropout")
    assert one.rate == two.rate == 0.5
    assert one.seed_generator.state.numpy()[0] != two.seed_generator.state.numpy()[0]
    x = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    upto = keras.Model(model.inputs[0], one.output)
    dropped = np.all(np.asarray(upto(x, training=True)) == 0, axis=(1, 2))
    assert 0.3 < dropped.mean() < 0.7
    np.testing.assert_array_equal(model(x, training=False), model(x, training=False))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


def test_images_that_are_too_small_for_it():
    with pytest.raises(ModelError, match="at least 28x28 pixels"):
        cnn9((27, 28, 1), 10)
    assert cnn9((28, 28, 1), 10, width=0.1).output_shape == (None, 10)


def test_the_network_of_the_paper_is_a_product_of_25_matrices():
    model = dln((10,), 10)
    kernels = [weight.numpy() for weight in model.weights]
    assert [kernel.shape for kernel in kernels] == [(10, 10)] * 25
    x = np.random.default_rng(0).normal(size=(4, 10)).astype("float32")
    np.testing.assert_allclose(model(x), x @ np.linalg.multi_dot(kernels), rtol=1e-3, atol=1e-5)


def test_a_norm_goes_behind_each_layer_but_the_last():
    model = dln((10,), 3, depth=4, width_units=6, norm="batch")
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    assert kinds == ["Dense", "FusedBatchNorm"] * 3 + ["Dense"]
    assert model.layers[1].units == 6
    assert model.output_shape == (None, 3)


def test_images_are_flattened_and_layers_drop():
    model = dln((2, 2, 1), 2, depth=2, dropout=0.5)
    assert any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    assert model(np.ones((3, 2, 2, 1), "float32")).shape == (3, 2)


def test_one_layer_is_not_deep():
    with pytest.raises(ModelError, match=r"`depth` must be at least 2. Received: 1"):
        dln((10,), 10, depth=1)


def prunable(model):
    return {key: int(np.prod(v.shape)) for key, v in prunable_variables(model).items()}


@pytest.mark.parametrize(
    ("name", "shape", "total"),
    [
        ("lenet_300_100", (28, 28, 1), 266_200),
        ("conv2", (32, 32, 3), 4_300_992),
        ("conv4", (32, 32, 3), 2_425_024),
        ("conv6", (32, 32, 3), 2_261_184),
    ],
)
def test_the_papers_numbers_of_weights(name, shape, total):
    assert sum(prunable(build(name, shape, 10)).values()) == total


def test_keys():
    assert list(prunable(lenet_300_100((8, 8, 1), 10))) == [
        "dense1/kernel", "dense2/kernel", "output/kernel",
    ]  # fmt: skip
    names = [*(f"conv{i}" for i in range(1, 7)), "dense1", "dense2", "output"]
    keys = prunable(conv6((8, 8, 1), 10, width=0.1))
    assert list(keys) == [f"{name}/kernel" for name in names]


def test_vectors_will_do_for_a_dense_network():
    assert lenet_300_100((20,), 3).output_shape == (None, 3)


def test_dropout_sits_behind_the_hidden_dense_layers_with_seeds_of_their_own(seeded):
    model = conv2((4, 4, 1), 10, width=0.1, dropout=0.5)
    one, two = model.get_layer("dense1_dropout"), model.get_layer("dense2_dropout")
    assert one.rate == two.rate == 0.5
    assert one.seed_generator.state.numpy()[0] != two.seed_generator.state.numpy()[0]
    x = np.ones((8, 4, 4, 1), np.float32)
    assert not np.array_equal(model(x, training=True), model(x, training=True))


@pytest.mark.parametrize("shape", [(28, 28), (784,), (7, 8, 3)])
def test_examples_that_do_not_fit(shape):
    with pytest.raises(ModelError, match="at least 8x8 pixels"):
        conv6(shape, 10)


def test_weights_of_the_papers():
    sizes = {
        k: int(np.prod(v.shape)) for k, v in prunable_variables(resnet20((32, 32, 3), 10)).items()
    }
    assert sum(sizes.values()) == 270_896
    assert sum(size for key, size in sizes.items() if "_shortcut" in key) == 2_560
    assert sizes["output/kernel"] == 640
    assert len(sizes) == 20 + 2


def test_resnet32_has_two_blocks_more_in_each_stage():
    model = resnet32((32, 32, 3), 10)
    kernels = prunable_variables(model)
    assert len(kernels) == 32 + 2
    assert sum(int(np.prod(v.shape)) for v in kernels.values()) == 464_432
    assert model.get_layer("stage3_block5_relu").output.shape == (None, 8, 8, 64)
    assert model.name == "resnet32"


def test_keys_and_shapes():
    model = resnet20((16, 12, 3), 10)
    keys = list(prunable_variables(model))
    assert keys[0] == "conv1/kernel"
    for key in ("stage1_block1_conv1/kernel", "stage2_block1_shortcut/kernel", "output/kernel"):
        assert key in keys
    assert model.get_layer("stage3_block3_relu").output.shape == (None, 4, 3, 64)
    assert "stage1_block1_conv1_norm/gamma" in named_variables(model)


def test_norm_none_is_not_the_default():
    keys = named_variables(resnet20((8, 8, 1), 10, width=0.25, norm="none"))
    assert not any("norm" in key for key in keys)
    assert "stage1_block1_conv1/bias" in keys


def test_an_identity_block_adds_its_input():
    model = resnet20((8, 8, 1), 10, width=0.25, norm="none")
    for name in ("stage1_block1_conv1", "stage1_block1_conv2"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    ends = [model.get_layer(name).output for name in ("conv1_relu", "stage1_block1_relu")]
    block = keras.Model(model.inputs[0], ends)
    before, after = block(np.random.default_rng(0).random((2, 8, 8, 1), np.float32))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_depth_counts_the_papers_three_dense_layers(depth):
    keys = list(prunable_variables(vgg((16, 16, 3), 10, depth=depth, width=0.02)))
    assert keys == [*(f"conv{i}/kernel" for i in range(1, depth - 2)), "output/kernel"]


def test_weights():
    # Thirteen convolutions as in the paper's table 1, column D, and one dense layer of 512 x 10.
    sizes = [np.prod(v.shape) for v in prunable_variables(vgg((32, 32, 3), 10)).values()]
    assert sum(sizes) == 14_710_464 + 5_120


def test_depth_that_does_not_exist():
    with pytest.raises(ModelError, match=r"no depth 17\..*11, 13, 16, 19"):
        vgg((32, 32, 3), 10, depth=17)


def test_dropout_before_the_output():
    model = vgg((16, 16, 1), 10, depth=11, width=0.02, dropout=0.3)
    assert model.get_layer("pool5_dropout").rate == 0.3
