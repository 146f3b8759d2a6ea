import numpy as np
from synthetic_data import classes

from tfticket.runner.chance import ChanceWatch
from tfticket.runs.plan import Trial
from tfticket.runs.progress import Silence


class Told(Silence):
    def __init__(self):
        self.calls = []

    def end(self, trial, summary):
        self.calls.append(trial)

    def message(self, text):
        self.calls.append(text)


def watched(told):
    return ChanceWatch(told, classes(np.arange(1000) % 10))


def test_a_network_at_chance_is_told_of_once_for_a_branch_and_seed():
    told = Told()
    watch = watched(told)
    for seed, branch, level, accuracy in (
        (0, "ticket", 0, 0.95),
        (0, "ticket", 1, 0.11),
        (0, "ticket", 2, 0.10),
        (1, "ticket", 0, 0.12),
        (1, "reinit", 1, 0.95),
    ):
        watch.end(Trial(seed, branch, level), {"accuracy_at_end": accuracy, "density": 1.0})
    messages = [each for each in told.calls if isinstance(each, str)]
    assert len(told.calls) == 5 + len(messages)
    assert [message.partition(" is right")[0] for message in messages] == [
        "`ticket` at level 1, seed 0,",
        "The dense network, seed 1,",
    ]
    assert "Inputs are bytes, divided. `data.normalize` changes that." in messages[0]


def test_the_better_of_two_accuracies_counts_and_what_diverged_is_known_already():
    told = Told()
    watch = watched(told).part("a task")
    watch.end(Trial(0, "ticket", 0), {"accuracy_at_end": 0.1, "accuracy_at_early_stop": 0.9})
    watch.end(Trial(0, "batch", 0), {"accuracy_at_end": 0.1, "diverged": 1.0})
    watch.end(Trial(0, "linear", 0), {"loss_at_end": 3.0})
    assert told.calls == [(0, "ticket", 0), (0, "batch", 0), (0, "linear", 0)]


def test_parts_remember_together():
    told = Told()
    watch = watched(told)
    for part in ("one", "two"):
        watch.part(part).end(Trial(0, "ticket", 0), {"accuracy_at_end": 0.1})
    assert len(told.calls) == 3
