from dataclasses import replace

import numpy as np
import pytest

from benchmarks.coteaching import (
    BENCHMARKS,
    Setting,
    contenders,
    coteaching,
    plain_fits,
    plain_steps,
    reduced_contenders,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

CONV = Setting(
    "conv2",
    (8, 8, 3),
    {"width": 0.1, "norm": "batch"},
    chunk_steps=2,
    chunks=2,
    batch_size=16,
)
DENSE = Setting("lenet_300_100", (8, 8, 1), {}, chunk_steps=2, chunks=2, batch_size=16)


def networks(training):
    """The two networks of a contender, whoever trains them."""
    models = [model for model, _ in training.fitted]
    return models if len(models) == 2 else [models[0].first, models[0].second]


@pytest.mark.parametrize("setting", [CONV, DENSE], ids=["conv", "dense"])
def test_all_contenders_train_the_same_networks_on_the_same_batches(setting):
    trained = [coteaching(setting, forget_rate=0.0), plain_steps(setting), plain_fits(setting)]
    begun = [[network.get_weights() for network in networks(each)] for each in trained]
    for each in trained:
        each()
        each()  # it goes on where it was
        assert all(chunked.feed.step == 8 for _, chunked in each.fitted)
    ours, *others = (networks(each) for each in trained)
    for number, other in enumerate(others, start=1):
        for network, (mine, theirs) in enumerate(zip(ours, other, strict=True)):
            pairs = zip(mine.get_weights(), theirs.get_weights(), strict=True)
            for place, (a, b) in enumerate(pairs):
                start = begun[0][network][place]
                assert np.array_equal(start, begun[number][network][place])
                assert not np.array_equal(a, start)
                np.testing.assert_allclose(a, b, atol=2e-5)


def test_ours_forgets():
    training = coteaching(CONV)
    training()
    ((pair, _),) = training.fitted
    assert (pair.rule.update, pair.rule.forget_rate.rate) == ("coteaching", 0.4)
    assert pair.clock.fixed  # a chunk isn't an epoch


def test_xla_compiles_the_same_for_all():
    assert (CONV.jit, DENSE.jit) == (False, True)
    for setting in (CONV, DENSE):
        for contender in contenders(setting).values():
            assert [m.jit_compile for m, _ in contender().fitted] in (
                [setting.jit] * n for n in (1, 2)
            )


def test_plain_steps_report_both_networks():
    ((both, chunked),) = plain_steps(replace(CONV, chunks=1)).fitted
    logs = both.fit(**chunked.feed.fit_arguments(), callbacks=[chunked], verbose=0).history
    assert set(logs) == {"loss", "accuracy", "second_loss", "second_accuracy"}


def test_reduced_batches_forget_half_from_the_beginning():
    made = reduced_contenders(CONV)
    pairs = [made[name]().fitted[0][0] for name in list(made)[:2]]
    assert [pair.batch for pair in pairs] == ["reduced", "whole"]
    for pair in pairs:
        assert float(pair.rule.forget_rate(0)) == 0.5


def test_ours_is_first_and_memory_is_measured_where_all_are_of_this_process():
    for benchmark in BENCHMARKS:
        ours = next(iter(benchmark.contenders))
        assert ours.startswith("CoTeaching")
        measured = benchmark.name in ("coteaching", "coteaching_dense")
        assert (benchmark.before_memory is not None) == measured
