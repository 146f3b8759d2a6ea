import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_labels import CLASSES, split_of, write_images

from tfticket.noise import CleanSplit, LabeledData, symmetric, write_label_report
from tfticket.noise.report import COLUMNS

pytestmark = pytest.mark.slow


@pytest.fixture
def found(tmp_path):
    whole = LabeledData.load(write_images(tmp_path / "images.npz"))
    labeled = whole.corrupted(symmetric(CLASSES, 0.1), seed=0, exact=True)
    split = split_of(labeled.given, whole.given)
    issues = split.label_issues()
    return labeled, split, write_label_report(tmp_path / "out", labeled, split, issues)


def test_each_wrong_label_is_a_row_with_what_it_should_be(found):
    labeled, _, files = found
    with files.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    ids = [int(row["id"]) for row in rows]
    assert sorted(ids) == np.flatnonzero(labeled.corruption.changed).tolist()
    for row in rows:
        place = int(row["id"])
        assert int(row["given"]) == labeled.given[place]
        assert int(row["suggested"]) == labeled.corruption.true[place]
        assert row["suggested_name"] == labeled.data.class_names[int(row["suggested"])]
        assert 0.5 < float(row["score"]) <= 1
        assert float(row["margin"]) == pytest.approx(0.02 - 0.96, abs=1e-6)
        assert row["is_issue"] == "true"


def test_every_example_is_a_row_the_most_suspicious_first(found):
    labeled, split, files = found
    with files.labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["id"]) for row in rows) == list(range(300))
    wrong = [labeled.corruption.changed[int(row["id"])] for row in rows]
    assert wrong == [True] * 30 + [False] * 270
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert not split.estimate.identifiable
    assert {row["expected_precision"] for row in rows} == {""}
    with files.table.open(newline="") as file:
        assert list(csv.DictReader(file)) == rows[:30]
    for row in rows[30:]:
        assert row["suggested"] == row["given"] == str(labeled.given[int(row["id"])])
        assert row["is_issue"] == "false"


def test_where_true_labels_are_known_the_list_is_judged(found, tmp_path):
    _, _, files = found
    summary = json.loads((files.table.parent / "summary.json").read_text())
    assert summary["detection"] == {"precision": 1, "recall": 1, "average_precision": 1}
    assert summary["data"] == f"npz:{tmp_path / 'images.npz'}"
    assert summary["labels"] is None


def test_a_name_of_a_class_is_no_formula_in_a_spreadsheet(found, tmp_path):
    labeled, split, _ = found
    names = tuple(f'=HYPERLINK("http://a/{k}")' for k in range(CLASSES))
    named = replace(labeled, data=replace(labeled.data, class_names=names))
    issues = split.label_issues()
    files = write_label_report(tmp_path / "named", named, split, issues)
    with files.table.open(newline="") as file:
        names = ("given_name", "suggested_name")
        cells = [row[name] for row in csv.DictReader(file) for name in names]
    assert len(cells) == 2 * len(issues)
    assert all(cell.startswith("'=HYPERLINK") for cell in cells)


def test_probabilities_of_all_examples_are_there_for_other_tools(found):
    _, split, files = found
    np.testing.assert_array_equal(np.load(files.probabilities), split.probabilities)
    assert CleanSplit.load(files.split).sha256 == split.sha256
    summary = json.loads((files.table.parent / "summary.json").read_text())
    assert (summary["examples"], summary["suspects"]) == (300, 30)
