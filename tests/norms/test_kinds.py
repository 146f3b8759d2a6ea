import keras
import pytest

from tfticket.norms.catalog import NORMS, axis_of, channels_of, groups_of, is_norm, kind_of

layers = keras.layers


@pytest.mark.parametrize("kind", sorted(set(NORMS) - {"none"}))
def test_the_catalog_s_layers_are_known_by_their_kind(kind):
    layer = NORMS[kind].layer(8)
    layer.build((None, 4, 4, 8))
    assert is_norm(layer)
    assert kind_of(layer) == ("group" if kind == "ws_group" else kind)
    assert channels_of(layer) == 8
    assert (groups_of(layer) is not None) == (kind in ("group", "ws_group", "layer", "instance"))


@pytest.mark.parametrize(
    ("layer", "kind", "axis"),
    [
        (layers.GroupNormalization(2, axis=1), "group", 1),
        (layers.GroupNormalization(1), "layer", -1),
        (layers.GroupNormalization(-1), "instance", -1),
        (layers.LayerNormalization(axis=[1, 2, 3]), "LayerNormalization", 3),
        (layers.RMSNormalization(axis=[-1]), "rms", -1),
        (layers.BatchNormalization(axis=1, renorm=True), "batch_renorm", 1),
    ],
)
def test_layers_of_keras(layer, kind, axis):
    layer.build((None, 4, 4, 4))
    assert (is_norm(layer), kind_of(layer), axis_of(layer)) == (True, kind, axis)


def test_other_layers_are_no_norms():
    assert not is_norm(layers.Dense(2))
    assert not is_norm(layers.Normalization())  # scales the data, once
    assert kind_of(layers.Identity()) == "none"
