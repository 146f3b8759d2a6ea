import itertools

import keras
import numpy as np
import pytest
from tiny_recipe import recipe

from tfticket.errors import TicketError
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import read_metrics
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.saliency import SALIENCIES
from tfticket.state import Snapshot, prunable_variables
from tfticket.studies.lottery.plan import planned_levels
from tfticket.studies.lottery.search import pruner, schedule
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets

pytestmark = pytest.mark.slow

SMALL = (
    "data.limit=200",
    "data.validation=200",  # of one shape with the test data: one trace less
    "data.batch_size=32",
    "train.optimizer={name='sgd', momentum=0.9}",
    "train.learning_rate=0.1",
    "train.steps=3",
    "train.evaluate_every=1",
    "train.jit=false",
    "seeds=[0]",
)
ONE_SHOT = ("lottery.schedule=one_shot", "lottery.levels=1")
LATE = (
    "lottery.rewind_step=1",
    "lottery.optimizer_state=restore",
    "lottery.score_at=early_stop",
    "controls.reinit=true",
    "controls.shuffle=true",
    "controls.levels=[1]",
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """64-16-10 units in a file."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.1, name="drop"),
            layers.Dense(10, name="output"),
        ]
    )
    path = tmp_path_factory.mktemp("models") / "network.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def data():
    return LotteryStudy.load(recipe(*SMALL)).data


@pytest.fixture(scope="module")
def tiny(network):
    """Makes a tiny recipe with some changes."""

    def make(*changes):
        return recipe(*SMALL, f"model={{file='{network}'}}", *changes)

    return make


@pytest.fixture(scope="module")
def search(tiny, data):
    """Runs the searches of a tiny recipe with some changes in a run directory."""

    def run_in(path, *changes, progress=None):
        given = tiny(*changes)
        run, experiment = RunDir(path), LotteryStudy(given, data)
        with writing(run, given, toml=b""):
            for seed in given.seeds:
                search_tickets(experiment, run, progress or Silence(), seed)
        return run, experiment

    return run_in


class Told(Silence):
    """Remembers what it was told."""

    def __init__(self):
        self.began, self.updates, self.ended = [], [], []

    def begin(self, trial, steps, density):
        self.began.append((*trial, steps, density))

    def update(self, step, measured):
        self.updates.append((step, dict(measured)))

    def end(self, trial, summary):
        self.ended.append((*trial, dict(summary)))


class PulledPlugError(Exception):
    pass


class PullsThePlug(Told):
    """In the middle of the second network."""

    def update(self, step, measured):
        super().update(step, measured)
        if len(self.began) == 2 and step == 1:
            raise PulledPlugError


def content(run):
    """Everything that a search leaves, byte by byte."""
    return {
        path.relative_to(run.path).as_posix(): path.read_bytes()
        for path in sorted(run.path.glob("seeds/**/*.npz"))
    }


def measured(run):
    return [row for row in read_metrics(run.metrics) if row.name != "seconds"]


@pytest.fixture(scope="module")
def late(search, tmp_path_factory):
    told = Told()
    run, _ = search(tmp_path_factory.mktemp("runs") / "late", *LATE, progress=told)
    return run, told


def test_a_search_leaves_these_files(late):
    run, _ = late
    assert list(content(run)) == [
        f"seeds/seed_0/{name}.npz"
        for name in (
            "initial",
            "reinit/level_01",
            "rewind",
            "shuffle/level_01",
            *(f"ticket/level_0{n}{end}" for n in range(3) for end in (".early_stop", ".final", "")),
        )
    ]


def test_the_tickets_of_a_run_are_what_its_snapshots_say(late):
    run, _ = late
    rewind, last = Snapshot.load(run.rewind(0)), None
    assert rewind.step == 1
    assert Snapshot.load(run.initial(0)).step == 0
    for level in (1, 2):
        ticket = Ticket.load(run.ticket(0, "ticket", level))
        assert ticket.rewind_step == 1
        for key, array in ticket.mask.apply(rewind.variables).items():
            np.testing.assert_array_equal(ticket.weights[key], array)
        final = Snapshot.load(run.final(0, "ticket", level))
        for key, mask in ticket.mask.items():
            assert np.all(final.variables[key][~mask] == 0)
        assert final.optimizer is None, "only fine-tuning goes on with it"
        assert last is None or ticket.mask.is_subset_of(last)
        last = ticket.mask
    assert ticket.provenance["recipe"] == "tiny"
    assert ticket.provenance["data_fingerprint"]


def test_progress_hears_each_network(late):
    _, told = late
    assert [(seed, branch, level, steps) for seed, branch, level, steps, _ in told.began] == [
        (0, "ticket", 0, 3),
        (0, "ticket", 1, 2),
        (0, "reinit", 1, 3),
        (0, "shuffle", 1, 2),
        (0, "ticket", 2, 2),
    ]
    assert [round(began[-1], 2) for began in told.began] == [1.0, 0.8, 0.8, 0.8, 0.64]
    # Steps are the network's own: those of a late ticket begin at 0 too.
    steps = [update[0] for update in told.updates]
    assert steps == [1, 2, 3, 1, 2, 1, 2, 3, 1, 2, 1, 2]


def test_progress_hears_what_the_table_says(late):
    run, told = late
    rows = read_metrics(run.metrics)
    losses = [row.value for row in rows if (row.split, row.name) == ("validation", "loss")]
    assert [measured["val_loss"] for _, measured in told.updates] == losses
    for seed, branch, level, summary in told.ended:
        of_network = [r for r in rows if (r.seed, r.branch, r.level) == (seed, branch, level)]
        values = {r.name: r.value for r in of_network if r.split in ("test", "summary")}
        for name, value in summary.items():
            assert value == pytest.approx(values[name], abs=1e-3), name
        assert "accuracy_at_early_stop" in summary


@pytest.mark.parametrize(
    "changes",
    [LATE, ("lottery.rewind=none",)],
    ids=["late rewinding, controls, early stop", "fine-tuning"],
)
def test_a_search_that_is_cut_again_and_again_ends_as_if_it_never_was(
    search, late, tmp_path, changes
):
    whole = late[0] if changes is LATE else search(tmp_path / "whole", *changes)[0]
    networks = len(whole.finished_levels())
    for finished in range(1, networks):
        with pytest.raises(PulledPlugError):
            search(tmp_path / "cut", *changes, progress=PullsThePlug())
        assert len(RunDir(tmp_path / "cut").finished_levels()) == finished
    told = Told()
    cut, _ = search(tmp_path / "cut", *changes, progress=told)
    assert len(told.began) == 1, "what is finished is never trained again"
    assert content(cut) == content(whole)
    assert measured(cut) == measured(whole)


def test_tickets_and_controls_can_be_trained_apart(late, tiny, data, tmp_path):
    whole, _ = late
    work, run = LotteryStudy(tiny(*LATE), data), RunDir(tmp_path)
    (task,) = work.tasks()
    assert [part.name for part in task.parts] == ["seed 0", "seed 0, reinit", "seed 0, shuffle"]
    assert [part.after for part in task.parts] == [(), ("seed 0",), ("seed 0",)]
    assert sorted(trial for part in task.parts for trial in part.trials) == sorted(task.trials)
    with writing(run, work.recipe, toml=b""):
        for part in (task.parts[0], task.parts[2], task.parts[1]):
            assert not work.finished(part, run)
            work.do(part, run, Silence())
            assert work.finished(part, run)
        assert work.finished(task, run)
        run.rows.sort(task.trials)
    assert content(run) == content(whole)
    assert measured(run) == measured(whole)


def test_a_search_without_controls_is_one_task(tiny, data):
    (task,) = LotteryStudy(tiny("lottery.levels=1"), data).tasks()
    assert task.parts == ()


def test_a_run_that_is_finished_trains_nothing(search, late):
    run, _ = late
    before, told = content(run), Told()
    search(run.path, *LATE, progress=told)
    assert told.began == []
    assert content(run) == before


def test_the_state_of_the_early_stop_step_is_kept_where_it_is_scored(search, tmp_path):
    # The third step spoils the network.
    rate = 'train.learning_rate={schedule="piecewise", boundaries=[1], values=[0.01, 9.0]}'
    run, experiment = search(
        tmp_path, rate, "lottery.levels=1", "lottery.score_at=early_stop", "lottery.pruner=global"
    )
    rows = read_metrics(run.metrics)
    assert next(r.value for r in rows if r.name == "early_stop_step") == 2
    early = Snapshot.load(run.final(0, "ticket", 0).with_name("level_00.early_stop.npz"))
    assert early.step == 2
    scores = {key: np.abs(early.variables[key]) for key in ("hidden/kernel", "output/kernel")}
    dense = Mask.ones({key: array.shape for key, array in scores.items()})
    expected = pruner(experiment.recipe.lottery, experiment.model(0)).prune(scores, dense, 0.2)
    assert Ticket.load_mask(run.ticket(0, "ticket", 1)) == expected


@pytest.mark.parametrize(
    ("score", "changes"),
    [
        ("snip", [*ONE_SHOT, "lottery.final_sparsity=0.8"]),
        ("grasp", ["lottery.schedule=polynomial", "lottery.final_sparsity=0.7"]),
        ("synflow", [*ONE_SHOT, "lottery.final_sparsity=0.9"]),
        ("random", ["lottery.schedule=polynomial", "lottery.final_sparsity=0.7"]),
    ],
)
def test_scores_and_schedules_of_a_recipe(search, tmp_path, score, changes):
    run, experiment = search(tmp_path, f"lottery.score={score}", "train.steps=1", *changes)
    lottery, model = experiment.recipe.lottery, experiment.model(0)
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    masks = [
        Ticket.load_mask(run.ticket(0, "ticket", level)) for level in range(lottery.levels + 1)
    ]
    planned = planned_levels(schedule(lottery), pruner(lottery, model), shapes)
    assert [mask.counts() for mask in masks] == [level.counts for level in planned]
    assert all(mask.is_subset_of(before) for before, mask in itertools.pairwise(masks))
    if SALIENCIES.get(score, (None, 0))[1] == 1:  # computed once, of the untrained network
        x = experiment.data.train.x[:100] * experiment.data.scale
        scores = SALIENCIES[score][0](model, x, experiment.data.train.y[:100])
        rate = schedule(lottery).rate(1)
        assert masks[1] == pruner(lottery, model).prune(scores, masks[0], rate)


def test_seeds_differ_in_the_order_of_the_data_and_in_their_controls(search, tmp_path):
    run, _ = search(
        tmp_path, "seeds=[0, 1]", "lottery.levels=1", "train.steps=1", "controls.reinit=true"
    )
    assert run.finished_levels() == {
        (seed, branch, level)
        for seed in (0, 1)
        for branch, level in (("ticket", 0), ("ticket", 1), ("reinit", 1))
    }
    dense = [Ticket.load(run.ticket(seed, "ticket", 0)) for seed in (0, 1)]
    for key, array in dense[0].weights.items():  # those of the file, but for the seeds of dropout
        assert np.array_equal(array, dense[1].weights[key]) == ("seed" not in key)
    ends = [Snapshot.load(run.final(seed, "ticket", 0)) for seed in (0, 1)]
    controls = [Ticket.load(run.ticket(seed, "reinit", 1)) for seed in (0, 1)]
    for one, other in ((e.variables for e in ends), (c.weights for c in controls)):
        assert not np.array_equal(one["hidden/kernel"], other["hidden/kernel"])
    assert {row.seed for row in read_metrics(run.metrics)} == {0, 1}


def test_a_damaged_file_of_a_run_is_told_by_name(search, tmp_path):
    with pytest.raises(PulledPlugError):
        search(tmp_path, progress=PullsThePlug())
    for name in ("ticket/level_00.npz", "ticket/level_00.final.npz", "initial.npz"):
        path = tmp_path / "seeds/seed_0" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-200])
        with pytest.raises(TicketError, match=rf"{name}` is not a .* file of tfticket, or it is d"):
            search(tmp_path)
        path.write_bytes(whole)
    assert search(tmp_path)[0].finished(0, "ticket", 2)
