import json
import random

import keras
import numpy as np
import platformdirs
import pytest

from tfticket import models
from tfticket.models import jit as module
from tfticket.models import measured_jit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "tfticket" / "jit.json"


def network(units=4, kind=keras.Sequential):
    model = kind([keras.Input((6,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(3)])
    model.compile("adam", models.loss_for(model))
    return model


def faster(monkeypatch, *, jit):
    """A clock under which one of the two is faster; the steps are the real ones."""
    asked, winners, make = [], [], module._step

    def step(model, batch, **options):
        made = make(model, batch, **options)
        winners.extend([made] if options["jit"] is jit else [])
        return made

    def time(step):
        asked.append(step)
        assert np.isfinite(step())
        return 0.05 if step in winners else 0.1

    monkeypatch.setattr(module, "_step", step)
    monkeypatch.setattr(module, "_time", time)
    return asked


@pytest.mark.parametrize("jit", [False, True])
def test_the_faster_one_is_taken_and_remembered(jit, memory, monkeypatch):
    asked = faster(monkeypatch, jit=jit)
    assert measured_jit(network()) is jit
    count = len(asked)
    assert count >= 2 * module._ROUNDS
    assert measured_jit(network()) is jit
    assert len(asked) == count
    assert list(json.loads(memory.read_text()).values()) == [jit]
    measured_jit(network(units=5))  # another model
    assert len(asked) > count


def test_a_damaged_memory_is_measured_again(memory, monkeypatch):
    memory.parent.mkdir(parents=True)
    memory.write_text("[1, 2")
    faster(monkeypatch, jit=True)
    assert measured_jit(network()) is True
    assert list(json.loads(memory.read_text()).values()) == [True]


def test_a_folder_that_can_not_be_written_is_done_without(memory, monkeypatch):
    memory.parent.parent.mkdir(parents=True)
    memory.parent.write_text("a file, no folder")
    faster(monkeypatch, jit=True)
    assert measured_jit(network()) is True


def test_the_model_and_random_numbers_are_as_before(memory):
    model = network()
    before, drawn = model.get_weights(), random.getstate()
    assert measured_jit(model) in (False, True)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(ours, theirs)
    assert random.getstate() == drawn
    assert int(model.optimizer.iterations) == 0


def test_a_subclassed_model_gets_the_rule(memory):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model.compile("sgd", "mse")
    assert measured_jit(model) is models.jit_choice(model)
    assert not memory.exists()
