"""A tiny study from recipe to page: the same networks as searches of their own, side by side."""

import json

import numpy as np
import pytest

from tfticket.channels.matching import match_weights
from tfticket.errors import RecipeError
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import read_metrics
from tfticket.recipe.parsing import parse
from tfticket.runner import runner
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.state import Snapshot
from tfticket.studies import render, summarize
from tfticket.studies.variants.study import VariantsStudy

pytestmark = pytest.mark.slow

CLAIM = {
    "claim": "A matched mask is as accurate as the mask as it is",
    "measure": "gain",
    "branch": "aligned",
    "against": "reinit",
    "width": 0.1,
    "density": 0.5,
    "at_least": 0.0,
}
RECIPE = {
    "name": "tiny",
    "title": "Tiny",
    "kind": "widths",
    "seeds": [0, 1],
    "widths": [0.05, 0.1],
    "data": {"name": "digits", "validation": 0.15, "batch_size": 60},
    "model": {"name": "lenet_300_100"},
    "train": {
        "optimizer": {"name": "adam"},
        "learning_rate": 2e-3,
        "steps": 40,
        "evaluate_every": 20,
        "jit": False,
    },
    "lottery": {"rate": 0.5, "levels": 1},
    "controls": {"aligned": True, "trained_signs": True},
    "expect": [CLAIM],
}
BRANCHES = ("ticket", "reinit", "aligned", "trained_signs")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = parse(RECIPE)
    done = RunDir(tmp_path_factory.mktemp("runs") / "tiny")
    with writing(done, recipe, toml=b""):
        runner.run(recipe, done)
    return done


def accuracies(run, branch, level=1):
    return {
        row.seed: row.value
        for row in read_metrics(run.metrics)
        if (row.branch, row.level, row.name) == (branch, level, "accuracy_at_early_stop")
    }


def test_every_width_has_every_network(run):
    assert run.complete
    assert {tuple(trial) for trial in run.finished_levels()} == {
        (seed, f"width{width}-{branch}", level)
        for seed in (0, 1)
        for width in (0.05, 0.1)
        for branch in BRANCHES
        for level in ((0, 1) if branch in ("ticket", "aligned") else (1,))
    }


def test_the_matched_network_begins_with_permuted_new_weights(run):
    ours, new = (
        Snapshot.load(run.final(1, f"width0.1-{name}", 0)).variables
        for name in ("ticket", "aligned")
    )
    dense, start = (Ticket.load(run.ticket(1, "width0.1-aligned", level)) for level in (0, 1))
    model = VariantsStudy.load(parse(RECIPE)).searches["width0.1"].network()
    moved = match_weights(model, ours, new, seed=1).apply(dense.weights)
    mask = Ticket.load(run.ticket(1, "width0.1-ticket", 1)).mask
    assert start.mask == mask
    for key, array in mask.apply(moved).items():
        np.testing.assert_array_equal(start.weights[key], array)
    trained = Snapshot.load(run.final(1, "width0.1-ticket", 1)).variables
    signed = Ticket.load(run.ticket(1, "width0.1-trained_signs", 1)).weights
    for key, kept in mask.items():
        np.testing.assert_array_equal(np.sign(signed[key]), np.sign(trained[key]) * kept)


def test_parts_of_a_search_leave_what_the_whole_leaves(run, tmp_path):
    study, parts = VariantsStudy.load(parse(RECIPE)), RunDir(tmp_path / "parts")
    task = study.tasks()[0]
    assert [part.name for part in task.parts] == [
        "width0.05-seed 0",
        *(f"width0.05-seed 0, width0.05-{name}" for name in ("aligned", "reinit", "trained_signs")),
    ]
    with writing(parts, parse(RECIPE), toml=b""):
        for part in task.parts[:2]:
            study.do(part, parts, Silence())
    for level in (0, 1):
        whole, part = (
            Ticket.load(each.ticket(0, "width0.05-aligned", level)).sha256 for each in (run, parts)
        )
        assert whole == part


def test_the_page_and_its_numbers(run):
    summary = summarize(run.path)
    assert summary.missing == ()
    ours, twins = (accuracies(run, f"width0.1-{name}") for name in ("aligned", "reinit"))
    gain = np.mean([ours[seed] - twins[seed] for seed in (0, 1)])
    (claim,) = summary.expectations
    assert claim.estimate.mean == pytest.approx(gain)
    assert claim.measured.measure.startswith("width 0.1, aligned: test accuracy against reinit")
    assert summary.gains(0.1, 1)["aligned"].mean == pytest.approx(gain)
    page = render(run.path).read_text()
    assert "figure-gains" in page
    assert "Networks of width 0.05" in page
    found = json.loads((run.report / "summary.json").read_text())
    rows = {(row["width"], row["branch"]): row["mean"] for row in found["gains_over_reinit"]}
    assert rows[0.1, "aligned"] == pytest.approx(gain)
    assert set(rows) == {(w, b) for w in (0.05, 0.1) for b in BRANCHES if b != "reinit"}
    assert [(each["width"], each["level"]) for each in found["verdicts"]] == [(0.05, 1), (0.1, 1)]
    assert len(found["levels"]) == 2 * 6


def test_an_unfinished_run_says_what_it_lacks(run, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "recipe.json").write_bytes(run.recipe_json.read_bytes())
    summary = summarize(copy)
    assert summary.missing[0] == "width 0.05: ticket, seed 0: levels 0 to 1 not finished"
    assert summary.headline == "Of 1 expectation: 1 not measured."
    render(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": []}, "widths"),
        ({"widths": [1, 1.0]}, "widths"),
        ({"widths": [0]}, "a number greater than 0"),
        ({"model": {"name": "lenet_300_100", "width": 2}}, "model.width: is given by `widths`"),
        ({"model": {"file": "mine.keras"}}, "model.file: has one width"),
        ({"expect": [CLAIM | {"width": 2}]}, "one of 0.05, 0.1"),
        ({"controls": {"levels": [2]}}, "must not go beyond lottery.levels = 1"),
    ],
)
def test_what_does_not_fit_together(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse({**RECIPE, **changes})
