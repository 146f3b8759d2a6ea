import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import SummedSquares, loss_for

pytestmark = pytest.mark.slow

LABELS = np.array([0, 2, 1, 2])
LOGITS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def model(activation):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation=activation)])


def by_definition(smoothing):
    target = np.eye(3)[LABELS] * (1 - smoothing) + smoothing / 3
    return -(target * np.log(PROBABILITIES)).sum(axis=1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize(("activation", "output"), [(None, LOGITS), ("softmax", PROBABILITIES)])
def test_cross_entropy_by_its_definition(activation, output, smoothing):
    loss = loss_for(model(activation), label_smoothing=smoothing)
    np.testing.assert_allclose(loss(LABELS, output), by_definition(smoothing), rtol=1e-5)
    np.testing.assert_allclose(loss(LABELS[:, None], output), by_definition(smoothing), rtol=1e-5)


def test_smoothing_is_saved_with_the_model(tmp_path):
    net = model(None)
    net.compile("sgd", loss_for(net, label_smoothing=0.2))
    net.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert loaded.loss.get_config() == net.loss.get_config()
    assert loaded.loss.label_smoothing == 0.2


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range(smoothing):
    with pytest.raises(ModelError, match="label_smoothing"):
        loss_for(model(None), label_smoothing=smoothing)


def test_squares_are_summed_over_targets_and_batch(tmp_path):
    y, predicted = np.zeros((3, 2), "float32"), np.full((3, 2), 2.0, "float32")
    assert float(SummedSquares()(y, predicted)) == 3 * 2 * 4
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.compile("sgd", SummedSquares())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.loss, SummedSquares)
    assert loaded.loss.reduction == "sum"
    # What is shown of an epoch whose only batch is all of the data is the loss of the paper.
    x = np.eye(2, dtype="float32")
    shown = loaded.evaluate(x, x, batch_size=2, verbose=0)
    assert shown == pytest.approx(np.square(model.predict(x, verbose=0) - x).sum(), rel=1e-5)
