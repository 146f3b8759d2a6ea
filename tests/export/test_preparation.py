import keras
import numpy as np
import pytest
from exports import convnet, pruned
from helpers import Subclassed, batch, mlp, random_mask

from tfticket.errors import ExportError, ModelError
from tfticket.export.preparation import prepare
from tfticket.sparsity import Mask, get_mask, set_mask, sparsify

pytestmark = pytest.mark.usefixtures("seeded")


def answers(model, x):
    return np.asarray(model(x, training=False))


def test_norms_are_folded_and_the_answers_stay(exported):
    prepared = prepare(exported.model)
    assert prepared.folded == {"norm": "conv"}
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in prepared.model.layers)
    expected = answers(exported.model, exported.x[:50])
    np.testing.assert_allclose(answers(prepared.model, exported.x[:50]), expected, atol=2e-5)


def test_dead_units_are_taken_out_and_counted():
    model = sparsify(mlp((6, 5, 4, 3)))
    arrays = {key: np.array(array) for key, array in get_mask(model).items()}
    arrays["hidden_0/kernel"][:, :2] = False
    set_mask(model, Mask(arrays))
    prepared = prepare(model)
    assert prepared.units_removed == 2
    assert prepared.parameters_before == model.count_params()
    assert prepared.parameters_after == prepared.model.count_params() == 3 * 7 + 4 * 4 + 15
    assert prepared.mask == get_mask(model)


def test_a_network_without_zeros_loses_nothing():
    prepared = prepare(mlp())
    assert (prepared.units_removed, prepared.alarms, prepared.mask) == (0, (), None)
    assert prepared.parameters_after == prepared.parameters_before


def test_a_collapse_is_told():
    model = mlp((6, 8, 4, 3))
    model.layers[0].kernel.assign(model.layers[0].kernel.numpy() * (np.arange(8) == 3))
    assert "collapsed" in prepare(model).alarms[0]


def test_the_model_is_not_changed():
    model = pruned(convnet())
    before = model.get_weights()
    prepare(model)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


def test_what_can_not_be_exported_is_refused():
    model = mlp()
    with pytest.raises(ExportError, match="A pruned weight must be zero"):
        prepare(model, random_mask(model))
    subclassed = Subclassed()
    subclassed(batch()[0])
    with pytest.raises(ModelError, match="Subclassed"):
        prepare(subclassed)
