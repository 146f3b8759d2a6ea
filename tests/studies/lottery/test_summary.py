import json

import pytest
from synthetic_runs import write_networks

from tfticket.errors import RunError
from tfticket.lottery.verdict import Verdict
from tfticket.metrics import Row, to_csv
from tfticket.studies.lottery.summary import summarize


def test_the_whole_run(run):
    summary = summarize(run)
    assert summary.branches == ("ticket", "random", "reinit")
    assert summary.seeds == (0, 1, 2)
    assert summary.complete
    assert summary.missing == ()
    assert [level.level for level in summary.branch("ticket")] == list(range(7))
    assert [level.level for level in summary.branch("reinit")] == list(range(1, 7))
    assert [verdict.level for verdict in summary.verdicts] == list(range(1, 7))
    assert summary.level("dense", 3) is summary.level("ticket", 0) is summary.dense
    assert summary.level("reinit", 9) is None
    winning = summary.smallest_winning
    assert winning.verdict is Verdict.WINNING
    assert winning.density == min(v.density for v in summary.verdicts if v.family.winning)
    assert set(winning.against_controls) == {"random", "reinit"}
    assert summary.criteria.accuracy_resolution == 1e-4
    assert summary.criteria.looks == 1


def test_the_summary_is_strict_json(run):
    written = json.loads(json.dumps(summarize(run).to_dict(), allow_nan=False))
    assert written["smallest_winning"]["level"] == summarize(run).smallest_winning.level
    assert written["headline"].startswith("Smallest winning ticket")
    assert len(written["levels"]) == 7 + 6 + 6
    assert set(written["levels"][0]["accuracy"]["by_seed"]) == {"0", "1", "2"}


def test_one_seed_is_strict_json_too(tmp_path):
    networks = [(0, "ticket", 0, 0.90, 100), (0, "ticket", 1, 0.95, 50)]
    written = summarize(write_networks(tmp_path, networks)).to_dict()
    assert (
        json.loads(json.dumps(written, allow_nan=False))["verdicts"][0]["verdict"] == "can't tell"
    )


def test_the_recipe_sets_margin_and_confidence(tmp_path):
    networks = [
        (seed, "ticket", level, 0.9 - 0.01 * level + jitter, 100)
        for level in (0, 1)
        for seed, jitter in enumerate((0.0, 0.001, 0.002))
    ]
    strict = summarize(write_networks(tmp_path, networks))
    assert strict.verdicts[0].verdict is Verdict.WORSE
    recipe = {"name": "loose", "verdict": {"margin": 0.02, "confidence": 0.8}}
    loose = summarize(write_networks(tmp_path, networks, recipe=recipe))
    assert loose.verdicts[0].verdict is not Verdict.WORSE
    assert loose.verdicts[0].against_dense.gain.confidence == 0.8
    assert loose.name == "loose"


def test_unfinished_networks_are_left_out(tmp_path):
    write_networks(tmp_path, [(0, "ticket", 0, 0.9, 100)])
    row = Row(0, "ticket", 1, 50, 0.5, "validation", "loss", 0.3)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write(to_csv([row], header=False))
    summary = summarize(tmp_path)
    assert [level.level for level in summary.levels] == [0]
    assert summary.verdicts == ()


def test_an_early_stop_at_the_end_is_noted(tmp_path):
    networks = [(0, "ticket", 0, 0.9, 900), (0, "ticket", 1, 0.9, 300), (1, "ticket", 1, 0.9, 900)]
    summary = summarize(write_networks(tmp_path, networks))
    assert [level.still_falling for level in summary.levels] == [1, 1]
    (note,) = summary.notes
    assert note.startswith("In 2 of 3 networks the validation loss was lowest at the last")
    assert summary.to_dict()["notes"] == [note]


def winning_at_level_2(*, levels=(0, 1, 2)):
    accuracies = {0: 0.90, 1: 0.85, 2: 0.91}
    tickets = [
        (seed, "ticket", level, accuracies[level] + seed / 1000, 400 - 100 * level)
        for level in levels
        for seed in range(3)
    ]
    return [*tickets, *((seed, "reinit", 2, 0.7 + seed / 1000, 800) for seed in range(3))]


def test_a_win_below_a_worse_level_is_noted(tmp_path):
    summary = summarize(write_networks(tmp_path, winning_at_level_2()))
    assert summary.smallest_winning.level == 2
    (note,) = summary.notes
    assert note.startswith("Level 1 is worse than the dense network")
    assert summarize(write_networks(tmp_path, winning_at_level_2(levels=(0, 2)))).notes == ()


def test_a_level_whose_twin_is_missing_is_noted(tmp_path):
    networks = [n for n in winning_at_level_2(levels=(0, 2)) if n[1] == "ticket"]
    summary = summarize(write_networks(tmp_path, networks))
    assert summary.smallest_winning is None
    (note,) = summary.notes
    assert note.startswith("Level 2: the reinitialized control was not trained")


def test_seeds_that_were_added_are_paid_for(tmp_path):
    path = write_networks(tmp_path, winning_at_level_2(levels=(0, 2)))
    (path / "environment.json").write_text(json.dumps({"looks": [[0, 1], [0, 1, 2]]}))
    summary = summarize(path)
    assert summary.criteria.looks == 2
    assert summary.verdicts[0].against_dense.gain.confidence == pytest.approx(0.975)
    assert summary.dense.value.confidence == pytest.approx(0.975)
    assert "97.5 % intervals" in summary.notes[0]


@pytest.mark.parametrize("rewind", ["learning_rate", "none"])
def test_a_search_that_does_not_rewind_weights_finds_no_winner(tmp_path, rewind):
    recipe = {"name": "tuned", "lottery": {"rewind": rewind}}
    path = write_networks(tmp_path, winning_at_level_2(levels=(0, 2)), recipe=recipe)
    (found,) = summarize(path).verdicts
    assert found.lacking == "weights not rewound"


def test_controls_without_a_dense_network_give_no_verdict(tmp_path):
    summary = summarize(write_networks(tmp_path, [(0, "reinit", 1, 0.9, 100)]))
    assert summary.dense is None
    assert summary.verdicts == ()


def test_an_unfinished_run_says_what_is_missing(unfinished_run):
    summary = summarize(unfinished_run)
    assert not summary.complete
    assert summary.missing == (
        "ticket, seed 1: levels 3 to 4 not finished",
        "reinit, seed 1: levels 3 to 4 not finished",
    )


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError):
        summarize(tmp_path)
