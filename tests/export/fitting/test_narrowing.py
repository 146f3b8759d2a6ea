import keras
import numpy as np
import pytest

from tfticket.errors import ExportError, ModelError
from tfticket.export.fitting.narrowing import (
    Training,
    accuracy,
    as_if_trained,
    hot_keys,
    narrowed,
    probabilities,
    train,
    uniformly_narrow,
)
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def convnet():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="wide"),
            layers.DepthwiseConv2D(3, padding="same", name="each"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 1, activation="relu", name="small"),
            layers.Flatten(),
            layers.Dense(12, activation="relu", name="hidden"),
            layers.Dense(3, name="output"),
        ]
    )


def widths(model):
    return {
        layer.name: layer.kernel.shape[-1]
        for layer in model.layers
        if layer.name in ("wide", "small", "hidden")
    }


def test_channels_of_lowest_magnitude_go_and_the_rest_answers_alike():
    model = convnet()
    kernel = model.get_layer("hidden").kernel
    values = kernel.numpy()
    values[:, :3] *= 1e-6  # these three are worth next to nothing
    kernel.assign(values)
    smaller = narrowed(model, 3 / 26)
    assert widths(smaller) == {"wide": 8, "small": 6, "hidden": 9}
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(smaller(x), model(x), atol=1e-4)
    assert widths(model) == {"wide": 8, "small": 6, "hidden": 12}  # as it was


def test_layers_that_are_named_give_way_alone():
    assert widths(narrowed(convnet(), 0.5, keys=["wide/kernel"])) == {
        "wide": 4,
        "small": 6,
        "hidden": 12,
    }


def test_the_largest_activations_are_those_that_a_convolution_makes_for_the_next():
    """8x8x8 numbers, written by the first one and read and written by the depthwise one."""
    assert hot_keys(convnet()) == ("wide/kernel",)


def test_nothing_can_be_taken_out_of_one_channel():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1), layers.Dense(2)])
    with pytest.raises(ModelError, match="no channel left that can be taken out"):
        narrowed(model, 0.5)


def test_a_uniform_network_is_narrower_in_all_layers_and_new():
    model = convnet()
    narrow, again, other = (uniformly_narrow(model, 0.5, seed=seed) for seed in (3, 3, 4))
    assert widths(narrow) == {"wide": 4, "small": 3, "hidden": 6}
    first, second, third = (m.get_layer("wide").kernel.numpy() for m in (narrow, again, other))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, third)
    assert narrow.get_layer("wide").bias.numpy().max() == 0
    apart = as_if_trained(narrow).get_layer("wide").bias.numpy()
    assert len(np.unique(apart)) == 4
    assert narrow.get_layer("wide").bias.numpy().max() == 0


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 6)).astype("float32")
    x[:, :3] += 2.5 * np.eye(3, dtype="float32")[y]
    return x, y


def mlp(softmax=False):
    out = layers.Dense(3, activation="softmax" if softmax else None)
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), out])


@pytest.mark.parametrize("softmax", [False, True])
def test_a_training_learns_and_gives_the_same_bits_again(examples, softmax):
    x, y = examples
    training = Training(x, y, steps=60, batch_size=32, learning_rate=0.02, seed=1)
    model = mlp(softmax)
    start = model.get_weights()
    ends = []
    for _ in range(2):
        model.set_weights(start)
        train(model, training, steps=60, stream="it")
        ends.append(model.get_weights())
    for first, second in zip(*ends, strict=True):
        np.testing.assert_array_equal(first, second)
    assert accuracy(model, x, y) > 0.9
    np.testing.assert_allclose(probabilities(model, x).sum(axis=1), 1, atol=1e-5)


def test_a_teacher_is_learned_from(examples):
    """Its probabilities contradict the labels, and half of what is learned is theirs."""
    x, y = examples
    training = Training(x, y, steps=80, batch_size=32, learning_rate=0.02)
    teacher = np.eye(3)[(y + 1) % 3]
    model = mlp()
    train(model, training, steps=80, stream="it", teacher=teacher)
    mean = probabilities(model, x)[np.arange(len(y)), (y + 1) % 3].mean()
    assert 0.35 < mean < 0.55


def test_steps_follow_from_the_number_of_examples(examples):
    x, y = examples
    assert Training(x, y).steps_a_round == 200
    assert Training(np.tile(x, (40, 1)), np.tile(y, 40), batch_size=10).steps_a_round == 3600
    assert Training(x, y, steps=7).steps_a_round == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": [0, 1]}, "300 training examples and labels of shape"),
        ({"y": np.zeros(300)}, "must be integers"),
        ({"steps": 0}, "must be at least 1"),
        ({"batch_size": 0}, "must be at least 1"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"x": np.full((300, 6), np.nan)}, "finite"),
    ],
)
def test_bad_settings_are_refused(examples, changes, message):
    x, y = examples
    with pytest.raises(ExportError, match=message):
        Training(**{"x": x, "y": y, **changes})


def test_weights_of_the_model_stay_as_they_are(examples):
    model = mlp()
    before = {key: v.numpy() for key, v in named_variables(model).items()}
    narrowed(model, 0.5)
    for key, variable in named_variables(model).items():
        np.testing.assert_array_equal(variable.numpy(), before[key])
