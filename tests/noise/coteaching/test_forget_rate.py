from __future__ import annotations

import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.noise.coteaching.forget_rate import ForgetRate

pytestmark = pytest.mark.slow


def rates(schedule, epochs):
    return [float(schedule(epoch)) for epoch in range(epochs)]


def test_paper():
    assert rates(ForgetRate(0.4, 4), 6) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_paper_with_an_exponent_acts_on_the_epoch_and_never_jumps():
    found = rates(ForgetRate(0.4, 4, exponent=0.5), 18)
    assert found == pytest.approx([0.4 * min(np.sqrt(t) / 4, 1) for t in range(18)])
    assert max(np.diff(found)) <= 0.1 + 1e-6
    assert found[16] == pytest.approx(0.4)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_official_is_what_the_program_of_the_authors_computes(exponent):
    tau, gradual = 0.4, 5
    table = np.full(12, tau)
    table[:gradual] = np.linspace(0, tau**exponent, gradual)
    found = rates(ForgetRate(tau, gradual, exponent, "official"), 11)
    assert found == pytest.approx(table[1:12])  # its first epoch of training has the number 1


@pytest.mark.parametrize("formula", ["paper", "official"])
@pytest.mark.parametrize("gradual", [0, 1])
def test_no_ramp(formula, gradual):
    schedule = ForgetRate(0.3, gradual, formula=formula)
    assert rates(schedule, 4)[1:] == pytest.approx([0.3] * 3)
    assert float(schedule(0)) == pytest.approx(0.0 if (formula, gradual) == ("paper", 1) else 0.3)


def test_is_a_value_that_keras_can_save():
    schedule = ForgetRate(0.4, 4, 2.0, "official")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again == schedule


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 1.0},
        {"rate": -0.1},
        {"rate": float("nan")},
        {"gradual": -1},
        {"gradual": 1.5},
        {"exponent": 0.0},
        {"formula": "mine"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ModelError, match="Received"):
        ForgetRate(**{"rate": 0.2, **wrong})
