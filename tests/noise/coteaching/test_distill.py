from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers import Subclassed, batch, mlp, noisy_convnet
from small_pair import compiled_pair, fit, pair, samples, softmax

from tfticket.errors import ModelError
from tfticket.export.tflite import to_tflite
from tfticket.sparsity.convert import sparsify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def test_the_ensemble_is_a_plain_model_that_can_be_pruned_and_exported(tmp_path):
    x, y = samples()
    model = compiled_pair(mlp(), mlp())
    fit(model, x, y)
    together = model.ensemble()
    expected = softmax(model.predict(x, verbose=0))
    np.testing.assert_allclose(together(x), expected, rtol=1e-5)
    sparse = sparsify(together)
    report = to_tflite(sparse, tmp_path / "pair.tflite", check_on=(x, y))
    assert report.size_bytes > 0
    together.save(tmp_path / "plain.keras")
    config = keras.models.load_model(tmp_path / "plain.keras").get_config()
    assert "tfticket" not in str(config)


def test_the_ensemble_is_a_copy():
    model = pair(noisy_convnet(), noisy_convnet())
    together = model.ensemble(name="both")
    before = [w.copy() for w in model.get_weights()]
    together.set_weights([w + 1 for w in together.get_weights()])
    assert together.name == "both"
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("units", "last", "outputs"),
    [(1, None, None), (1, "sigmoid", None), (3, "softmax", None), (2, None, "values")],
)
def test_the_ensemble_of_any_kind_is_their_mean(units, last, outputs):
    x, _ = samples()
    networks = [mlp((6, units), last=last) for _ in range(2)]
    together = pair(*networks, outputs=outputs).ensemble()(x)
    single = [np.asarray(network(x)) for network in networks]
    if last is None and outputs is None:
        single = [1 / (1 + np.exp(-z)) for z in single]
    np.testing.assert_allclose(together, sum(single) / 2, rtol=1e-5)


def test_networks_with_functions_in_their_graphs_can_be_joined():
    def residual():
        inputs = keras.Input((6,))
        x = inputs + keras.layers.Dense(6)(inputs)
        x = keras.layers.Add()([x, keras.layers.Dense(6)(x)])
        return keras.Model(inputs, keras.layers.Dense(3)(keras.ops.add(x, inputs)))

    x, _ = samples()
    networks = [residual(), residual()]
    together = pair(*networks).ensemble()(x)
    apart = [softmax(np.asarray(network(x))) for network in networks]
    np.testing.assert_allclose(together, sum(apart) / 2, rtol=1e-4, atol=1e-6)


def test_subclassed_networks_cannot_be_joined():
    with pytest.raises(ModelError, match="distill"):
        pair(Subclassed(), Subclassed(), outputs="logits").ensemble()


def test_a_student_learns_what_the_two_say():
    x, _ = batch(examples=64)
    model, student = pair(mlp(), mlp()), mlp()
    target = softmax(np.asarray(model(x)))

    def distance():
        return np.abs(softmax(np.asarray(student(x))) - target).mean()

    before = distance()
    found = model.distill(
        x, student, epochs=20, batch_size=16, optimizer=keras.optimizers.Adam(0.02)
    )
    assert found is student
    assert distance() < before / 3


def test_without_a_student_a_copy_of_the_first_is_taught():
    x, _ = samples()
    model = pair()
    before = model.first.get_weights()
    student = model.distill(x, epochs=1, batch_size=16, optimizer=keras.optimizers.SGD(0.1))
    np.testing.assert_array_equal(model.first.get_weights()[0], before[0])
    assert not np.array_equal(student.get_weights()[0], before[0])
    assert type(student) is keras.Sequential
    with pytest.raises(ModelError, match="epochs"):
        model.distill(x, epochs=0)
