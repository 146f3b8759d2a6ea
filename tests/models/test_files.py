import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import lenet_300_100, load_file, save_file


@pytest.fixture
def saved(tmp_path):
    model = lenet_300_100((6,), 3, width=0.05)
    model.compile("sgd", "mse")
    model.save(tmp_path / "a.keras")
    return tmp_path / "a.keras", model


def test_the_weights_come_with_it_and_it_is_not_compiled(saved):
    path, model = saved
    loaded = load_file(str(path), (6,), 3)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not loaded.compiled
    assert load_file(path).output_shape == (None, 3)


def test_an_open_size_takes_any(tmp_path):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(3)(x)).save(tmp_path / "a.keras")
    assert load_file(tmp_path / "a.keras", (9, 7, 1), 3).input_shape == (None, None, None, 1)
    with pytest.raises(ModelError, match=r"takes \(None, None, 1\)"):
        load_file(tmp_path / "a.keras", (9, 7, 3), 3)


@pytest.mark.parametrize(
    ("shape", "classes", "words"),
    [
        ((7,), 3, r"examples of shape \(7,\).*which takes \(6,\)"),
        ((6, 1), 3, r"examples of shape \(6, 1\)"),
        ((6,), 4, r"must give 4 numbers an example.*which gives \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_the_data(saved, shape, classes, words):
    with pytest.raises(ModelError, match=words):
        load_file(saved[0], shape, classes)


@pytest.mark.parametrize("part", [0, 10, 0.5, 0.99])
def test_damaged(saved, part):
    content = saved[0].read_bytes()
    keep = part if isinstance(part, int) else int(len(content) * part)
    saved[0].write_bytes(content[:keep])
    with pytest.raises(ModelError, match=r"a\.keras` can't be loaded: .+Save it again"):
        load_file(saved[0])


def test_not_there_or_something_else(tmp_path):
    with pytest.raises(ModelError, match=r"b\.keras, no such file"):
        load_file(tmp_path / "b.keras")
    (tmp_path / "b.h5").touch()
    with pytest.raises(ModelError, match="another kind of file"):
        load_file(tmp_path / "b.h5")


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x * 2


def test_a_layer_that_is_not_known(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, Unregistered()(inputs)).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="register_keras_serializable"):
        load_file(tmp_path / "a.keras")


def test_two_outputs(tmp_path):
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)]
    keras.Model(inputs, outputs).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        load_file(tmp_path / "a.keras", (3,), 2)
    assert len(load_file(tmp_path / "a.keras").outputs) == 2


def test_saving_under_another_ending_is_refused(saved, tmp_path):
    with pytest.raises(ModelError, match=r"end in \.keras"):
        save_file(load_file(saved[0]), tmp_path / "a.h5")
