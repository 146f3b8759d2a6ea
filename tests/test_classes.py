import keras
import pytest

from tfticket.introspection import computes_as, is_own, overridden
from tfticket.norms.layers import FusedBatchNorm, LpBatchNorm
from tfticket.statistics import KeepsScale

BatchNorm = keras.layers.BatchNormalization


class WithReLU(BatchNorm):
    def call(self, inputs, training=None, mask=None):
        return keras.ops.relu(super().call(inputs, training=training, mask=mask))


class OfAMixin:
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


class Mixed(OfAMixin, BatchNorm):
    pass


class Grandchild(WithReLU):
    pass


class OtherMoments(BatchNorm):
    def _moments(self, inputs, mask):
        return super()._moments(inputs, mask)


class Called(BatchNorm):
    def __call__(self, *args, **kwargs):
        return -super().__call__(*args, **kwargs)


class Defaults(BatchNorm):
    """Another momentum, a helper, a config."""

    note = "mine"

    def __init__(self, momentum=0.5, **kwargs):
        super().__init__(momentum=momentum, **kwargs)

    def helper(self):
        return self.note

    def get_config(self):
        return {**super().get_config(), "note": self.note}


class Scaled(KeepsScale):
    """Implements what its parent leaves open."""

    def scale_of(self, x, axes, present):
        return keras.ops.max(x, axes, keepdims=True)

    def normalize(self, x, mean, scale):
        return (x - mean) / scale

    def call(self, inputs):
        return inputs


class OfAStandIn(FusedBatchNorm):
    def call(self, inputs, training=None, mask=None):
        return inputs


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (BatchNorm, ()),
        (FusedBatchNorm, ()),
        (LpBatchNorm, ()),
        (Defaults, ()),
        (Scaled, ()),
        (WithReLU, ("call",)),
        (Grandchild, ("call",)),
        (Mixed, ("call",)),
        (OtherMoments, ("_moments",)),
        (Called, ("__call__",)),
        (OfAStandIn, ("call",)),
    ],
)
def test_what_a_child_overrides_of_what_is_known(kind, names):
    layer = kind()
    assert overridden(layer) == names
    assert computes_as(layer, (BatchNorm, KeepsScale)) == (not names)
    assert is_own(layer) == (kind.__module__ == __name__)
    assert not computes_as(layer, keras.layers.Dense)
