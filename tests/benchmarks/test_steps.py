import keras
import numpy as np
import pytest

from benchmarks.steps import (
    BENCHMARKS,
    PLAIN,
    ChunkedTraining,
    HandwrittenLenet,
    compiled,
    keras_defaults,
)
from benchmarks.workloads import DENSITY, WORKLOADS, Workload
from tfticket import models

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

SMALL = Workload("lenet_300_100", (8, 8, 1), 80, 8, steps=10, chunk_steps=5)


def test_ours_trains_the_steps_of_a_run_and_keeps_the_masks_from_run_to_run():
    training = ChunkedTraining(SMALL, masked=True)
    mask = training.binding.get()
    assert abs(mask.density - DENSITY) < 0.01
    begun = training.model.get_weights()
    for runs in (1, 2):
        training()
        assert int(training.model.optimizer.iterations) == 10 * runs
        training.binding.check()
        assert training.binding.get() == mask
    assert not any(map(np.array_equal, begun, training.model.get_weights()))


def test_ours_is_traced_once(monkeypatch):
    traced = []
    step = keras.Model.train_step
    monkeypatch.setattr(
        keras.Model, "train_step", lambda self, data: traced.append(1) or step(self, data)
    )
    training = ChunkedTraining(SMALL, masked=True)
    training()
    once = len(traced)
    assert once > 0
    training()
    training()
    assert len(traced) == once


def test_with_and_without_masks_is_the_same_training_but_for_the_masks():
    plain, masked = (ChunkedTraining(SMALL, masked=choice) for choice in (False, True))
    assert plain.binding is None
    mask = masked.binding.get()
    for key, kept in mask.items():
        begun = {v.path: v.numpy() for v in plain.model.variables}[key]
        pruned = {v.path: v.numpy() for v in masked.model.variables}[key]
        assert np.array_equal(pruned, np.where(kept, begun, 0))
    assert plain.model.jit_compile is masked.model.jit_compile is models.jit_choice(plain.model)


def test_the_default_fit_trains_the_same_number_of_steps():
    trained = []

    class Counted(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            trained.append(int(self.model.optimizer.iterations))

    fit = keras.Model.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.Model, "fit", lambda self, *a, **k: fit(self, *a, callbacks=[Counted()], **k)
        )
        keras_defaults(SMALL)()
    assert trained == [10]


def test_the_hand_written_training_is_that_of_keras():
    written, model = HandwrittenLenet(SMALL), compiled(SMALL)
    for variable, weight in zip(written.weights, model.get_weights(), strict=True):
        variable.assign(weight)
    x, y = SMALL.arrays()
    for batch in SMALL.batches(np.random.default_rng(0)):
        model.train_on_batch(x[batch].astype("float32") / 255, y[batch])
    written()
    for ours, theirs in zip(written.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_batches_of_a_run_go_through_all_images():
    batches = SMALL.batches(np.random.default_rng(0))
    assert batches.shape == (10, 8)
    assert sorted(batches.ravel()) == list(range(80))
    longer = Workload("conv2", (8, 8, 3), 50, 8, steps=10, chunk_steps=5)
    assert np.bincount(longer.batches(np.random.default_rng(0)).ravel()).max() == 2


def test_a_run_is_whole_chunks():
    for workload in WORKLOADS.values():
        assert workload.steps % workload.chunk_steps == 0


def test_each_is_held_against_two_copies_without_masks():
    names = ["masks_lenet", "masks_conv2", "masks_resnet20"]
    assert [benchmark.name for benchmark in BENCHMARKS[1:4]] == names
    for benchmark in BENCHMARKS[1:4]:
        assert list(benchmark.contenders) == ["80 % masked", *PLAIN]
        assert set(benchmark.goals) == set(PLAIN)


def test_convolutional_networks_have_the_peers_that_are_to_be_beaten():
    assert [benchmark.name for benchmark in BENCHMARKS[4:]] == ["conv2", "resnet20"]
    for benchmark in BENCHMARKS[4:]:
        ours, *others = benchmark.contenders
        assert ours == "fit with ChunkedFit, masks"
        assert set(benchmark.goals) == set(others)
