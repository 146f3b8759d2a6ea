import keras
import numpy as np
import pytest

from tfticket.schedules import IterativePruning, PolynomialDecay
from tfticket.sparsity import GradualPruning, LayerwisePruner, get_mask, movement, sparsify

pytestmark = pytest.mark.slow


class Sparsities(keras.callbacks.Callback):
    """Share of zeros in the kernel after each step, and whether zeros ever come back."""

    def on_train_begin(self, logs=None):
        self.found, self.kept = [], np.ones((10, 10), bool)

    def on_train_batch_end(self, batch, logs=None):
        alive = self.model.get_layer("out").kernel.numpy() != 0
        assert not np.any(alive & ~self.kept)
        self.kept = alive
        self.found.append(1 - alive.mean())


def model(**options):
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10, name="out")])
    made.compile(keras.optimizers.Adam(0.01), "mse", **{"jit_compile": False, **options})
    return made


def fit(made, *callbacks, steps=12):
    x, y = np.random.default_rng(0).normal(size=(2, steps, 10))
    made.fit(x, y, batch_size=1, callbacks=list(callbacks), verbose=0)


def test_sparsity_follows_the_equation_of_zhu_and_gupta():
    pruning, seen = GradualPruning(PolynomialDecay(0.8, levels=4), every=2, begin=2), Sparsities()
    fit(model(), pruning, seen)
    # s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3; the step's number counts from 1
    t = np.clip(np.arange(1, 13) // 2 * 2 - 2, 0, 8) / 8
    np.testing.assert_allclose(seen.found, 0.8 - 0.8 * (1 - t) ** 3, atol=0.01)
    assert pruning.mask.kept == 20


def test_the_weights_of_smallest_magnitude_go_first():
    made = model()
    made.optimizer.learning_rate = 0.0
    before = np.abs(made.get_layer("out").kernel.numpy())
    fit(made, pruning := GradualPruning(PolynomialDecay(0.5, levels=1), every=3), steps=5)
    assert before[pruning.mask["out/kernel"]].min() >= np.median(before)


def test_an_execution_of_many_steps_prunes_at_its_end():
    pruning, seen = GradualPruning(IterativePruning(0.5, levels=2), every=3), Sparsities()
    fit(model(steps_per_execution=4), pruning, seen)
    # Steps 3 and 6 fall into the executions that end at 4 and 8.
    np.testing.assert_allclose(seen.found, [0.5, 0.75, 0.75])


def test_a_second_fit_goes_on():
    made, pruning = model(), GradualPruning(PolynomialDecay(0.8, levels=4), every=3)
    with pytest.warns(UserWarning, match=r"level 2 of 4 .* needs 12 steps.* sparsity of 0\.7\."):
        fit(made, pruning, steps=6)
    early = pruning.mask
    assert all(v.constraint is None for v in made.trainable_variables)
    fit(made, pruning, seen := Sparsities(), steps=6)
    assert min(seen.found) == pytest.approx(0.7)
    assert pruning.mask.kept == 20
    assert np.all(early["out/kernel"] >= pruning.mask["out/kernel"])


def test_a_sparsified_model_owns_the_mask():
    sparse = sparsify(model())
    fit(sparse, pruning := GradualPruning(PolynomialDecay(0.5, levels=2), every=2))
    assert get_mask(sparse) == pruning.mask
    assert get_mask(sparse).kept == 50


def test_a_share_is_the_end_of_a_decay_and_names_stand_for_objects():
    pruning = GradualPruning(0.8, pruner="layerwise", score="movement")
    assert pruning.schedule == PolynomialDecay(0.8, 20)
    assert isinstance(pruning.pruner, LayerwisePruner)
    assert pruning.score is movement


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"schedule": 80.0}, ValueError, "not in percent"),
        ({"schedule": "polynomial"}, TypeError, "such as 0.8"),
        ({"schedule": 0.8, "every": 0}, ValueError, "every=0"),
        ({"schedule": 0.8, "score": "magnitud"}, ValueError, "Did you mean 'magnitude'?"),
    ],
)
def test_what_is_wrong_is_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        GradualPruning(**options)
