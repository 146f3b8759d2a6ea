import pytest

from benchmarks.margins import BENCHMARKS, fit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def test_both_train_the_same_steps_and_ours_is_first():
    options = {"epochs": 1, "examples": 256}
    for audited in (False, True):
        fit("lenet_300_100", (4, 4, 1), 3, audited=audited, **options)()
    assert [next(iter(each.contenders)) for each in BENCHMARKS] == ["with MarginAudit"] * 3
    assert {each.goals["without"] for each in BENCHMARKS} == {1.1}
