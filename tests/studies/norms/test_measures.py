import math

import numpy as np
import pytest
import synthetic_records

from tfticket.norms.landscape.records import ShiftRecord
from tfticket.report.reading import Curve
from tfticket.studies.norms.measures import (
    MEASURES,
    SMOOTHNESS,
    accuracy_after,
    measure,
    shift,
    smoothness,
)
from tfticket.studies.norms.networks import Network


def test_each_measure_is_what_the_paper_says_on_a_record_made_by_hand():
    record = synthetic_records.hand_made()
    found = smoothness(record, until=100)
    # Bands of loss: [1, 10] and [2, 200]; of change: [1, 3], [2, 10].
    assert found["loss_band"] == pytest.approx((1 + 2) / 2)
    assert found["loss_width"] == pytest.approx((9 + 198) / 2)
    assert found["predictiveness"] == pytest.approx((2 + 8) / 2)
    assert found["predictiveness_median"] == pytest.approx((2 + 8) / 2)
    # Distances 0.5 and 2 (||d|| = 1): changes 1, 3 give beta 2, 1.5; changes 2, 10 give 4, 5.
    assert found["beta"] == pytest.approx((2 + 5) / 2)
    # ||theta|| = 10, ||g|| = 5.
    assert found["relative_beta"] == pytest.approx(2 * (2 + 5) / 2)
    assert found["sharpness"] == pytest.approx((0.4 + 20) / 2)
    # sharpness ||d||^2 / 2 over -slope, which is 5.
    assert found["gauge"] == pytest.approx((0.04 + 2) / 2)
    assert found["above_one"] == 0.5
    assert found["usable"] == pytest.approx((0.5 + 0) / 2)
    assert found["saturated"] == 0


def test_only_the_first_steps_count_when_asked():
    record = synthetic_records.hand_made()
    assert smoothness(record, until=0)["loss_band"] == pytest.approx(1)
    assert math.isnan(smoothness(record, until=-1)["beta"])


def test_moments_that_overflow_are_left_out_of_means():
    record = synthetic_records.hand_made(
        losses=[[1, 10], [2, np.inf]], change=[[1, 3], [2, np.nan]]
    )
    found = smoothness(record, until=100)
    assert found["loss_band"] == pytest.approx(1)
    assert found["predictiveness"] == pytest.approx(2)


def test_shift_is_the_median_over_moments_and_layers():
    values = np.array([[0.1, 0.5], [0.3, np.nan], [0.9, 0.9]])
    record = ShiftRecord(np.array([0, 10, 20]), np.array(["a", "b"]), 2 * values, values, values)
    assert shift(record, until=10)["shift_cosine"] == pytest.approx(0.3)
    assert shift(record, until=20)["shift_l2"] == pytest.approx(1.0)


def network(**results):
    curves = {("validation", "accuracy"): Curve(np.array([10, 20]), np.array([0.5, 0.7]))}
    return Network(results, curves)


def test_a_network_that_diverged_has_no_accuracy():
    ended = {"accuracy_at_end": 0.1, "loss_at_end": 5.0, "seconds": 3.0}
    assert measure(network(**ended), until=1)["accuracy"] == 0.1
    assert measure(network(**ended, diverged=1.0), until=1) == {"seconds": 3.0}


def test_accuracy_after_a_step_is_that_of_the_last_evaluation_before():
    assert accuracy_after(network(), 19) == 0.5
    assert accuracy_after(network(), 20) == 0.7
    assert math.isnan(accuracy_after(network(), 9))
    assert math.isnan(accuracy_after(network(diverged=1.0), 20))
    assert math.isnan(accuracy_after(Network({}, {}), 20))


def test_where_validation_labels_are_wrong_it_is_the_clean_accuracy():
    steps = np.array([10, 20])
    curves = {
        ("validation", "accuracy"): Curve(steps, np.array([0.2, 0.3])),
        ("clean", "accuracy"): Curve(steps, np.array([0.6, 0.8])),
    }
    assert accuracy_after(Network({}, curves), 20) == 0.8


def test_what_is_memorized_is_a_measure_of_networks_that_did_not_diverge():
    results = {"memorized_last": 0.4, "accuracy_last": 0.5, "noise_rate": 0.3}
    assert measure(Network(results, {}), until=1) == results
    diverged = Network({**results, "diverged": 1.0}, {})
    assert measure(diverged, until=1) == {"noise_rate": 0.3}


def test_every_measure_of_a_recipe_is_known():
    from typing import get_args

    from tfticket.studies.norms.schema import Claim

    assert set(get_args(Claim.model_fields["measure"].annotation)) <= set(MEASURES)
    assert set(SMOOTHNESS) < set(MEASURES)
