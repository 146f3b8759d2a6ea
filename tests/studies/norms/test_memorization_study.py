import numpy as np
import pytest
from tiny_norms import recipe

from tfticket.files import read_arrays
from tfticket.lottery.trial import TrialListener
from tfticket.metrics import read_metrics
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.norms.conditions import conditions
from tfticket.studies.norms.study import NormsStudy
from tfticket.studies.norms.tickets import Tickets
from tfticket.studies.norms.training import MemorizationProbe, outcome

pytestmark = pytest.mark.slow

NOISE = ("noise={kind='symmetric', rate=0.4, exact=true}", "last=2")
TICKETS = (
    'arms=[{norms=["batch"], subnetworks=["dense", "ticket", "random"]}]',
    "tickets={levels=1, rate=0.5}",
)
LENET = "model={name='lenet_300_100', width=0.1}"
CHANGES = (*NOISE, LENET, "train.steps=40", "train.evaluate_every=20")
ALONG = {"memorized", "recovered", "right_accuracy"}
ENDS = ("last", "mean", "by_validation", "at_end")


def run_in(path, *changes):
    given = recipe(*changes)
    with writing(RunDir(path), given, toml=b"") as run:
        runner.run(given, run)
    return given, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("runs") / "noise", *CHANGES, *TICKETS)


def rows_of(run, branch, split):
    return [r for r in read_metrics(run.metrics) if (r.branch, r.split) == (branch, split)]


def test_each_network_is_measured_at_each_evaluation(whole):
    _, run = whole
    for branch in ("batch-dense", "batch-ticket", "batch-random"):
        found = rows_of(run, branch, "memorization")
        assert {(row.step, row.name) for row in found} == {(s, n) for s in (20, 40) for n in ALONG}
        assert all(0 <= row.value <= 1 for row in found)
        assert [row.step for row in rows_of(run, branch, "clean")] == [20, 40]


def test_a_run_says_what_noise_came_out_beside_what_was_asked_for(whole):
    _, run = whole
    summary = {row.name: row.value for row in rows_of(run, "batch-ticket", "summary")}
    assert summary.keys() >= {f"{name}_{end}" for name in ALONG for end in ENDS}
    assert summary["memorization_seconds"] > 0
    header, arrays = read_arrays(run.ticket(0, "batch-ticket", 0), kind="cell")
    assert arrays["memorization/step"].tolist() == [20, 40]
    assert arrays["memorization/memorized"][-1] == summary["memorized_at_end"]
    assert arrays["memorization/clean_accuracy"].shape == (2,)
    assert header["noise"]["nominal_rate"] == 0.4
    assert header["noise"]["realized_rate"] == summary["noise_rate"] == pytest.approx(0.4, abs=0.01)
    test = {row.name for row in rows_of(run, "batch-ticket", "test")}
    assert test >= {f"accuracy_{end}" for end in ENDS}


def test_a_network_that_is_trained_for_long_memorizes(tmp_path):
    changes = ("train.steps=400", "train.evaluate_every=200", "train.learning_rate=0.05")
    _, run = run_in(tmp_path, *CHANGES, *changes, 'arms=[{norms=["batch"]}]')
    found = {row.name: row.value for row in rows_of(run, "batch", "summary")}
    assert found["memorized_at_end"] > 0.9
    assert found["recovered_at_end"] < 0.1
    assert found["right_accuracy_at_end"] > 0.9
    (last,) = [row.value for row in rows_of(run, "batch", "test") if row.name == "accuracy_at_end"]
    assert last < 0.9


def test_measuring_memorization_changes_no_bit_of_training():
    experiment = NormsStudy.load(recipe(*CHANGES, 'arms=[{norms=["batch"]}]'))
    (cell,) = conditions(experiment.recipe)
    histories, kernels = [], []
    for probed in (False, True):
        model, feed = experiment.model(0, cell), experiment.feed(0, cell)
        probe = MemorizationProbe(
            experiment, experiment.corruption(0), first_step=0, chunk_steps=20
        )
        history = model.fit(
            **feed.fit_arguments(),
            epochs=2,
            validation_data=experiment.validation(0),
            callbacks=[probe] if probed else [],
            verbose=0,
        )
        histories.append(history.history)
        kernels.append([v.numpy() for v in (*model.variables, *model.optimizer.variables)])
    assert len(probe.measured) == 2
    assert histories[0] == histories[1]
    for before, after in zip(*kernels, strict=True):
        np.testing.assert_array_equal(before, after)


def test_what_is_measured_is_what_the_network_predicts():
    experiment = NormsStudy.load(recipe(*CHANGES, 'arms=[{norms=["batch"]}]'))
    (cell,) = conditions(experiment.recipe)
    model, feed = experiment.model(0, cell), experiment.feed(0, cell)
    probe = MemorizationProbe(experiment, experiment.corruption(0), first_step=20, chunk_steps=20)
    model.fit(**feed.fit_arguments(), epochs=1, callbacks=[probe], verbose=0)
    ((step, found),) = probe.measured.items()
    assert step == 40
    train, corruption = experiment.data.train, experiment.corruption(0)
    x = train.x * experiment.data.scale + experiment.data.offset
    given = model.predict(x, verbose=0).argmax(axis=1) == corruption.given
    assert found["memorization"]["memorized"] == given[corruption.changed].mean()
    assert found["memorization"]["right_accuracy"] == given[~corruption.changed].mean()
    tested = model.evaluate(experiment.test(), verbose=0, return_dict=True)
    assert found["clean"]["accuracy"] == pytest.approx(tested["accuracy"], abs=1e-6)


class SearchedOn(TrialListener):
    def end(self, result):
        """Nothing to hear."""


def test_a_search_sees_only_the_labels_it_is_given():
    """The ticket is the one that a recipe without noise finds in data whose labels are wrong."""
    # Without a norm: batch statistics, which labels have no part in, would be taken again.
    tickets = [change.replace("batch", "none") for change in TICKETS]
    noisy = NormsStudy.load(recipe(*NOISE, LENET, *tickets))
    relabeled = NormsStudy(recipe(LENET, *tickets), noisy.given(0))
    clean = NormsStudy(recipe(LENET, *tickets), noisy.data)
    masks = []
    for experiment in (noisy, relabeled, clean):
        (_, cell, _) = conditions(experiment.recipe)
        masks.append(Tickets(experiment).start(0, cell, SearchedOn()).mask)
    assert masks[0] == masks[1]
    assert masks[0] != masks[2]


def test_a_network_that_diverges_has_no_outcome(tmp_path):
    arms = 'arms=[{norms=["none"], learning_rates=[1e9]}]'
    _, run = run_in(tmp_path, *CHANGES, arms)
    names = {row.name for row in rows_of(run, "none", "summary")}
    assert {"diverged", "noise_rate"} <= names
    assert not {"memorized_last", "memorized_at_end"} & names


def test_the_outcome_is_never_chosen_by_the_clean_accuracy():
    measured = {
        step: {"clean": {"accuracy": clean}, "memorization": {"memorized": memorized}}
        for step, clean, memorized in ((2, 0.9, 0.1), (4, 0.7, 0.2), (6, 0.6, 0.5), (8, 0.4, 0.8))
    }
    found = outcome(measured, {2: 0.4, 4: 0.6, 6: 0.6, 8: 0.5}, last=2)
    assert found["test"] == {
        "accuracy_last": pytest.approx(0.5),
        "accuracy_mean": pytest.approx(0.65),
        "accuracy_by_validation": 0.7,  # the first of the best
        "accuracy_at_end": 0.4,
    }
    assert found["summary"]["memorized_last"] == pytest.approx(0.65)
    assert found["summary"]["memorized_by_validation"] == 0.2
    assert outcome({}, {}, last=2) == {"test": {}, "summary": {}}


def test_a_plan_counts_what_predicting_takes():
    made = [NormsStudy.load(recipe(*noise, LENET)) for noise in ((), NOISE)]
    counted = [each.predicting(conditions(each.recipe)[0]) for each in made]
    examples = len(made[0].data.train) + len(made[0].data.test)
    assert counted == [0, pytest.approx(2 * examples / 16 / 3)]
