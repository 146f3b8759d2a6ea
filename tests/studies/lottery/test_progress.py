import pytest
from synthetic_runs import write_networks

from tfticket.studies.lottery.summary import summarize

RECIPE = {
    "seeds": [0, 3],
    "lottery": {"levels": 3},
    "controls": {"reinit": 2, "shuffle": False, "random": True, "levels": [2]},
}


@pytest.fixture
def missing(tmp_path):
    def missing(done):
        networks = [
            (seed, branch, level, 0.9, 100) for branch, level, seeds in done for seed in seeds
        ]
        return summarize(write_networks(tmp_path, networks, recipe=RECIPE)).missing

    return missing


def test_nothing_is_done_yet(missing):
    assert missing([]) == (
        "ticket, seed 0: levels 0 to 3 not finished",
        "ticket, seed 3: levels 0 to 3 not finished",
        "reinit, seed 0: level 2 not finished",
        "reinit, seed 3: level 2 not finished",
        "random, seed 0: level 2 not finished",
        "random, seed 3: level 2 not finished",
    )


def test_what_is_done_is_not_missing(missing):
    done = [("ticket", level, {0, 3}) for level in range(4)]
    done += [("reinit", 2, {0}), ("random", 2, {0, 3})]
    assert missing(done) == ("reinit, seed 3: level 2 not finished",)


def test_all_levels_and_yet_no_last_file(missing):
    done = [
        (branch, level, {0, 3}) for branch in ("ticket", "reinit", "random") for level in range(4)
    ]
    assert missing(done) == ("the run has not written its last file",)


def test_a_complete_run_lacks_nothing(tmp_path, missing):
    (tmp_path / "COMPLETE").write_text("{}")
    assert missing([]) == ()
