import json

import pytest

from tfticket.report.reading import read_run
from tfticket.studies.lottery.summary import missing

RECIPE = {
    "seeds": [0, 3],
    "lottery": {"levels": 3},
    "controls": {"reinit": 2, "shuffle": False, "random": True, "levels": [2]},
}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    return read_run(tmp_path)


def test_nothing_is_done_yet(files):
    assert missing(files, []) == (
        "ticket, seed 0: levels 0 to 3 not finished",
        "ticket, seed 3: levels 0 to 3 not finished",
        "reinit, seed 0: level 2 not finished",
        "reinit, seed 3: level 2 not finished",
        "random, seed 0: level 2 not finished",
        "random, seed 3: level 2 not finished",
    )


def test_what_is_done_is_not_missing(files):
    done = [("ticket", level, {0, 3}) for level in range(4)]
    done += [("reinit", 2, {0}), ("random", 2, {0, 3})]
    assert missing(files, done) == ("reinit, seed 3: level 2 not finished",)


def test_all_levels_and_yet_no_last_file(files):
    done = [
        (branch, level, {0, 3}) for branch in ("ticket", "reinit", "random") for level in range(4)
    ]
    assert missing(files, done) == ("the run has not written its last file",)


def test_a_complete_run_lacks_nothing(files):
    (files.path / "COMPLETE").write_text("{}")
    assert missing(read_run(files.path), []) == ()
