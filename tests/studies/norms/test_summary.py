import json

from synthetic_runs import cell, write_norms

from tfticket.report.reading import read_run
from tfticket.studies.norms.summary import summarize_files


def test_the_whole_run(panels_run):
    summary = summarize_files(read_run(panels_run))
    assert summary.complete
    assert summary.missing == ()
    assert summary.seeds == (0, 1, 2)
    assert summary.reference == (0.1, 128)
    assert summary.first == 0.667
    assert len(summary.conditions) == 6
    assert summary.conditions[1].diverged == (1,)
    assert summary.condition(summary.conditions[1].condition) is summary.conditions[1]
    assert "over the first two thirds of training (3 seeds)" in summary.headline


def test_the_headline_is_of_the_main_condition(panels_run):
    summary = summarize_files(read_run(panels_run))
    main = next(c for c in summary.norms if c.condition.name == "batch-lr0.1-b128-dense")
    assert f"{main.measures['loss_band'].mean:.1f} times narrower" in summary.headline


def test_the_summary_is_strict_json(panels_run, batches_run, tickets_run):
    for run in (panels_run, batches_run, tickets_run):
        summary = summarize_files(read_run(run))
        written = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
        assert written["kind"] == "norms"
        assert written["headline"] == summary.headline
        assert len(written["branches"]) == len(summary.conditions)


def test_one_seed_is_strict_json_too(tmp_path):
    run = write_norms(tmp_path, [cell(norm, seeds=(0,)) for norm in ("none", "batch")])
    written = json.loads(json.dumps(summarize_files(read_run(run)).to_dict(), allow_nan=False))
    assert {claim["reading"] for claim in written["claims"]} == {"not significant", "noted"}
    assert written["norms"][0]["measures"]["beta"]["lower"] is None


def test_what_is_missing_is_said_branch_by_branch(tmp_path):
    cells = [cell("none", batch_size=2**power) for power in range(16)]
    unfinished = [(each["branch"], seed) for each in cells for seed in (1, 2)]
    run = write_norms(tmp_path, cells, complete=False, unfinished=unfinished, landscape=False)
    summary = summarize_files(read_run(run))
    assert summary.missing[0] == "none-lr0.1-b1-dense: seeds 1 to 2 not finished"
    assert summary.missing[-1] == "and 4 branches more"
    assert summary.headline.startswith(
        "From batches of 32768 to batches of 1, test accuracy changes by "
    )


def test_a_run_that_lacks_its_last_file_says_so(tmp_path):
    summary = summarize_files(read_run(write_norms(tmp_path, complete=False)))
    assert summary.missing == ("the run has not written its last file",)
