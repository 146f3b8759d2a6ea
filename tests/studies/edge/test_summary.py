import json

import pytest

from tfticket.display.words import MINUS
from tfticket.files import write_json
from tfticket.report.expectation import Verdict, expectation_table
from tfticket.report.reading import read_run
from tfticket.studies.edge.summary import summarize_files


def row(name, *, smaller, test, speedup=2.0, failure=None):
    return {"name": name, "smaller": smaller, "smaller_gzip": smaller / 2, "speedup": speedup,
            "test_accuracy": test, "failure": failure}  # fmt: skip


def replicate(seed, *, smaller, test, dense=0.98, speedup=2.0, failure=None):
    return {"seed": seed, "failure": failure, "smaller": smaller, "speedup": speedup,
            "test_accuracy": test, "dense_test_accuracy": dense}  # fmt: skip


REPLICATES = [
    replicate(0, smaller=8.0, test=0.975),
    replicate(1, smaller=6.0, test=0.990, speedup=3.0),
    replicate(2, smaller=7.0, test=0.965),
    replicate(3, smaller=0.0, test=0.0, failure="no file"),
]


@pytest.fixture
def summarized(tmp_path):
    def summarized(*expect, replicates=REPLICATES):
        write_json(tmp_path / "recipe.json", {"kind": "edge", "name": "e", "expect": list(expect)})
        rows = [
            row("dense.fp32", smaller=1.0, test=0.98, speedup=1.0),
            row("channel.int8", smaller=8.0, test=0.975),
            row("other.int8", smaller=9.0, test=None),
            row("broken.int4", smaller=99.0, test=0.99, failure="does not run"),
        ]
        content = {"rows": rows, "choice": {"name": "channel.int8"}, "replicates": replicates,
                   "host": "a CPU", "seed": 0, "margin": 0.005, "files": []}  # fmt: skip
        write_json(tmp_path / "edge.json", content)
        (tmp_path / "COMPLETE").write_text("{}")
        return summarize_files(read_run(tmp_path))

    return summarized


@pytest.mark.parametrize(
    ("measure", "bound", "verdict", "worst"),
    [
        ("smaller", {"at_least": 6.0}, Verdict.MET, 6.0),
        ("smaller", {"at_least": 6.5}, Verdict.NOT_MET, 6.0),
        ("faster", {"at_least": 2.0}, Verdict.MET, 2.0),
        ("faster", {"at_most": 2.5}, Verdict.NOT_MET, 3.0),
        ("loss", {"at_most": 0.016}, Verdict.MET, 0.015),
        ("loss", {"at_most": 0.01}, Verdict.NOT_MET, 0.015),
    ],
)
def test_the_worst_seed_decides(summarized, measure, bound, verdict, worst):
    (found,) = summarized({"claim": "c", "measure": measure, **bound}).expectations
    assert found.verdict is verdict
    assert found.estimate.seeds == 3  # the fourth has no file
    side = found.estimate.upper if "at_most" in bound else found.estimate.lower
    assert side == pytest.approx(worst)


def test_another_file_is_read_off_its_row(summarized):
    named = {"claim": "c", "at_least": 4.0, "network": "other.int8"}
    size, gzip, lost, broken = summarized(
        named | {"measure": "smaller"},
        named | {"measure": "smaller_gzip", "network": None},
        named | {"measure": "loss"},
        named | {"measure": "faster", "network": "broken.int4"},
    ).expectations
    assert (size.estimate.mean, size.estimate.seeds, size.verdict) == (9.0, 1, Verdict.MET)
    # Replicates aren't compressed: the first seed alone counts.
    assert (gzip.estimate.mean, gzip.estimate.seeds, gzip.verdict) == (4.0, 1, Verdict.MET)
    assert lost.verdict is broken.verdict is Verdict.NOT_MEASURED
    assert broken.remark == "there is no such file"


def test_a_loss_is_negative_everywhere(summarized):
    summary = summarized({"claim": "c", "measure": "loss", "at_most": 0.016})
    assert summary.headline == (
        "Ship channel.int8: 8.0 times smaller and 2.0 times as fast as the dense fp32 file on a "
        f"CPU. It changes test accuracy by {MINUS}0.33 points ({MINUS}1.50 to +1.00), over 3 "
        "seeds. Of 1 expectation: 1 met."
    )
    (cells,) = expectation_table(summary.expectations).rows
    assert [cell.text for cell in cells[2:5]] == [f"≥ {MINUS}1.60", f"{MINUS}0.33", "3"]
    assert cells[3].detail == f"{MINUS}1.50 to +1.00"
    written = json.loads(json.dumps(summary.to_dict(), allow_nan=False))["claims"][0]
    assert written["network"] == "channel.int8"
    assert written["ours"]["max"] == pytest.approx(0.015)


def test_without_a_table_nothing_is_expected(tmp_path):
    write_json(tmp_path / "recipe.json", {"kind": "edge", "expect": [{"claim": "c"}]})
    summary = summarize_files(read_run(tmp_path))
    assert summary.expectations == ()
    assert summary.headline == "No file is chosen yet."
    assert summary.missing == ("the table of files is not made yet",)
