import json
import shutil

import pytest

from tfticket.errors import RunError
from tfticket.report.reading import read_run
from tfticket.studies.report import render
from tfticket.studies.summaries import summarize

pytestmark = pytest.mark.slow


def test_the_recipe_says_which_summary_it_is(run, tmp_path):
    assert summarize(run).to_dict()["headline"].startswith("Smallest winning ticket")
    (tmp_path / "recipe.json").write_text(json.dumps({"kind": "norms", "name": "new"}))
    assert summarize(tmp_path).to_dict()["kind"] == "norms"


def test_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"kind": "alchemy"}))
    for read in (summarize, render):
        with pytest.raises(RunError, match="Received: 'alchemy'"):
            read(tmp_path)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("recipe.json", {"train": {"steps": "many", "optimizer": []}, "lottery": {"rate": "x"}}),
        ("recipe.json", {"verdict": {"confidence": [0.95]}}),
        ("environment.json", {"data": 3}),
    ],
)
def test_files_that_do_not_fit_together_are_told_in_one_error(run, tmp_path, file, change):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    content = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps({**content, **change}))
    before = sorted(copy.rglob("*"))
    with pytest.raises(RunError, match=r"don't fit together.* at \w+\.py:\d+\. Restore"):
        render(copy)
    assert sorted(copy.rglob("*")) == before


def test_a_folder_that_can_not_be_written_is_told_in_a_sentence(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "report").write_text("in the way")
    with pytest.raises(RunError, match=r"report/figures/.*\.png` could not be written"):
        render(copy)
    assert (copy / "report").read_text() == "in the way"


def test_no_name_in_a_file_leads_out_of_the_run(run):
    files = read_run(run)
    for name in ("../../elsewhere", "/etc", "..", ""):
        with pytest.raises(RunError, match="must name a file or folder, without `/`"):
            files.tickets(name)
    assert files.tickets("*") == {}
