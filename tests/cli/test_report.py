import json
from pathlib import Path

import pytest
import synthetic_run

from tfticket.cli import main


@pytest.fixture
def run(tmp_path):
    return synthetic_run.write_run(tmp_path / "lth_synthetic" / "default", seeds=(0, 1), levels=2)


def test_report_makes_the_page_and_prints_where_it_is(run, capsys):
    assert main(["report", str(run)]) == 0
    page = Path(capsys.readouterr().out.removesuffix("\n"))
    assert page.is_relative_to(run / "report")
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")


def test_report_as_json_writes_nothing(run, capsys):
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "lth_synthetic"
    assert not (run / "report").exists()


def test_what_is_no_run_is_told(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "Error: A run directory holds" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nowhere")]) == 2
