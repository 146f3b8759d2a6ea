import keras
import numpy as np
import pytest
from exports import convnet, digits, layers, pruned
from helpers import Subclassed, batch, mlp, noisy_convnet, random_mask

from tfticket.errors import ExportError, ModelError
from tfticket.export.preparation import predictions, prepare, static_copy
from tfticket.sparsity import Mask, get_mask, set_mask, sparsify
from tfticket.sparsity.wrapper import Masked
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


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


def one_by_one(static, x):
    return np.concatenate([static(example[None], training=False).numpy() for example in x])


def test_the_copy_answers_as_the_model_for_one_example_at_a_time():
    model, x = pruned(convnet()), digits()[0][:4]
    static = static_copy(model)
    assert static.inputs[0].shape == (1, 8, 8, 1)
    assert not any(isinstance(layer, Masked) for layer in static.layers)
    np.testing.assert_allclose(one_by_one(static, x), predictions(model, x), atol=1e-5)


def test_automatic_names_are_counted_anew():
    def names():
        inputs = keras.Input((4,))
        shared = layers.Dense(4)
        outputs = layers.Dense(2, name="mine")(shared(shared(inputs)) + layers.Dense(4)(inputs))
        static = static_copy(keras.Model(inputs, outputs))
        return [static.name, *(layer.name for layer in static.layers)]

    first = names()
    assert first == names()
    assert set(first) == {"model", "input", "dense", "dense_1", "mine"}


def test_names_of_layers_and_operations_never_meet():
    inputs = keras.Input((4,))
    inside = keras.Input((4,))
    block = keras.Model(inside, layers.Add()([inside + 1.0, layers.Dense(4)(inside)]), name="add")
    x = inputs + layers.Dense(4, name="dense_1")(inputs)
    x = layers.Add(name="add_1")([block(x), layers.Dense(4)(x)])
    x = keras.ops.add(x, layers.Dense(4)(x)) + inputs
    model = keras.Model(inputs, layers.Dense(2)(x))
    static = static_copy(model)
    names = [operation.name for operation in static.operations]
    assert len(set(names)) == len(names) == len(model.operations)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(one_by_one(static, x), predictions(model, x), atol=1e-5)


def test_what_layers_keep_is_in_the_copy():
    scale = layers.Normalization()
    scale.adapt(np.random.default_rng(0).normal(50, 10, (100, 4)))
    model = keras.Sequential([keras.Input((4,)), scale, layers.Dense(3)])
    x = np.full((2, 4), 60, "float32")
    np.testing.assert_allclose(one_by_one(static_copy(model), x), predictions(model, x), atol=1e-5)


def test_nested_models_are_copied_with_their_state():
    inner = noisy_convnet()
    outer = keras.Sequential([keras.Input((6, 6, 2)), layers.Rescaling(0.5), inner])
    inner.get_layer("norm").moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    static = static_copy(outer)
    assert named_variables(static).keys() == named_variables(outer).keys()
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    np.testing.assert_allclose(one_by_one(static, x), predictions(outer, x), atol=1e-5)


def test_mixed_precision_is_computed_in_full():
    keras.config.set_dtype_policy("mixed_float16")
    model = convnet()
    assert {layer.compute_dtype for layer in static_copy(model).layers} == {"float32"}
    assert model.layers[0].compute_dtype == "float16"


def test_the_inputs_structure_is_kept():
    inputs = keras.Input((3,), name="only")
    model = keras.Model({"only": inputs}, layers.Dense(2)(inputs))
    x = np.ones((1, 3), "float32")
    answer = model({"only": x})
    np.testing.assert_allclose(static_copy(model)({"only": x}), answer, atol=1e-6)
    np.testing.assert_allclose(predictions(model, x), answer, atol=1e-6)


def test_what_cannot_be_copied_is_refused():
    with pytest.raises(ModelError, match="Only built"):
        static_copy(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ExportError, match="takes text"):
        static_copy(keras.Sequential([keras.Input((), dtype="string"), layers.Identity()]))
