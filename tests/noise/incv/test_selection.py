import keras
import numpy as np
import pytest
from helpers import logits_loss, mlp

from tfticket.errors import DataError, RunError
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.selection import INCV
from tfticket.noise.labels.corruption import corrupt
from tfticket.noise.labels.transition import symmetric
from tfticket.noise.losses import GeneralizedCrossentropy
from tfticket.noise.theory import label_quality

pytestmark = pytest.mark.slow


def blobs(count=600, seed=0):
    """Three classes that a straight line can tell apart."""
    rng = np.random.default_rng(seed)
    true = np.arange(count) % 3
    centers = np.eye(3, 6) * 6
    return (centers[true] + rng.normal(size=(count, 6))).astype("float32"), true


class Builder:
    """Builds linear models, and remembers with which weights they began."""

    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate
        self.beginnings = []
        self.optimizers = []

    def __call__(self, seed):
        model = mlp((6, 3))
        # Step by step in Python: a trace a network takes longer.
        optimizer = keras.optimizers.Adam(self.learning_rate)
        model.compile(optimizer, logits_loss(), run_eagerly=True)
        self.beginnings.append(model.get_weights()[0].tobytes())
        self.optimizers.append(model.optimizer)
        return model


def with_another_loss(seed):
    model = Builder()(seed)
    model.compile(
        keras.optimizers.Adam(0.05),
        GeneralizedCrossentropy(0.7, from_logits=True),
        jit_compile=False,
    )
    return model


def incv(build=None, **changes):
    # At a constant rate some labels stay in doubt, so that there is a second iteration.
    arguments = {"epochs": 3, "batch_size": 60, "decay": False, "seed": 1, **changes}
    return INCV(build or Builder(), **arguments)


@pytest.fixture(scope="module")
def selection():
    x, true = blobs()
    corruption = corrupt(true, symmetric(3, 0.3), seed=1, exact=True)
    build = Builder()
    return x, corruption, build, incv(build, iterations=2).select(x, corruption.given)


def test_clean_examples_are_selected_and_wrong_ones_removed(selection):
    _, corruption, _, split = selection
    precision, recall = label_quality(corruption.true, corruption.given, selected=split.clean)
    assert precision > 0.97
    assert recall > 0.95
    assert corruption.changed[split.removed].mean() > 0.9
    assert split.estimate.kind == "symmetric"
    assert split.estimate.rate == pytest.approx(0.3, abs=0.05)
    assert split.estimate.low <= 0.3 <= split.estimate.high


def test_every_network_and_optimizer_is_new(selection):
    # With one initialization, and moments that stay, the halves would not be independent.
    _, _, build, split = selection
    fits = 2 * len(split.rounds)
    assert len(build.beginnings) == fits + 1  # and one to look at
    assert len(set(build.beginnings)) == len(build.beginnings)
    assert len({id(optimizer) for optimizer in build.optimizers}) == len(build.optimizers)


def test_probabilities_and_votes_are_of_networks_that_did_not_train_on_the_example(selection):
    _, corruption, _, split = selection
    assert split.rounds[0].held_out == 600
    assert (split.votes[:, 0] >= 1).all()
    assert (split.votes[:, 1] <= 1).all()
    np.testing.assert_array_equal(np.flatnonzero(split.votes[:, 1]), split.clean)
    np.testing.assert_allclose(split.probabilities.sum(axis=1), 1, rtol=1e-5)
    # What is selected at once was asked once, and its label is what was predicted.
    first = np.flatnonzero((split.votes == [1, 1]).all(axis=1))
    np.testing.assert_array_equal(split.probabilities[first].argmax(1), corruption.given[first])
    assert len(first) == split.rounds[0].selected


def test_stopped_and_resumed_is_as_never_stopped(selection, tmp_path):
    x, corruption, _, whole = selection

    class StopError(Exception):
        pass

    class Failing(Builder):
        def __call__(self, seed):
            if len(self.beginnings) == 3:
                raise StopError
            return super().__call__(seed)

    with pytest.raises(StopError):
        incv(Failing(), iterations=2).select(x, corruption.given, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    build = Builder()
    resumed = incv(build, iterations=2).select(x, corruption.given, folder=tmp_path)
    assert len(build.beginnings) == 2 * len(whole.rounds) - 2 + 1
    for name in ("clean", "candidate", "removed", "probabilities", "votes"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.to_dict() == whole.to_dict()
    loaded = CleanSplit.load(resumed.save(tmp_path / "split.npz"))
    assert loaded.sha256 == whole.sha256
    for other in ({"epochs": 4}, {"decay": True}, {"build": with_another_loss}):
        with pytest.raises(RunError, match="another folder"):
            incv(**other).select(x, corruption.given, folder=tmp_path)


def test_folds_that_are_trained_apart_give_the_same_selection(selection, tmp_path):
    x, corruption, _, whole = selection
    told = []
    for iteration, fold in ((0, 1), (0, 0), (1, 1), (1, 0)):  # of an iteration in any order
        incv(iterations=2).train_fold(
            x,
            corruption.given,
            folder=tmp_path,
            iteration=iteration,
            fold=fold,
            tell=lambda number, of: told.append((number, of)),
        )
    assert told == [(2, 4), (1, 4), (4, 4), (3, 4)]
    build = Builder()
    split = incv(build, iterations=2).select(x, corruption.given, folder=tmp_path)
    assert len(build.beginnings) == 1, "only the one that is looked at before"
    np.testing.assert_array_equal(split.probabilities, whole.probabilities)
    np.testing.assert_array_equal(split.clean, whole.clean)


def test_no_fold_is_trained_when_the_selection_was_stable_before(tmp_path):
    _, true = blobs()
    x = np.eye(3, 6, dtype="float32")[true]  # nothing stays in doubt
    told = []
    for iteration, fold in ((0, 0), (0, 1), (1, 0), (1, 1)):
        incv(Builder(0.3), batch_size=150).train_fold(
            x,
            true,
            folder=tmp_path,
            iteration=iteration,
            fold=fold,
            tell=lambda number, of: told.append(number),
        )
    assert told == [1, 2]


def test_what_the_caller_holds_stays(selection):
    x, corruption, _, _ = selection
    np.testing.assert_array_equal(x, blobs()[0])
    given = corrupt(blobs()[1], symmetric(3, 0.3), seed=1, exact=True).given
    np.testing.assert_array_equal(corruption.given, given)


def test_clean_labels_keep_everything():
    x, true = blobs(300)
    split = incv(Builder(0.3), folds=3, iterations=4, batch_size=50).select(x, true)
    assert len(split.removed) == 0
    assert len(split.clean) > 285
    assert len(split.rounds) < 4  # it was stable before


def test_the_cost_is_told_before():
    cost = INCV(Builder(), epochs=50).cost(50_000)
    assert cost.fits == 8
    assert cost.epochs == 50 * (1 + 3 * 2)
    assert cost.steps == 50 * (2 * 196 + 6 * 391)
    assert INCV(Builder(), epochs=10, folds=5, iterations=1).cost(1000).epochs == 40


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.zeros(90, int), "2 labels or more"),
        (np.arange(90) % 4, r"in \[-1, 3\)"),
        (np.arange(89) % 3, "90 inputs, 89 labels"),
        (np.eye(3)[np.arange(90) % 3], "argmax"),
    ],
)
def test_labels_that_can_not_be_cleaned(labels, rule):
    with pytest.raises(DataError, match=rule):
        incv().select(blobs(90)[0], labels)


@pytest.mark.parametrize("shape", [(90, 5), (90, 6, 1), (90,)])
def test_inputs_must_be_what_the_model_takes(shape):
    with pytest.raises(DataError, match="`x` must be inputs of the model"):
        incv().select(np.zeros(shape, "float32"), np.arange(90) % 3)


def test_fewer_examples_than_folds_need():
    with pytest.raises(DataError, match="at least 4 examples for 2 folds"):
        incv().select(blobs(3)[0], [0, 1, 2])


def test_fewer_examples_than_a_batch():
    x, true = blobs(9)
    assert len(incv(Builder(0.3), epochs=5, iterations=1).select(x, true)) == 9


def test_an_empty_selection_is_an_error():
    def contrary(seed):
        model = mlp((6, 31))
        model.compile(keras.optimizers.SGD(0.0), logits_loss(), run_eagerly=True)
        model.set_weights([np.zeros((6, 31)), 9.0 * np.eye(31)[0]])
        return model

    with pytest.raises(RunError, match="A selection must not be empty"):
        INCV(contrary, epochs=1).select(blobs(90)[0], 1 + np.arange(90) // 3)


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"folds": 1}, {"stable": 1.0}])
def test_numbers_out_of_range(changes):
    with pytest.raises(DataError, match="`folds` must be at least 2"):
        incv(**changes)
