import keras
import numpy as np
import pytest
from exports import digits

from tfticket.errors import ExportError
from tfticket.export.finetune import FineTuning, fake_quantize, fine_tune
from tfticket.export.preparation import prepare
from tfticket.state import kernels_of

pytestmark = pytest.mark.slow


def tuning(**options):
    x, y = digits()
    return FineTuning(x[:1000], y[:1000], **{"steps": 60, "learning_rate": 1e-3, **options})


def accuracy(model):
    x, y = digits()
    return float(np.mean(np.asarray(model(x[1300:])).argmax(-1) == y[1300:]))


def rounded(model, bits):
    """A copy whose kernels are what the format makes of them."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for kernel in kernels_of(copy).values():
        rank = len(kernel.shape)
        depthwise = rank == 4 and "depthwise" in kernel.path
        axes = (2, 3) if depthwise else (rank - 1,)
        kernel.assign(fake_quantize(kernel.value, bits=bits, axes=axes))
    return copy


def test_rounding_gives_integers_of_one_scale_a_channel_and_keeps_zeros():
    kernel = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    kernel[1] = 0.0
    found = np.asarray(fake_quantize(kernel, bits=4, axes=(1,)))
    steps = found / (np.abs(kernel).max(axis=0) / 7)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-5)
    assert np.abs(steps).max() == pytest.approx(7)
    np.testing.assert_array_equal(found[1], 0.0)


def test_what_rounding_to_three_bits_loses_comes_back(exported):
    model = prepare(exported.model).model
    before = accuracy(rounded(model, 3))
    tuned = fine_tune(model, tuning(), bits=3)
    after = accuracy(rounded(tuned, 3))
    assert after > before + 0.02


def test_zeros_stay_and_the_model_is_not_changed(exported):
    model = prepare(exported.model).model
    was = model.get_weights()
    tuned = fine_tune(model, tuning(steps=5), bits=8)
    for old, now in zip(was, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    for key, kernel in kernels_of(tuned).items():
        theirs = kernels_of(model)[key].numpy()
        np.testing.assert_array_equal(kernel.numpy()[theirs == 0], 0.0)
        assert not np.array_equal(kernel.numpy(), theirs)


def test_the_same_seed_gives_the_same_bits(exported):
    model = prepare(exported.model).model
    first, second = (fine_tune(model, tuning(steps=3), bits=4) for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_diverges_is_refused(exported):
    model = prepare(exported.model).model
    with pytest.raises(ExportError, match="finite loss"):
        fine_tune(model, tuning(learning_rate=1e30, steps=10), bits=8)
