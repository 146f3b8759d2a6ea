import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import InvariantError, MaskError
from tfticket.sparsity.binding import KeepMask, MaskBinding
from tfticket.sparsity.convert import get_mask, sparsify
from tfticket.sparsity.mask import Mask

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def fitted(optimizer="sgd"):
    """A subclassed model that was trained before."""
    x, y = helpers.batch(examples=32)
    model = helpers.compiled(helpers.Subclassed(), optimizer)
    model.fit(x, y, verbose=0)
    return model, x, y


def assert_nothing_left(model):
    assert all(v.constraint is None for v in model.trainable_variables)
    assert "apply" not in vars(model.optimizer)


def test_a_plain_model_is_lent_the_mask_for_one_fit():
    model, x, y = fitted(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
    mask = helpers.random_mask(model)
    callback = KeepMask(mask)
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert helpers.leaked(model, mask) == 0
    assert_nothing_left(model)
    model.fit(x, y, verbose=0)
    assert helpers.leaked(model, mask) > 0
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert helpers.leaked(model, mask) == 0


def test_weights_of_any_name_can_be_masked_for_one_fit():
    x, y = np.arange(40).reshape(8, 5) % 7, np.zeros(8, int)
    model = helpers.compiled(
        keras.Sequential(
            [
                keras.Input((5,), dtype="int32"),
                keras.layers.Embedding(7, 4, name="table"),
                keras.layers.Flatten(),
                keras.layers.Dense(3, name="output"),
            ]
        )
    )
    kept = np.arange(28).reshape(7, 4) % 2 == 0
    model.get_layer("table").embeddings.assign(np.ones((7, 4)))
    model.fit(x, y, verbose=0, callbacks=[KeepMask(Mask({"table/embeddings": kept}))])
    np.testing.assert_array_equal(model.get_layer("table").embeddings.numpy() != 0, kept)
    assert_nothing_left(model)


def clipped_regression(mask, x, y, *, steps, rate, norm):
    """SGD with clipping by global norm, by hand, on a network of the surviving weights alone."""
    w = np.zeros(mask.shape)
    for _ in range(steps):
        gradient = 2 / y.size * x.T @ (x @ w - y) * mask
        w -= rate * gradient * min(1.0, norm / np.linalg.norm(gradient))
    return w


@pytest.mark.parametrize("clipping", ["global_clipnorm", "clipnorm"])
@pytest.mark.parametrize("owner", ["wrapper", "callback"])
def test_pruned_weights_do_not_count_in_the_norm_that_clips(owner, clipping):
    # They would, by their gradients: the survivors' steps would be too short.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 6)).astype("float32"), rng.normal(size=(8, 4)).astype("float32")
    layer = keras.layers.Dense(4, use_bias=False, kernel_initializer="zeros", name="fc")
    model = keras.Sequential([keras.Input((6,)), layer])
    mask = helpers.random_mask(model)
    model.compile(keras.optimizers.SGD(0.5, **{clipping: 0.1}), "mse", jit_compile=False)
    if owner == "wrapper":
        model = sparsify(model, mask)
    model.fit(x, y, batch_size=8, epochs=5, verbose=0, callbacks=[KeepMask(mask)])
    np.testing.assert_allclose(
        helpers.values(model)["fc/kernel"],
        clipped_regression(mask["fc/kernel"], x, y, steps=5, rate=0.5, norm=0.1),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_sparse_model_keeps_the_mask_it_has():
    x, y = helpers.batch()
    model = helpers.mlp()
    mask = helpers.random_mask(model)
    sparse = helpers.compiled(sparsify(model, mask))
    sparse.fit(x, y, verbose=0, callbacks=[KeepMask()])
    assert get_mask(sparse) == mask
    other = helpers.random_mask(model, seed=1)
    sparse.fit(x, y, verbose=0, callbacks=[KeepMask(other)])
    assert get_mask(sparse) == other
    assert helpers.leaked(sparse, other) == 0
    sparse.fit(x, y, verbose=0)
    assert helpers.leaked(sparse, other) == 0


def test_kernels_outside_the_mask_stay_dense():
    model, x, y = fitted()
    mask = Mask({"hidden/kernel": helpers.random_mask(model)["hidden/kernel"]})
    model.fit(x, y, verbose=0, callbacks=[KeepMask(mask)])
    assert helpers.leaked(model, mask) == 0
    assert np.all(helpers.values(model)["out/kernel"] != 0)

    partly = helpers.compiled(sparsify(helpers.mlp((6, 12, 3)), skip=["output/*"]))
    mask = helpers.random_mask(partly)
    mask = Mask({"hidden_0/kernel": mask["hidden_0/kernel"]})
    partly.fit(x, y, verbose=0, callbacks=[KeepMask(mask)])
    assert helpers.leaked(partly, mask) == 0


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"elsewhere/kernel": np.ones((2, 2))}, "`elsewhere/kernel` is not in the model"),
        ({"hidden/kernel": np.ones((12, 6))}, r"`hidden/kernel` has the shape \(6, 12\)"),
        ({"hidden/kernel": np.ones((6, 12)), "out/bias": [1, 1, 1]}, "`out/bias` is not in"),
    ],
)
def test_a_mask_that_does_not_fit_changes_nothing(arrays, problem):
    model, x, y = fitted(keras.optimizers.SGD(0.1, clipnorm=1.0))
    before = helpers.values(model)
    with pytest.raises(MaskError, match=problem):
        model.fit(x, y, verbose=0, callbacks=[KeepMask(Mask(arrays))])
    assert_nothing_left(model)
    for key, array in helpers.values(model).items():
        np.testing.assert_array_equal(array, before[key])


def test_a_plain_model_needs_a_mask():
    model, x, y = fitted()
    with pytest.raises(MaskError, match="needs a mask"):
        model.fit(x, y, verbose=0, callbacks=[KeepMask()])


class WriteOnce(keras.callbacks.Callback):
    """Writes to a pruned weight behind the optimizer's back, after the last batch."""

    def on_epoch_end(self, epoch, logs=None):
        kernel = self.model.hidden.kernel
        kernel.assign(kernel + 1.0)


def test_a_weight_written_past_the_optimizer_is_found():
    model, x, y = fitted()
    keep = KeepMask(helpers.random_mask(model))
    with pytest.raises(InvariantError, match=r"`hidden/kernel`.*another callback"):
        model.fit(x, y, verbose=0, callbacks=[keep, WriteOnce()])
    assert_nothing_left(model)


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


def test_an_interrupted_fit_can_be_taken_up_again():
    model, x, y = fitted(keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0))
    mask = helpers.random_mask(model)
    keep = KeepMask(mask)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[keep, Interrupt()])
    assert helpers.leaked(model, mask) == 0
    model.fit(x, y, verbose=0, callbacks=[keep])
    assert helpers.leaked(model, mask) == 0
    assert_nothing_left(model)


class CountsTraces(helpers.Subclassed):
    traces = 0

    def call(self, x, training=None):
        self.traces += 1
        return super().call(x, training)


class Tighten(keras.callbacks.Callback):
    """Sets a smaller mask after each epoch, and looks at the zeros after each batch."""

    def __init__(self, masks):
        super().__init__()
        self.masks, self.leaks, self.binding = masks, [], None

    def on_train_begin(self, logs=None):
        self.binding = MaskBinding(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        self.binding.set(self.masks[epoch])
        assert self.binding.get() == self.masks[epoch]

    def on_train_batch_end(self, batch, logs=None):
        self.leaks.append(helpers.leaked(self.model, self.binding.get()))

    def on_train_end(self, logs=None):
        self.binding.check()
        self.binding.release()


def test_a_mask_changes_between_steps_without_a_new_trace():
    x, y = helpers.batch(examples=32)
    model = helpers.compiled(CountsTraces(), keras.optimizers.Adam(0.01, global_clipnorm=1.0))
    model.fit(x, y, batch_size=8, verbose=0)
    one, other = helpers.random_mask(model, seed=0), helpers.random_mask(model, seed=1)
    both = Mask({key: one[key] & other[key] for key in one})
    before, tighten = model.traces, Tighten([Mask.ones(one.shapes), one, both])
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[tighten])
    assert tighten.leaks == [0] * 12
    assert model.traces == before + 1
    assert helpers.leaked(model, both) == 0
