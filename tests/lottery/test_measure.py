import math

import keras
import numpy as np
import pytest
from helpers import compiled, mlp, random_mask, values

from tfticket.lottery.controls import Start
from tfticket.lottery.measure import TrialMeasure, scalars
from tfticket.lottery.speed import LossCurve
from tfticket.lottery.trial import Trial
from tfticket.metrics import Row
from tfticket.state import Snapshot

pytestmark = pytest.mark.slow


def measured(losses, *, start_step=0, score_at="end", evaluate="weight", key="val_loss"):
    """Records a network whose weights are all 1 after the first epoch, 2 after the second, ..."""
    model = compiled(mlp((3, 4, 2)))
    mask = random_mask(model, density=0.5)
    start = Start(mask, Snapshot.capture(model, step=start_step))
    trial = Trial(2, "reinit", start_step, start_step + 10 * len(losses))
    measure = TrialMeasure(trial, start, seed=7, batches_per_epoch=4.0)
    for number, loss in enumerate(losses, start=1):
        for variable in model.trainable_variables:
            variable.assign(np.full(variable.shape, float(number)))
        step = measure.record(model, 10, {"loss": 1.0 / number, "accuracy": 0.5, key: loss})
        assert step == start_step + 10 * number

    def weight():
        return {"weight": float(model.trainable_variables[0].numpy().flat[0])}

    return model, measure.finish(
        model,
        evaluate=weight if evaluate else None,
        score_at=score_at,
        provenance={"recipe": "tiny"},
    )


def test_the_early_stop_step_is_that_of_the_lowest_validation_loss():
    model, finished = measured([0.9, 0.3, 0.5, 0.4])
    result = finished.result
    assert result.early_stop_step == 20
    assert result.at_early_stop == {"weight": 2.0}
    assert result.at_end == {"weight": 4.0}
    assert set(values(model)["output/kernel"].flat) == {4.0}, "left as training ended"
    assert set(finished.final.variables["output/kernel"].flat) == {4.0}
    assert finished.final.step == 40


def test_of_equal_validation_losses_the_first_counts():
    assert measured([0.9, 0.3, 0.3])[1].result.early_stop_step == 20


@pytest.mark.parametrize("losses", [[math.nan, math.nan], [math.nan, 0.3, math.nan]])
def test_a_loss_that_is_no_number_is_never_the_lowest(losses):
    result = measured(losses)[1].result
    assert result.early_stop_step == (20 if 0.3 in losses else None)


def test_without_validation_data_there_is_no_early_stop_step():
    _, finished = measured([0.9, 0.3], key="other")
    assert finished.result.early_stop_step is None
    assert finished.result.at_early_stop == {}
    assert finished.scored is finished.final
    assert "early_stop_step" not in {row.name for row in finished.rows}


def test_without_test_data_nothing_is_tested():
    _, finished = measured([0.9, 0.3], evaluate=None)
    assert "test" not in {row.split for row in finished.rows}


def test_without_test_data_the_validation_metrics_are_the_result():
    result = measured([0.9, 0.3, 0.4], evaluate=None)[1].result
    assert result.measured_on == "validation"
    assert (result.at_early_stop, result.at_end) == ({"loss": 0.3}, {"loss": 0.4})
    tested = measured([0.9, 0.3, 0.4])[1].result
    assert (tested.measured_on, tested.at_end) == ("test", {"weight": 3.0})
    _, unmeasured = measured([0.9, 0.3], key="other", evaluate=None)
    assert unmeasured.result.at_end == unmeasured.result.at_early_stop == {}


def test_a_metric_that_is_a_vector_has_a_row_for_each_value():
    flat = scalars({"loss": np.float32(0.5), "f1": np.array([0.25, 1.0]), "r2": [[0.5], [0.75]]})
    assert flat == {"loss": 0.5, "f1_0": 0.25, "f1_1": 1.0, "r2_0": 0.5, "r2_1": 0.75}
    assert all(type(value) is float for value in flat.values())


@pytest.mark.parametrize(("score_at", "weight"), [("end", 3.0), ("early_stop", 1.0)])
def test_the_state_that_is_scored(score_at, weight):
    _, finished = measured([0.1, 0.2, 0.3], score_at=score_at)
    assert set(finished.scored.variables["output/kernel"].flat) == {weight}


def test_the_rows_of_a_network():
    _, finished = measured([0.9, 0.3], start_step=10)
    mask = finished.ticket.mask

    def row(step, split, name, value):
        return Row(7, "reinit", 2, step, step / 4, split, name, value)

    seconds = finished.rows[-1]
    assert (seconds.split, seconds.name) == ("summary", "seconds")
    assert seconds.value >= 0
    assert list(finished.rows[:-1]) == [
        row(20, "train", "loss", 1.0),
        row(20, "train", "accuracy", 0.5),
        row(20, "validation", "loss", 0.9),
        row(30, "train", "loss", 0.5),
        row(30, "train", "accuracy", 0.5),
        row(30, "validation", "loss", 0.3),
        row(30, "test", "weight_at_early_stop", 2.0),
        row(30, "test", "weight_at_end", 2.0),
        row(30, "summary", "density", mask.density),
        row(30, "summary", "remaining", float(mask.kept)),
        row(30, "summary", "prunable", float(mask.total)),
        row(30, "summary", "early_stop_step", 30.0),
    ]


def test_the_ticket_holds_where_training_began_and_what_came_out():
    _, finished = measured([0.9, 0.3, 0.5], start_step=10)
    ticket = finished.ticket
    assert (ticket.level, ticket.rewind_step) == (2, 10)
    for key, mask in ticket.mask.items():
        assert np.all(ticket.weights[key][~mask] == 0)
        assert not np.any(ticket.weights[key] == 3.0)
    assert ticket.provenance == {
        "recipe": "tiny",
        "result": {
            "early_stop_step": 30,
            "at_early_stop": {"weight": 2.0},
            "at_end": {"weight": 3.0},
            "measured_on": "test",
        },
    }


def test_the_state_of_the_early_stop_step_is_a_copy():
    model = compiled(mlp((3, 2)), keras.optimizers.SGD(0.1))
    start = Start(random_mask(model), Snapshot.capture(model, step=0))
    measure = TrialMeasure(Trial(0, "ticket", 0, 20), start, seed=0, batches_per_epoch=1.0)
    before = values(model)["output/kernel"]
    measure.record(model, 10, {"val_loss": 0.1})
    model.trainable_variables[0].assign(np.zeros((3, 2)))
    measure.record(model, 10, {"val_loss": 0.2})
    finished = measure.finish(model, evaluate=None, score_at="early_stop", provenance={})
    np.testing.assert_array_equal(finished.scored.variables["output/kernel"], before)


def test_an_evaluation_within_an_epoch_counts_like_any_other():
    model = compiled(mlp((3, 2)))
    start = Start(random_mask(model), Snapshot.capture(model, step=0))
    measure = TrialMeasure(Trial(0, "ticket", 0, 20), start, seed=0, batches_per_epoch=5.0)
    measure.record_validation(model, 3, {"loss": 0.2, "accuracy": 0.9})
    assert measure.step == 0
    measure.record(model, 20, {"loss": 1.0, "val_loss": 0.5, "val_accuracy": 0.8})
    finished = measure.finish(model, evaluate=None, score_at="end", provenance={})
    assert finished.result.early_stop_step == 3
    assert finished.result.validation_loss == LossCurve((3, 20), (0.2, 0.5))
    assert finished.rows[0] == Row(0, "ticket", 0, 3, 0.6, "validation", "loss", 0.2)


def test_without_validation_data_there_is_no_loss_curve():
    _, finished = measured([0.9, 0.3], key="other")
    assert finished.result.validation_loss is None
