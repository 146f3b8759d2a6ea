import itertools

import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import MODELS, NORMS, build, gives_probabilities

SHAPE = (28, 28, 2)  # the least that all of them take


@pytest.mark.parametrize(
    ("name", "norm"),
    [*((name, None) for name in MODELS), *itertools.product(["lenet_300_100", "conv2"], NORMS)],
)
def test_every_model_with_every_norm_gives_logits_that_can_be_trained(name, norm, seeded):
    options = {"width": 0.05} if name != "dln" else {"depth": 3}  # one unit a layer learns nothing
    model = build(name, SHAPE, 3, norm=norm, seed=1, **options)
    assert model.output_shape == (None, 3)
    assert not gives_probabilities(model)
    x = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    model.compile("sgd", "mse", run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    assert np.isfinite(model.train_on_batch(x, np.ones((4, 3), np.float32)))
    moved = [
        not np.array_equal(b, v) for b, v in zip(before, model.trainable_variables, strict=True)
    ]
    assert np.mean(moved) > 0.8


@pytest.mark.parametrize("name", MODELS)
def test_names_do_not_count_through_the_process(name):
    def paths():
        return [v.path for v in build(name, SHAPE, 3, width=0.1, dropout=0.1).variables]

    first, second = paths(), paths()
    assert [p for p in first if "seed_generator" not in p] == [
        p for p in second if "seed_generator" not in p
    ]


def test_unknown_model():
    with pytest.raises(
        ModelError,
        match=r"No network named 'resnett20'. Did you mean 'resnet20'\? .*lenet_300_100,",
    ):
        build("resnett20", (32, 32, 3), 10)


def test_one_class():
    with pytest.raises(ModelError, match=r"at least 2\. Received: 1"):
        build("lenet_300_100", (8,), 1)
