import pytest

from tfticket.errors import ModelError
from tfticket.lottery.controls import OneShotPruning, RandomReinit, ShuffledMask
from tfticket.lottery.procedure import Procedure
from tfticket.lottery.trial import Trial
from tfticket.schedules import IterativePruning
from tfticket.sparsity.pruners import GlobalPruner
from tfticket.sparsity.scores import magnitude


def procedure(**settings):
    return Procedure(
        **{
            "schedule": IterativePruning(0.2, levels=3),
            "level_steps": 100,
            "pruner": GlobalPruner(),
            "score": magnitude,
            "rewind_step": 0,
            "rewind": "weights",
            "optimizer_state": "restore",
            "score_at": "end",
            "controls": (),
            "control_levels": None,
            "seed": 0,
            **settings,
        }
    )


def test_only_the_dense_network_is_trained_from_the_beginning_again():
    late = procedure(rewind_step=30)
    assert late.trials() == [
        Trial(0, "ticket", 0, 100),
        Trial(1, "ticket", 30, 100),
        Trial(2, "ticket", 30, 100),
        Trial(3, "ticket", 30, 100),
    ]
    assert [trial.steps for trial in late.trials()] == [100, 70, 70, 70]
    assert late.ticket(0) == late.trials()[0]
    assert late.ticket(2) == late.trials()[2]


def test_controls_stand_behind_their_ticket_and_reinitialized_ones_begin_at_step_0():
    trials = procedure(rewind_step=30, controls=[RandomReinit(2), ShuffledMask()]).trials()
    assert trials[1:4] == [
        Trial(1, "ticket", 30, 100),
        Trial(1, "reinit_2", 0, 100),
        Trial(1, "shuffle", 30, 100),
    ]
    assert len(trials) == 1 + 3 * 3


def test_controls_are_trained_at_the_levels_that_are_asked_for():
    trials = procedure(controls=[RandomReinit()], control_levels=(1, 3)).trials()
    assert [trial.level for trial in trials if trial.branch == "reinit"] == [1, 3]


def test_one_shot_pruning_is_the_ticket_at_level_1_and_begins_at_level_2():
    trials = procedure(controls=[OneShotPruning()]).trials()
    assert [trial.level for trial in trials if trial.branch == "oneshot"] == [2, 3]


@pytest.mark.parametrize("step", [-1, 100, 101])
def test_the_rewind_step_lies_in_the_training(step):
    with pytest.raises(ValueError, match=f"rewind_step={step}, level_steps=100"):
        procedure(rewind_step=step)


@pytest.mark.parametrize(
    "controls", [[RandomReinit(), RandomReinit()], [ShuffledMask(name="ticket")]]
)
def test_each_control_has_a_name_of_its_own(controls):
    with pytest.raises(ValueError, match=r"a name of its own. Received: \['"):
        procedure(controls=controls)


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_epochs_may_be_any_common_divisor(steps):
    procedure(rewind_step=30).check_epochs(steps)


@pytest.mark.parametrize(
    ("steps", "options", "near"),
    [
        (32, {}, r"level_steps=100 that would do: 96 \(3 epochs\) or 128 \(4 epochs\)\."),
        (300, {}, r"level_steps=100 that would do: 300 \(1 epoch\)\."),
        (50, {"rewind_step": 30}, r"rewind_step=30 that would do: 0 \(0 epochs\) or 50 \(1 epoch"),
    ],
)
def test_the_nearest_steps_that_would_do_are_named(steps, options, near):
    with pytest.raises(ModelError, match=rf"epochs of {steps} steps\..*{near}"):
        procedure(**options).check_epochs(steps)


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ({"rewind": "weight"}, "'weights', 'learning_rate', 'none'.*Did you mean 'weights'?"),
        ({"score_at": "early"}, "'end', 'early_stop'.*Did you mean 'early_stop'?"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_those_that_are(option, hint):
    with pytest.raises(ValueError, match=hint):
        procedure(**option)


@pytest.mark.parametrize(("steps", "rewind_step", "divisor"), [(20, 30, 10), (30, 0, 100)])
def test_other_epochs_are_refused_with_a_number_that_would_do(steps, rewind_step, divisor):
    message = rf"rewind_step={rewind_step}, epochs of {steps} steps.* that divides {divisor}\."
    with pytest.raises(ModelError, match=message):
        procedure(rewind_step=rewind_step).check_epochs(steps)
