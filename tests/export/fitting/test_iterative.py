"""Units go in rounds, and each is trained; an interrupted search goes on with the same network."""

import keras
import numpy as np
import pytest

from tfticket.errors import ModelError, RunError
from tfticket.export import Training, remove_in_rounds
from tfticket.export.fitting.narrowing import accuracy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 6)).astype("float32")
    x[:, :3] += 3 * np.eye(3, dtype="float32")[y]
    return x, y


def mlp():
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(24, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((6,)), *hidden, layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    return model


def test_each_round_leaves_its_share_and_trains(examples, tmp_path):
    training = Training(*examples, steps=60, learning_rate=0.02)
    lines = []
    options = {"training": training, "rounds": 2, "score": "taylor", "folder": tmp_path / "rounds"}
    found = remove_in_rounds(mlp(), 0.25, **options, tell=lines.append)
    shares = [float(line.split()[4].rstrip("%")) for line in lines]
    assert 45 < shares[0] <= 50
    assert 20 < shares[1] <= 25
    assert accuracy(found, *examples) > 0.9
    (tmp_path / "rounds" / "round_02.keras").unlink()  # as if it had stopped there
    again = remove_in_rounds(mlp(), 0.25, **options)
    for first, second in zip(found.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(RunError, match="another search"):
        remove_in_rounds(mlp(), 0.3, **options)


def test_a_function_trains_what_it_is_given(examples):
    seen = []

    def fine_tune(model):
        seen.append(model.count_params())
        model.fit(*examples, epochs=1, verbose=0)

    found = remove_in_rounds(mlp(), 0.25, training=fine_tune, rounds=2, of="units")
    assert seen == sorted(seen, reverse=True)
    assert [layer.units for layer in found.layers][2] == 3
    assert sum(layer.units for layer in found.layers[:2]) == 12


@pytest.mark.parametrize("wrong", [{"keep": 1.0}, {"rounds": 0}])
def test_bad_arguments_are_refused(examples, wrong):
    arguments = {"keep": 0.5, "training": Training(*examples)} | wrong
    with pytest.raises(ModelError, match="must be in"):
        remove_in_rounds(mlp(), **arguments)
