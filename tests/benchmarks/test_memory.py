from dataclasses import replace

import keras
import numpy as np
import pytest

from benchmarks import memory
from benchmarks.paired import can_measure_memory, memory_of
from tfticket.data.arrays import aligned

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

FEW = replace(memory._FEW, input_shape=(8, 8, 1), steps=10, chunk_steps=5)
MIB = 2**20


def test_images_lie_where_a_feed_takes_them_as_they_are():
    split = memory.examples(FEW)
    assert split.x.shape == (1000, 8, 8, 1)
    assert aligned(split.x) is split.x
    assert aligned(split.y) is split.y
    assert len(np.unique(split.x)) == 256


def test_both_train_the_same_number_of_steps(monkeypatch):
    trained = []
    fit = keras.Model.fit

    def counted(model, *arguments, **options):
        fit(model, *arguments, **options)
        trained.append(int(model.optimizer.iterations))

    monkeypatch.setattr(keras.Model, "fit", counted)
    memory.chunked_fit(FEW)()
    memory.array_fit(FEW)()
    assert trained == [10, 10]


@pytest.mark.skipif(not can_measure_memory(), reason="the system tells no peak")
def test_training_on_images_in_memory_adds_them_once():
    many = replace(FEW, examples=600_000)  # 36.6 MiB
    use = memory_of(lambda: memory.chunked_fit(many), before=lambda: memory.chunked_fit(FEW))
    assert use.added_bytes < 1.8 * 600_000 * 64


def test_a_search_of_levels_is_a_run(monkeypatch):
    levels = []
    searched = memory.search_tickets

    def watched(experiment, run, progress, seed):
        searched(experiment, run, progress, seed)
        levels.extend(run.ticket(seed, "ticket", level).exists() for level in range(3))

    monkeypatch.setattr(memory, "search_tickets", watched)
    memory.search(1)()
    assert levels == [True, True, False]


def test_memory_is_counted_after_the_same_with_less():
    assert all(benchmark.before_memory is not None for benchmark in memory.BENCHMARKS)
