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


def test_statistics_are_taken_again_for_what_was_pruned_since(exported):
    model = keras.models.clone_model(exported.model)
    model.set_weights(exported.model.get_weights())
    conv = model.get_layer("conv").layer.kernel
    conv.assign(conv.numpy() * 3.0)  # as pruning would, it makes the moving statistics wrong
    batches = [exported.x[start : start + 100] for start in range(0, 1000, 100)]
    x, y = exported.x[1000:1300], exported.y[1000:1300]

    def accuracy(prepared):
        return np.mean(answers(prepared.model, x).argmax(-1) == y)

    wrong, right = accuracy(prepare(model)), accuracy(prepare(model, statistics=batches))
    assert right > wrong + 0.02
    assert right == pytest.approx(accuracy(prepare(exported.model)), abs=0.02)


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
