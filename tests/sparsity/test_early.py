import keras
import numpy as np
import pytest

from tfticket.sparsity import EarlyTicket

pytestmark = pytest.mark.slow


class Assigned(keras.callbacks.Callback):
    """Set the weights of each epoch, so that masks are known."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[0].kernel.assign(np.reshape(self.weights[epoch], (2, 5)))


def fit(weights, early):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    callbacks = [Assigned(weights), early]
    x, y = np.ones((2, 2)), np.ones((2, 5))
    return model.fit(x, y, epochs=len(weights), callbacks=callbacks, verbose=0)


def test_it_stops_when_the_masks_of_some_epochs_agree():
    a, b = np.arange(1.0, 11.0), np.arange(10.0, 0.0, -1.0)
    c = np.where(np.arange(10) == 0, 20.0, a)  # one of five kept weights is another than in a
    early = EarlyTicket(0.5, patience=3, tolerance=0.25)
    history = fit([a, b, a, a, c, a, a], early)
    assert early.distances == [None, None, 1.0, 1.0, pytest.approx(0.2)]
    assert len(history.epoch) == 5
    assert early.settled
    assert np.flatnonzero(early.mask["dense/kernel"]).tolist() == [0, 6, 7, 8, 9]


def test_a_mask_that_moves_is_told_and_numbers_are_checked():
    a, b = np.arange(1.0, 11.0), np.arange(10.0, 0.0, -1.0)
    early = EarlyTicket(0.5, patience=2)
    with pytest.warns(UserWarning, match="it still moves by 1 in 2 epochs"):
        fit([a, b], early)
    with pytest.warns(UserWarning, match="too few epochs to tell"):
        fit([a], early)
    for wrong in ({"sparsity": 0.0}, {"tolerance": 0.0}, {"patience": 1}):
        with pytest.raises(ValueError, match=r"must be in \(0, 1\)"):
            EarlyTicket(**{"sparsity": 0.5, **wrong})
