from dataclasses import replace

import keras
import pytest

from benchmarks.norms import BENCHMARKS
from benchmarks.workloads import WORKLOADS
from tfticket import models
from tfticket.norms.layers import FusedBatchNorm

pytestmark = pytest.mark.slow


def contenders(name):
    return next(each for each in BENCHMARKS if each.name == name).contenders


def test_group_norm_is_held_against_that_of_keras():
    assert list(contenders("group_norm")) == ["tfticket GroupNorm", "keras GroupNormalization"]
    for make in contenders("group_norm").values():
        make()()


@pytest.fixture
def small(monkeypatch):
    """One step on a few small images."""
    work = replace(
        WORKLOADS["resnet20"],
        input_shape=(8, 8, 3),
        examples=4,
        batch_size=4,
        steps=1,
        chunk_steps=1,
    )
    monkeypatch.setitem(WORKLOADS, "resnet20", work)


def test_batch_norm_is_held_against_that_of_keras(small, monkeypatch):
    built = []
    build = models.build

    def spy(*args, **options):
        built.append(build(*args, **options))
        return built[-1]

    monkeypatch.setattr(models, "build", spy)
    names = ["tfticket FusedBatchNorm", "keras BatchNormalization"]
    assert list(contenders("batch_norm")) == names
    for make in contenders("batch_norm").values():
        make()()
    ours, theirs = (
        {
            type(layer)
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        }
        for model in built
    )
    assert ours == {FusedBatchNorm}
    assert theirs == {keras.layers.BatchNormalization}
