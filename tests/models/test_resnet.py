import keras
import numpy as np

from tfticket.models import resnet20, resnet32
from tfticket.state import named_variables, prunable_variables


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
