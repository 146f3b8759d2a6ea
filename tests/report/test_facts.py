import json
from dataclasses import replace

import pytest
from synthetic_runs import write_lottery

from tfticket.metrics import read_metrics, to_csv
from tfticket.report.facts import chance_note
from tfticket.report.reading import read_run
from tfticket.studies import report

pytestmark = pytest.mark.slow


def with_accuracies(path, wrong):
    """A run whose test accuracies are replaced for some (level, branch)."""
    write_lottery(path, seeds=(0, 1, 2), levels=3)
    rows = [
        replace(row, value=0.1)
        if row.split == "test" and "accuracy" in row.name and (row.level, row.branch) in wrong
        else row
        for row in read_metrics(path / "metrics.csv")
    ]
    (path / "metrics.csv").write_text(to_csv(rows))
    environment = json.loads((path / "environment.json").read_text())
    environment["data"] |= {"test": 1000, "most_common": 0.1}
    (path / "environment.json").write_text(json.dumps(environment))
    return path


def test_a_page_names_the_networks_at_chance_level(tmp_path):
    path = with_accuracies(tmp_path / "run", {(0, "ticket"), (2, "reinit")})
    note = chance_note(read_run(path))
    assert "the dense network (seeds 0 to 2); reinit at level 2 (seeds 0 to 2)." in note
    assert "10.0" in note
    text = report.render(path).read_text(encoding="utf-8")
    assert note.partition(" Such")[0] in text


def test_a_page_without_such_networks_says_nothing(tmp_path):
    path = with_accuracies(tmp_path / "run", set())
    assert chance_note(read_run(path)) == ""
    assert "chance level" not in report.render(path).read_text(encoding="utf-8")
    write_lottery(tmp_path / "older")
    assert chance_note(read_run(tmp_path / "older")) == ""
