import keras
import numpy as np
import pytest

from tfticket.errors import MaskError
from tfticket.internals import slots_of
from tfticket.sparsity import Blocks, GlobalPruner, Mask, SparseTraining, get_mask, sparsify
from tfticket.sparsity.pruners import erk_counts

pytestmark = pytest.mark.slow


class Masks(keras.callbacks.Callback):
    """Which weights of the first kernel aren't zero, after each batch."""

    def on_train_begin(self, logs=None):
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append([v.numpy() != 0 for v in self.model.trainable_variables if v.ndim > 1])


def model(optimizer=None, **options):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    made = keras.Sequential(
        [keras.Input((12,)), layers.Dense(10, "tanh", name="a"), layers.Dense(6, name="b")]
    )
    made.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **{"jit_compile": False, **options})
    return made


def fit(made, *callbacks, steps=12, epochs=1):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4 * steps, 12)), rng.normal(size=(4 * steps, 6))
    made.fit(x, y, batch_size=4, epochs=epochs, shuffle=False, callbacks=list(callbacks), verbose=0)
    return x, y


@pytest.mark.parametrize(
    "options",
    [{}, {"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=["graph", "jit", "executions", "eager"],
)
@pytest.mark.parametrize("method", ["rigl", "set", "static"])
def test_density_of_each_layer_is_constant_after_every_batch(method, options):
    training, seen = SparseTraining(0.7, method=method, every=2, seed=3), Masks()
    fit(model(**options), training, seen)
    counts = list(erk_counts(Mask.ones({"a": (12, 10), "b": (10, 6)}), 54).values())
    # A grown weight is zero until the step after.
    changed = training.mask.counts()
    assert list(changed.values()) == counts
    for masks in seen.found:
        assert all(mask.sum() <= count for mask, count in zip(masks, counts, strict=True))
    steady = seen.found[-1]  # after step 9, three quarters of 12, nothing changes
    assert [mask.sum() for mask in steady] == counts
    assert training.changes == (0 if method == "static" else 4)
    moved = [bool(np.any(a != b)) for a, b in zip(seen.found[0], steady, strict=True)]
    assert any(moved) == (method != "static")


def test_drop_and_growth_are_those_of_ten_lines_of_numpy():
    rate, every, until, share = 0.5, 3, 9, 0.4
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((12,)), keras.layers.Dense(6, use_bias=False, name="b")])
    made.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", jit_compile=False)
    w = made.layers[0].kernel.numpy()
    start = Mask({"b/kernel": np.random.default_rng(5).random((12, 6)) < 0.3})
    training = SparseTraining(0.7, every=every, until=until, fraction=share, mask=start)
    x, y = fit(made, training)
    m, v = start["b/kernel"], np.zeros_like(w)
    w = w * m
    for t in range(1, 13):
        xs, ys = x[4 * t - 4 : 4 * t].astype("f"), y[4 * t - 4 : 4 * t].astype("f")
        g = xs.T @ (xs @ w - ys) * 2 / ys.size
        v = 0.9 * v - rate * g
        w = (w + v) * m
        if t % every == 0 and t < until:
            k = int(share / 2 * (1 + np.cos(np.pi * t / until)) * m.sum())
            drop = np.argsort(np.where(m, np.abs(w), np.inf), axis=None)[:k]
            m = m.copy()
            m.flat[drop] = False
            grow = np.argsort(np.where(m, -np.inf, np.abs(g)), axis=None)[-k:]
            stayed = m.copy()
            m.flat[grow] = True
            stayed |= m & (w != 0)
            w, v = w * m, v * (stayed | ~m)
    assert np.array_equal(training.mask["b/kernel"], m)
    assert not np.array_equal(m, start["b/kernel"])
    np.testing.assert_allclose(made.layers[0].kernel, w, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "nadam"])
def test_the_optimizer_remembers_nothing_of_grown_weights(optimizer):
    class Grown(keras.callbacks.Callback):
        grown = 0

        def on_train_batch_end(self, batch, logs=None):
            if training.changes and not self.grown:
                kernel = self.model.get_layer("a").kernel
                fresh = training.mask["a/kernel"] & (kernel.numpy() == 0)
                self.grown = int(fresh.sum())
                slots = slots_of(self.model.optimizer, kernel)
                assert slots
                assert not any(np.any(slot.numpy()[fresh]) for slot in slots)
                assert any(np.any(slot.numpy()[~fresh]) for slot in slots)

    training, seen = SparseTraining(0.7, every=3), Grown()
    fit(model(optimizer), training, seen)
    assert seen.grown > 0


def test_a_second_fit_goes_on_and_the_mask_stays_after_the_last_change():
    made, training = model(), SparseTraining(0.7, every=2, until=14, method="set")
    fit(made, training)
    first, changes = training.mask, training.changes
    assert changes == 6
    assert all(v.constraint is None for v in made.trainable_variables)
    fit(made, training)
    assert training.changes == 6
    assert training.mask == first
    assert get_mask(sparsify(made, training.mask)).kept == 54


def test_runs_repeat_and_seeds_differ():
    masks = []
    for seed in (0, 0, 1):
        fit(model(), training := SparseTraining(0.7, method="set", every=2, seed=seed))
        masks.append(training.mask)
    assert masks[0] == masks[1] != masks[2]


def test_a_sparsified_model_a_clipped_norm_and_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        made = sparsify(model(keras.optimizers.Adam(0.01, global_clipnorm=1.0)))
    finally:
        keras.config.set_dtype_policy("float32")
    fit(made, training := SparseTraining(0.5, every=2))
    assert get_mask(made) == training.mask
    assert training.changes == 4


def test_bad_input_is_refused_and_nothing_is_left_on_the_model():
    for wrong in ({"every": 0}, {"fraction": 1.0}, {"until": -1}, {"method": "rig"}):
        with pytest.raises(ValueError, match="must be"):
            SparseTraining(0.5, **wrong)
    with pytest.raises(ValueError, match=r"`sparsity` must be in \(0, 1\)"):
        SparseTraining(1.0)
    with pytest.raises(MaskError, match="single weights"):
        SparseTraining(0.5, pruner=GlobalPruner(structure=Blocks(2)))
    made = model()
    with pytest.raises(MaskError, match="would leave none"):
        fit(made, SparseTraining(0.999, pruner="layerwise"))
    with pytest.raises(MaskError, match="is not in the model"):
        fit(made, SparseTraining(0.5, mask=Mask({"c/kernel": np.ones((2, 2))})))
    assert all(v.constraint is None for v in made.trainable_variables)
    data = ((np.ones((4, 12)), np.ones((4, 6))) for _ in range(3))
    with pytest.raises(ValueError, match="`until` must be given"):
        made.fit(data, shuffle=False, callbacks=[SparseTraining(0.5)], verbose=0)
    assert all(v.constraint is None for v in made.trainable_variables)
