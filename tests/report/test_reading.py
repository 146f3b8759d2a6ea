import json

import numpy as np
import pytest

from tfticket.errors import RunError
from tfticket.metrics import Row, to_csv
from tfticket.report.reading import read_run


def test_a_run_is_read_whole(run):
    files = read_run(run)
    assert files.complete
    assert files.recipe["name"] == "lth_synthetic"
    assert files.table("train", "optimizer") == {"name": "adam"}
    assert files.table("no", "such", "table") == {}
    assert files.results[2, "reinit", 6]["density"][1] == pytest.approx(0.273, abs=0.02)
    curve = files.curves[0, "ticket", 3]["validation", "loss"]
    assert curve.steps.tolist() == list(range(200, 8001, 200))
    assert curve.values.shape == curve.steps.shape
    step, _ = files.results[0, "ticket", 3]["accuracy_at_early_stop"]
    assert step == curve.steps[curve.values.argmin()]
    assert files.connectivity is None
    assert files.exports == ()


def test_the_ticket_files_that_are_there(unfinished_run):
    tickets = read_run(unfinished_run).tickets()
    assert {seed: list(levels) for seed, levels in tickets.items()} == {
        0: [0, 1, 2, 3, 4],
        1: [0, 1, 2],
    }
    assert read_run(unfinished_run).tickets("reinit") == {}


def test_points_are_put_in_order(tmp_path):
    rows = [Row(0, "ticket", 0, step, 0.1, "train", "loss", step / 10) for step in (30, 10, 20)]
    (tmp_path / "metrics.csv").write_text(to_csv(rows))
    curve = read_run(tmp_path).curves[0, "ticket", 0]["train", "loss"]
    np.testing.assert_array_equal(curve.steps, [10, 20, 30])
    np.testing.assert_array_equal(curve.values, [1.0, 2.0, 3.0])


def test_a_run_that_has_just_begun(tmp_path):
    (tmp_path / "recipe.json").write_text('{"name": "new"}')
    files = read_run(tmp_path)
    assert (files.results, files.curves, files.complete) == ({}, {}, False)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="which has neither"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", json.dumps([1, 2])])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(RunError, match=r"recipe\.json` (is damaged|must hold)"):
        read_run(tmp_path)
