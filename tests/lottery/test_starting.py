import keras
import numpy as np
import pytest
from helpers import compiled, mlp, noisy_convnet, random_mask

from tfticket.errors import InvariantError
from tfticket.lottery.controls import (
    Control,
    OneShotPruning,
    RandomMask,
    RandomReinit,
    ShuffledMask,
    Start,
)
from tfticket.lottery.procedure import Procedure
from tfticket.lottery.starting import StartingPoints
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import INITIAL, REWIND, FinishedTrial, MemoryStore, TrialResult
from tfticket.schedules import IterativePruning
from tfticket.sparsity.binding import MaskBinding
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import GlobalPruner, LayerwisePruner
from tfticket.sparsity.saliency import SaliencyScore
from tfticket.sparsity.scores import magnitude, movement
from tfticket.state import Snapshot

pytestmark = pytest.mark.slow

K = 4


class Lab:
    """A search without its training: each finished network gets weights that are made up."""

    def __init__(self, model=None, **settings):
        self.model = compiled(model or mlp((6, 8, 7, 3)), keras.optimizers.SGD(0.1, momentum=0.9))
        self.procedure = Procedure(
            **{
                "schedule": IterativePruning(0.3, levels=3),
                "level_steps": 10,
                "pruner": LayerwisePruner(),
                "score": magnitude,
                "rewind_step": 0,
                "rewind": "weights",
                "optimizer_state": "restore",
                "score_at": "end",
                "controls": (),
                "control_levels": None,
                "seed": 3,
                **settings,
            }
        )
        self.store = MemoryStore()
        self.binding = MaskBinding(self.model)
        self.points = self.begin()
        if self.procedure.rewind_step:
            self.store.save_snapshot(REWIND, self.trained(self.store.load_snapshot(INITIAL), K))

    def begin(self):
        """As a process does that finds the store as it is."""
        return StartingPoints(self.procedure, self.model, self.store, self.binding)

    def trained(self, start, step):
        """Another state of the same shapes, that depends on nothing but the step."""
        rng = np.random.default_rng(step)

        def other(array, key=""):
            drawn = rng.normal(size=array.shape)
            return (np.abs(drawn) if key.endswith("variance") else drawn).astype(array.dtype)

        return Snapshot(
            {key: other(array, key) for key, array in start.variables.items()},
            [other(array) for array in start.optimizer],
            step,
        )

    def finish(self, trial, seed=0):
        """Ends a network; returns where it started and how it ended."""
        start = self.points.of(trial)
        final = self.trained(start.snapshot, 100 + trial.level + seed)
        result = TrialResult(trial, start.mask.density, None, {}, {}, "test", 0.0, None)
        ticket = Ticket(start.mask, start.snapshot.variables, trial.level, start.snapshot.step)
        self.store.save(FinishedTrial(result, ticket, final, final, ()))
        return start, final

    def finish_until(self, branch, level):
        """Ends all networks before that one; returns its trial."""
        for trial in self.procedure.trials():
            if (trial.branch, trial.level) == (branch, level):
                return trial
            self.finish(trial)
        raise AssertionError("no such trial")


def test_the_initial_state_is_kept_once_and_for_all():
    lab = Lab()
    initial = Snapshot.capture(lab.model, step=0)
    lab.trained(initial, 1).restore(lab.model)
    start = lab.begin().of(lab.procedure.ticket(0))
    for key, array in initial.variables.items():
        np.testing.assert_array_equal(start.snapshot.variables[key], array)
    assert start.mask.density == 1.0


def test_a_start_puts_the_model_there():
    lab = Lab()
    trial = lab.finish_until("ticket", 1)
    start = lab.points.take(trial)
    assert lab.binding.get() == start.mask
    now = Snapshot.capture(lab.model, step=0)
    for key, array in start.mask.apply(start.snapshot.variables).items():
        np.testing.assert_array_equal(now.variables[key], array)


def test_a_start_depends_on_the_store_alone():
    lab = Lab(rewind_step=K, controls=(RandomReinit(), ShuffledMask(), RandomMask()))
    for trial in lab.procedure.trials():
        before = lab.points.of(trial)
        lab.trained(before.snapshot, 77).restore(lab.model)
        lab.binding.set(random_mask(lab.model))
        again = lab.begin().of(trial)
        assert again.mask == before.mask
        for key, array in before.snapshot.variables.items():
            np.testing.assert_array_equal(again.snapshot.variables[key], array)
        lab.finish(trial)


def test_scores_look_at_the_beginning_and_the_end_of_the_level_before():
    lab = Lab(score=movement)
    initial = lab.store.load_snapshot(INITIAL)
    _, final = lab.finish(lab.procedure.ticket(0))
    start, _ = lab.finish(lab.procedure.ticket(1))
    for key, mask in start.mask.items():
        moved = np.abs(final.variables[key] - initial.variables[key])
        assert moved[mask].min() > moved[~mask].max()


def test_no_score_is_random_pruning_that_the_seed_decides():
    masks = []
    for seed, level in ((0, 1), (0, 1), (1, 1), (0, 2)):
        lab = Lab(score=None, seed=seed)
        masks.append(lab.points.of(lab.finish_until("ticket", level)).mask)
    assert masks[0] == masks[1]
    assert masks[0] != masks[2]
    # The survivors of level 2 are drawn anew: the first scores would leave the highest.
    lab = Lab(score=None, seed=0)
    once = lab.points._pruned_once(masks[3]).mask
    assert masks[3].is_subset_of(masks[0])
    assert masks[3] != once


@pytest.mark.parametrize("rewind", ["weights", "learning_rate", "none"])
def test_one_shot_pruning_goes_on_from_the_dense_network_and_not_from_the_ticket(rewind):
    lab = Lab(controls=(OneShotPruning(),), rewind=rewind)
    _, dense = lab.finish(lab.procedure.ticket(0))
    start = lab.points.of(lab.finish_until("oneshot", 3))
    ticket = lab.points.of(lab.procedure.ticket(3))
    assert start.mask.counts() == ticket.mask.counts()
    for key, mask in start.mask.items():
        size = np.abs(dense.variables[key])
        assert size[mask].min() > size[~mask].max()
    initial = lab.store.load_snapshot(INITIAL)
    weights = initial.variables if rewind == "weights" else dense.variables
    slots = dense.optimizer if rewind == "none" else initial.optimizer
    for key, array in weights.items():
        np.testing.assert_array_equal(start.snapshot.variables[key], array)
    for ours, theirs in zip(start.snapshot.optimizer, slots, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def convnet(**settings):
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
    y = np.arange(8) % 3
    score = SaliencyScore(settings.pop("name"), x, y, settings.pop("iterations", None))
    return Lab(noisy_convnet(), score=score, pruner=GlobalPruner(), **settings)


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_saliencies_are_those_of_the_subnetwork_at_the_rewind_point(name):
    lab = convnet(name=name, iterations=2, rewind_step=K)
    lab.finish(lab.procedure.ticket(0))
    before, _ = lab.finish(lab.procedure.ticket(1))
    start = lab.points.of(lab.procedure.ticket(2))
    assert start.mask.kept == before.mask.kept - round(0.3 * before.mask.kept)
    assert start.mask.is_subset_of(before.mask)

    # By hand: the state at step k under the mask of level 1, scored and pruned twice.
    lab.store.load_snapshot(REWIND).restore(lab.model)
    expected = before.mask
    for so_far in (1 - 0.7**0.5, 0.3):
        lab.binding.set(expected)
        scores = lab.procedure.score(lab.model)
        expected = GlobalPruner().prune(scores, expected, so_far, since=before.mask)
    assert start.mask == expected


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_saliencies_do_not_depend_on_what_was_trained_last(name):
    lab = convnet(name=name, iterations=1)
    lab.finish(lab.procedure.ticket(0))
    lab.finish(lab.procedure.ticket(1))
    masks = []
    for seed in (1, 2):
        lab.binding.set(random_mask(lab.model, seed=seed))
        masks.append(lab.begin().of(lab.procedure.ticket(2)).mask)
    assert masks[0] == masks[1]


def test_one_shot_pruning_by_a_saliency_scores_the_dense_network_once():
    lab = convnet(name="snip", controls=(OneShotPruning(),))
    start = lab.points.of(lab.finish_until("oneshot", 2))
    lab.store.load_snapshot(INITIAL).restore(lab.model)
    dense = Mask.ones(lab.binding.shapes)
    lab.binding.set(dense)
    scores = lab.procedure.score(lab.model)
    ticket = lab.points.of(lab.procedure.ticket(2))
    assert start.mask == GlobalPruner().prune_like(scores, dense, ticket.mask)


class Regrows(Pruner):
    """Prunes something else at each level."""

    def prune(self, scores, mask, rate, *, since=None):
        arrays = {}
        for key in mask:
            arrays[key] = np.zeros(mask[key].shape, bool)
            arrays[key].flat[:: 2 if mask.density == 1 else 3] = True
        return Mask(arrays)

    def prune_like(self, scores, mask, like):
        pytest.fail("The search must not ask for more than `prune`.")


def test_a_mask_that_grows_is_refused():
    lab = Lab(pruner=Regrows())
    with pytest.raises(InvariantError, match="mask of level 2 must be a subset"):
        lab.points.of(lab.finish_until("ticket", 2))


class BeginsLate(Control):
    """Takes the ticket's state of step k, and says that it begins at 0."""

    name = "late"
    begins_at_step_zero = True

    def start(self, context):
        return Start(context.ticket.mask.shuffled(self.rng(context)), context.ticket.snapshot)


def test_a_control_must_begin_at_the_step_it_says():
    lab = Lab(rewind_step=K, controls=(BeginsLate(),))
    with pytest.raises(InvariantError, match=rf"'late', start_step=0.* must begin .* not {K}"):
        lab.points.of(lab.finish_until("late", 1))


def test_a_rewind_point_that_was_lost_is_missed():
    lab = Lab(rewind_step=K)
    del lab.store.snapshots[REWIND]
    with pytest.raises(InvariantError, match=f"state at step {K} was never kept"):
        lab.points.of(lab.finish_until("ticket", 1))


class IsTheTicket(Control):
    """The classic mistake."""

    name = "same"

    def start(self, context):
        ticket = context.ticket
        pruned = {key: np.where(mask, 1, 5) for key, mask in ticket.mask.items()}
        variables = {
            key: array * pruned[key] if key in pruned else array
            for key, array in ticket.snapshot.variables.items()
        }
        return Start(ticket.mask, Snapshot(variables, ticket.snapshot.optimizer, 0))


def test_a_control_that_differs_only_in_pruned_weights_is_the_ticket():
    lab = Lab(controls=(IsTheTicket(),))
    with pytest.raises(InvariantError, match="`same` of level 1 with the same mask and the same"):
        lab.points.of(lab.finish_until("same", 1))
