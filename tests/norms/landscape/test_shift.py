"""Internal covariate shift, worked out by hand and once more slowly; and what comes before what."""

import keras
import numpy as np
import pytest
import slow_landscape as slow
from helpers import Subclassed, batch, logits_loss

from tfticket.errors import ModelError
from tfticket.norms import ShiftRecord, ShiftTracker
from tfticket.norms.landscape.lineage import tracked_layers
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def fit(model, x, y, *callbacks, **options):
    return model.fit(x, y, callbacks=list(callbacks), shuffle=False, verbose=0, **options)


def test_two_layers_by_hand():
    """f(x) = w2 (w1 x) with one sample x and target t: r = w2 w1 x - t.

    G_2 = 2 r w1 x; with w1' = w1 - rate * 2 r w2 x it is G'_2 = 2 (w2 w1' x - t) w1' x.
    """
    w1, w2, x, t, rate = 0.5, -2.0, 3.0, 1.0, 0.01
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(1, use_bias=False, name="first"),
            layers.Dense(1, use_bias=False, name="second"),
        ]
    )
    slow.set_weights(model, [np.array([[w1]]), np.array([[w2]])])
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=False)
    tracker = ShiftTracker(1, verbose=0)
    fit(model, np.array([[x]]), np.array([[t]]), tracker)

    r = w2 * w1 * x - t
    moved = w1 - rate * 2 * r * w2 * x
    before, after = 2 * r * w1 * x, 2 * (w2 * moved * x - t) * moved * x
    record = tracker.record
    assert list(record.layers) == ["second"]  # before the first there is nothing that moves
    np.testing.assert_allclose(record.l2, [[abs(before - after)]], rtol=1e-5)
    np.testing.assert_allclose(record.gradient_norm, [[abs(before)]], rtol=1e-5)
    np.testing.assert_allclose(record.cosine, [[np.sign(before * after)]], rtol=1e-5)


def deep():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(),
            layers.Conv2D(3, 3, name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="output"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), logits_loss(), jit_compile=False)
    return model


def test_a_slow_second_implementation_agrees():
    """With Adam, whose real step it is that the layers before have made."""
    x, y = batch((6, 6, 2), examples=16)
    model = deep()
    tracker, recorder = ShiftTracker(1, verbose=0), slow.Recorder()
    fit(model, x, y, tracker, recorder, batch_size=8)
    names = keys(model)
    before_of = {"conv2": ("conv1", "norm1"), "output": ("conv1", "norm1", "conv2", "norm2")}
    assert list(tracker.record.layers) == list(before_of)
    for moment in range(2):
        part = slice(8 * moment, 8 * moment + 8)
        slow.set_state(model, recorder.states[moment])
        for variable, value in zip(
            model.optimizer.variables, recorder.optimizer[moment], strict=True
        ):
            variable.assign(value)
        start, after = slow.weights(model), slow.after_step(model, x[part], y[part])
        _, whole = slow.loss_and_gradient(model, x[part], y[part])
        for place, (layer, previous) in enumerate(before_of.items()):
            slow.set_weights(
                model,
                [
                    new if name.startswith(previous) else old
                    for name, old, new in zip(names, start, after, strict=True)
                ],
            )
            _, shifted = slow.loss_and_gradient(model, x[part], y[part])
            slow.set_weights(model, start)
            own = [i for i, name in enumerate(names) if name.startswith(layer)]
            g, shifted = (slow.flat([gs[i] for i in own]) for gs in (whole, shifted))
            cosine = g @ shifted / np.linalg.norm(g) / np.linalg.norm(shifted)
            record = tracker.record
            np.testing.assert_allclose(
                record.l2[moment, place], np.linalg.norm(g - shifted), rtol=1e-3
            )
            np.testing.assert_allclose(record.cosine[moment, place], cosine, rtol=1e-3)


def keys(model):
    """The keys of the trainable variables, in their order."""
    key_of = {id(variable): key for key, variable in named_variables(model).items()}
    return [key_of[id(variable)] for variable in model.trainable_variables]


def before(model):
    """Layer to the keys of what its input depends on."""
    names = keys(model)
    return {
        layer.name: {names[place] for place in layer.previous} for layer in tracked_layers(model)
    }


def test_parallel_branches_are_not_before_each_other():
    inputs = keras.Input((4,))
    stem = layers.Dense(4, use_bias=False, name="stem")(inputs)
    left = layers.Dense(4, use_bias=False, name="left")(stem)
    right = layers.Dense(4, use_bias=False, name="right")(stem)
    right = layers.Dense(4, use_bias=False, name="right2")(right)
    outputs = layers.Dense(2, name="output")(layers.Add()([left, right]))
    assert before(keras.Model(inputs, outputs)) == {
        "left": {"stem/kernel"},
        "right": {"stem/kernel"},
        "right2": {"stem/kernel", "right/kernel"},
        "output": {"stem/kernel", "left/kernel", "right/kernel", "right2/kernel"},
    }


def test_nested_models_are_opened():
    inside = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")], name="inside"
    )
    inputs = keras.Input((4,))
    x = inside(layers.Dense(4, use_bias=False, name="stem")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="output")(x))
    tracked = {layer.name: len(layer.previous) for layer in tracked_layers(model)}
    assert tracked == {"inside/a": 1, "inside/b": 3, "output": 5}


def test_a_shared_layer_is_not_before_itself():
    shared = layers.Dense(4, use_bias=False, name="shared")
    inputs = keras.Input((4,))
    x = layers.Dense(4, use_bias=False, name="stem")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="output")(shared(shared(x))))
    (found, _) = tracked_layers(model)
    assert found.name == "shared"
    assert not set(found.own) & set(found.previous)


def test_frozen_layers_do_not_move():
    model = deep()
    model.get_layer("conv1").trainable = False
    assert "conv1/kernel" not in before(model)["conv2"]


def test_layers_are_chosen_by_pattern():
    assert [layer.name for layer in tracked_layers(deep(), ["conv*"])] == ["conv2"]
    with pytest.raises(ModelError, match=r"'dense\*', which fits none of \['conv2', 'output'\]"):
        tracked_layers(deep(), ["dense*"])


def test_a_subclassed_model_is_refused():
    x, y = batch(examples=8)
    model = Subclassed()
    model.compile("sgd", logits_loss())
    with pytest.raises(ModelError, match="Sequential and Functional models only"):
        fit(model, x, y, ShiftTracker(1, verbose=0))


def test_a_file_gives_the_record_back(tmp_path):
    record = ShiftRecord(
        step=np.array([0, 5]),
        layers=np.array(["a", "b/c"]),
        l2=np.arange(4.0).reshape(2, 2),
        cosine=np.array([[1.0, np.nan], [0.5, -1.0]]),
        gradient_norm=np.ones((2, 2)),
    )
    again = ShiftRecord.load(record.save(tmp_path / "shift.npz"))
    for name, array in record.to_arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)
    rows = again.rows(seed=1, branch="none", steps_per_epoch=10)
    assert {(row.step, row.name) for row in rows} == {
        (step, f"{name}/{layer}")
        for step in (0, 5)
        for name in ("l2", "cosine")
        for layer in ("a", "b/c")
    } - {(0, "cosine/b/c")}
    with pytest.raises(ValueError, match="`l2` must have the shape"):
        ShiftRecord(record.step, record.layers, np.ones((2, 3)), record.cosine, record.l2)
