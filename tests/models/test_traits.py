import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket import machine
from tfticket.errors import ModelError
from tfticket.models import build, gives_probabilities, jit_choice, takes_whole_numbers
from tfticket.sparsity import sparsify

pytestmark = pytest.mark.slow

layers = keras.layers
only_cpus = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="`auto` leaves it to Keras on a GPU"
)


@only_cpus
@pytest.mark.parametrize(
    ("name", "expected"), [("lenet_300_100", True), ("conv2", False), ("resnet20", False)]
)
def test_auto_is_for_networks_without_convolutions(name, expected):
    model = build(name, (16, 16, 1), 10, width=0.1)
    assert jit_choice(model, threads=1) is expected
    assert jit_choice(sparsify(model), threads=1) is expected


@only_cpus
def test_auto_finds_convolutions_inside_other_models_and_wrappers():
    inner = keras.Sequential([keras.Input((8, 8, 1)), layers.DepthwiseConv2D(3)])
    nested = keras.Sequential([keras.Input((8, 8, 1)), inner, layers.Flatten()])
    assert not jit_choice(nested, threads=1)
    wrapped = layers.TimeDistributed(layers.Conv1D(2, 3))
    assert not jit_choice(keras.Sequential([keras.Input((4, 8, 1)), wrapped]), threads=1)
    assert jit_choice(keras.Sequential([keras.Input((4, 8)), layers.LSTM(3)]), threads=1)


def test_auto_is_for_one_thread(monkeypatch):
    # By the clock two threads of XLA took 1.3 times as long as one for LeNet-300-100.
    model = build("lenet_300_100", (8,), 10, width=0.1)
    assert not jit_choice(model, threads=2)
    for threads in (1, 2):
        monkeypatch.setattr("tfticket.models.jit.op_threads", lambda n=threads: n)
        assert jit_choice(model) is (threads == 1 and machine.only_cpus())


@pytest.mark.parametrize("choice", [True, False])
def test_a_choice_is_a_choice(choice):
    assert jit_choice(build("conv2", (8, 8, 1), 10, width=0.1), choice) is choice
    assert jit_choice(build("lenet_300_100", (8,), 10, width=0.1), choice) is choice


def test_any_other_choice():
    with pytest.raises(ModelError, match=r"'auto'\. Received: 'yes'"):
        jit_choice(build("lenet_300_100", (8,), 10, width=0.1), "yes")


SOFTMAX = [
    layers.Dense(3, activation="softmax"),
    layers.Softmax(),
    layers.Activation("softmax"),
    layers.TimeDistributed(layers.Dense(3, activation="softmax")),
]
LOGITS = [layers.Dense(3), layers.Dense(3, activation="relu"), layers.Flatten(), layers.ReLU()]


@pytest.mark.parametrize(("last", "expected"), [(last, True) for last in SOFTMAX] + [
    (last, False) for last in LOGITS])  # fmt: skip
def test_gives_probabilities(last, expected):
    inner = keras.Sequential([keras.Input((2, 3)), last])
    inputs = keras.Input((2, 3))
    for model in (inner, keras.Model(inputs, inner(layers.Dense(3)(inputs)))):
        assert gives_probabilities(model) is expected


def test_gives_probabilities_through_masks():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3, activation="softmax", name="d")])
    assert gives_probabilities(sparsify(model))


def _embedded(dtype, *before):
    given = x = keras.Input((5,), dtype=dtype)
    for layer in before:
        x = layer(x)
    x = keras.layers.Embedding(9, 3, name="words")(x)
    return keras.Model(given, keras.layers.Flatten()(x))


def test_ids_are_whole_numbers():
    assert takes_whole_numbers(_embedded("int64")) == "an input of type int64"
    assert takes_whole_numbers(_embedded("float32")) == "the layer words, Embedding"
    inner = keras.Sequential([keras.layers.Embedding(9, 3), keras.layers.Flatten()])
    inner(np.zeros((1, 5)))
    assert "Embedding" in takes_whole_numbers(inner)
    nested = keras.Sequential([keras.Input((5,)), _embedded("float32"), keras.layers.Dense(2)])
    assert takes_whole_numbers(nested) == "the layer words, Embedding"
    assert takes_whole_numbers(_embedded("float32", keras.layers.Rescaling(10.0))) is None
    dense = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    assert takes_whole_numbers(dense) is None
