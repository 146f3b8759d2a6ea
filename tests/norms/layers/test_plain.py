import keras
import numpy as np
import pytest

from tfticket.norms.layers import (
    FilterResponseNorm,
    FrozenBatchNorm,
    FusedBatchNorm,
    GroupNorm,
    LpBatchNorm,
    NoisyBatchNorm,
    StandardizedConv1D,
    StandardizedConv2D,
    StandardizedConv3D,
    plain_layer,
)

pytestmark = pytest.mark.slow

PAIRS = [
    (GroupNorm(groups=32, center=False), keras.layers.GroupNormalization, (4, 5, 5, 6)),
    (GroupNorm(channels_per_group=4, axis=1), keras.layers.GroupNormalization, (4, 8, 5)),
    (GroupNorm(dtype="mixed_bfloat16"), keras.layers.GroupNormalization, (4, 5, 5, 8)),
    (FrozenBatchNorm(scale=False), keras.layers.BatchNormalization, (4, 5, 6)),
    (FusedBatchNorm(center=False), keras.layers.BatchNormalization, (4, 5, 5, 6)),
    (LpBatchNorm(1), keras.layers.BatchNormalization, (4, 5, 6)),
    (LpBatchNorm("inf", axis=1, scale=False), keras.layers.BatchNormalization, (4, 6, 5)),
    (NoisyBatchNorm(seed=1), keras.layers.BatchNormalization, (4, 5, 6)),
    (StandardizedConv1D(8, 3, padding="causal"), keras.layers.Conv1D, (4, 9, 2)),
    (StandardizedConv2D(8, 3, use_bias=False), keras.layers.Conv2D, (4, 9, 9, 2)),
    (StandardizedConv3D(8, 2, activation="relu"), keras.layers.Conv3D, (4, 5, 5, 5, 2)),
]


@pytest.mark.parametrize(
    ("layer", "kind", "shape"), PAIRS, ids=[type(layer).__name__ for layer, *_ in PAIRS]
)
def test_predicts_the_same(layer, kind, shape):
    layer.build(shape)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    x = rng.normal(1, 2, shape).astype(np.float32)
    twin = plain_layer(layer)
    assert type(twin) is kind
    assert (twin.name, twin.dtype_policy) == (layer.name, layer.dtype_policy)
    ours, theirs = (keras.ops.cast(one(x), "float32") for one in (layer, twin))
    rough = layer.compute_dtype == "bfloat16"
    np.testing.assert_allclose(ours, theirs, rtol=1e-2 if rough else 1e-5, atol=1e-5)


def test_what_keras_has_or_lacks_is_left_alone():
    assert plain_layer(keras.layers.Dense(3)) is None
    assert plain_layer(FilterResponseNorm()) is None


def test_a_child_that_does_more_is_not_replaced():
    class Doubled(GroupNorm):
        def call(self, inputs, mask=None):
            return 2 * super().call(inputs, mask=mask)

    layer = Doubled(groups=2)
    layer.build((None, 4))
    assert plain_layer(layer) is None
