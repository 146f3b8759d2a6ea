"""Channel groups hold every slice of a kernel that a channel is in."""

import keras
import numpy as np
import pytest

from tfticket import models
from tfticket.channels import channel_groups, shrink
from tfticket.errors import ModelError
from tfticket.state import prunable_variables

pytestmark = pytest.mark.slow

layers = keras.layers


def slots(group_slots):
    return [(slot.key, slot.axis, slot.indices) for slot in group_slots]


def test_a_chain_with_flatten():
    model = models.build("conv2", (4, 4, 3), 10, width=2 / 64)
    groups = {group.name: group for group in channel_groups(model)}
    second = groups["conv2/kernel:1"]
    assert slots(second.produced) == [("conv2/kernel", 3, (1,))]
    assert slots(second.consumed) == [("dense1/kernel", 0, (1, 3, 5, 7))]  # four pixels, 2 channels
    assert not any(name.startswith("output") for name in groups)


def test_residual_sums_are_one_group():
    model = models.build("resnet20", (8, 8, 3), 10, width=0.25)
    groups = channel_groups(model)
    stem = next(group for group in groups if group.home == "conv1/kernel")
    made = [slot.key for slot in stem.produced]
    assert made == ["conv1/kernel", *(f"stage1_block{n}_conv2/kernel" for n in (1, 2, 3))]
    assert "stage2_block1_shortcut/kernel" in [slot.key for slot in stem.consumed]


@pytest.mark.parametrize("name", ["lenet_300_100", "conv4", "cnn9", "vgg", "resnet20"])
def test_without_any_group_the_answers_are_those_of_the_shrunk_model(name):
    """Zeroing whole groups is what `shrink` takes out: as many channels, of the same layers."""
    model = models.build(name, (32, 32, 3), 10, width=0.125)
    weights = prunable_variables(model)
    arrays = {key: np.array(variable) for key, variable in weights.items()}
    gone = channel_groups(model)[::2]
    for group in gone:
        for slot in group.slots:
            index = [slice(None)] * arrays[slot.key].ndim
            index[slot.axis] = list(slot.indices)
            arrays[slot.key][tuple(index)] = 0.0
    for key, variable in weights.items():
        variable.assign(arrays[key])
    assert shrink(model).removed >= sum(len(group.produced) for group in gone) - len(weights)


def test_depthwise_kernels_go_with_their_channel():
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, name="expand")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="project")(x))
    group = channel_groups(model)[1]
    assert slots(group.consumed) == [
        ("depthwise/kernel", 2, (1,)),
        ("project/kernel", 2, (2, 3)),
    ]


def test_skipped_kernels_keep_their_channels_and_are_never_masked():
    model = models.build("conv2", (4, 4, 3), 10, width=2 / 64)
    groups = channel_groups(model, skip=["conv2/*", "dense1/*"])
    assert {group.home for group in groups} == {"conv1/kernel", "dense2/kernel"}
    keys = {slot.key for group in groups for slot in group.slots}
    assert keys == {"conv1/kernel", "dense2/kernel", "output/kernel"}


def test_nothing_to_prune_is_said():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(inputs))
    with pytest.raises(ModelError, match="must have channels that can be taken out"):
        channel_groups(model)
