import numpy as np

from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import FinishedTrial, MemoryStore, Trial, TrialListener, TrialResult
from tfticket.sparsity.mask import Mask
from tfticket.state import Snapshot


def finished(level, branch="ticket"):
    trial = Trial(level, branch, 0, 10)
    mask = Mask({"a/kernel": np.ones((2, 2))})
    final = Snapshot({"a/kernel": np.full((2, 2), 10.0 + level)}, [], 10)
    scored = Snapshot({"a/kernel": np.full((2, 2), 20.0 + level)}, None, 5)
    ticket = Ticket(mask, {"a/kernel": np.full((2, 2), 1.0)}, level, 0)
    return FinishedTrial(
        TrialResult(trial, 1.0, 5, {}, {}, "test", 0.1, None), ticket, final, scored, ()
    )


def test_the_memory_keeps_each_ticket():
    store = MemoryStore()
    one, control = finished(0), finished(0, "reinit")
    assert not store.is_finished(one.result.trial)
    store.save(one)
    assert store.is_finished(one.result.trial)
    assert not store.is_finished(control.result.trial)
    store.save(control)
    assert store.ticket("ticket", 0) is one.ticket
    assert store.ticket("reinit", 0) is control.ticket


def test_the_memory_keeps_the_ends_that_a_search_looks_back_at():
    store = MemoryStore()
    saved = [finished(level) for level in range(6)]
    for level, end in enumerate(saved):
        store.save(end)
        if level:
            store.save(finished(level, "reinit"))
        # Level 0 is pruned once by a control; a control beside the ticket may be rewound to the
        # end of the level before.
        for needed in {0, max(level - 1, 0), level}:
            assert store.final("ticket", needed) is saved[needed].final
            assert store.scored(needed) is saved[needed].scored
    assert len(store.ends) == 3, "a search of many levels must not fill the memory"


def test_the_memory_keeps_snapshots_by_name():
    store = MemoryStore()
    assert store.load_snapshot("initial") is None
    snapshot = finished(0).final
    store.save_snapshot("initial", snapshot)
    assert store.load_snapshot("initial") is snapshot
    assert store.load_snapshot("rewind") is None


def test_trials_are_ordered_by_level():
    trials = [Trial(2, "a", 0, 1), Trial(1, "b", 0, 1), Trial(1, "a", 0, 1)]
    assert sorted(trials) == trials[::-1]


def test_a_silent_listener_takes_everything():
    listener, result = TrialListener.SILENT, finished(0).result
    listener.begin(result.trial, 1.0)
    listener.update(result.trial, 5, {"loss": 0.1})
    listener.end(result)
    assert vars(listener) == {}
