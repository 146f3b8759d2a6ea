"""The tutorials of the site run, and what they show is right."""

from __future__ import annotations

import math
import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"


@pytest.fixture
def run(tmp_path, monkeypatch, seeded):
    """Runs a tutorial in this process, as the site does, and returns its names."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> dict[str, Any]:
        return runpy.run_path(str(TUTORIALS / name))

    return run


def test_a_study_of_your_own_model_takes_12_lines(run) -> None:
    name = "01_your_own_model.py"
    first = (TUTORIALS / name).read_text("utf-8").split("# %%")[1]
    code = [line for line in first.splitlines() if line and not line.startswith("#")]
    assert code[-1] == "print(found.summary())"
    assert len(code) - 1 <= 12

    found = run(name)["found"]
    assert found.seeds == (0, 1, 2, 3, 4)
    (verdict,) = found.verdicts
    assert verdict.density == pytest.approx(0.4)
    # Frankle & Carbin (2019), section 2: the ticket learns sooner than the dense network, and its
    # reinitialized twin learns later than the ticket.
    assert verdict.against_dense.speedup.lower > 1
    assert verdict.twin is not None
    assert verdict.twin.speedup.lower > 1
    kept = [int(array.sum()) for array in found.tickets[0, 1].mask.values()]
    assert kept == [40 * 300 * 4 // 10, 300 * 100 * 4 // 10, 100 * 10 * 4 // 10]


def test_controls_of_equal_size_are_behind_the_ticket(run) -> None:
    found = run("02_initialization.py")["found"]
    assert [verdict.level for verdict in found.verdicts] == [1, 2]
    for verdict in found.verdicts:
        assert set(verdict.against_controls) == {"reinit", "shuffle", "random"}
        for branch in found.branches:
            density = found.level(branch, verdict.level).density
            assert density == pytest.approx(0.4**verdict.level, abs=1e-3)
    # Frankle & Carbin (2019), section 2: reinitialized, what wins learns slower and less.
    twin = found.verdicts[-1].twin
    assert twin is not None
    assert twin.gain.lower > 0


def test_networks_with_other_norms_are_measured_alike(run) -> None:
    names = run("03_swap_a_norm.py")
    for kind, (model, report) in names["swapped"].items():
        assert [(layer.old, layer.new) for layer in report.layers] == [("batch", kind)] * 2
        record = names["records"][kind]
        steps = 6 * math.ceil(len(names["x"]) / 64)
        assert record.step.tolist() == list(range(0, steps, 10))
        # Before training, ten classes are about equally probable; afterwards they are learned.
        assert record.loss[0] == pytest.approx(math.log(10), abs=0.5)
        assert np.mean(model.predict(names["x"], verbose=0).argmax(1) == names["y"]) > 0.5
        assert (record.loss_band[:, 0] <= record.loss_band[:, 1]).all()


def test_issues_are_wrong_labels_far_more_often_than_by_chance(run) -> None:
    names = run("04_wrong_labels.py")
    issues, corruption = names["issues"], names["labeled"].corruption
    wrong = set(np.flatnonzero(corruption.true != corruption.given).tolist())
    assert corruption.realized_rate == pytest.approx(0.1, abs=1 / len(corruption.true))
    found = wrong & set(issues.ids.tolist())
    assert names["precision"] == len(found) / len(issues) > 0.8
    assert names["recall"] == len(found) / len(wrong) > 0.8
    assert names["split"].estimate.low <= 0.1 <= names["split"].estimate.high


def test_wrong_labels_are_estimated_and_not_memorized(run) -> None:
    names = run("05_train_on_wrong_labels.py")
    wrong, split = names["given"] != names["true"], names["split"]
    assert split.estimate.low <= wrong.mean() <= split.estimate.high
    assert wrong[split.clean].mean() < wrong.mean() < wrong[split.removed].mean()
    last = {name: accuracy[-1] for name, accuracy in names["curves"].items()}
    assert last["co-teaching"] > last["cross-entropy"] + 0.05  # Han et al. (2018), table 3


def test_the_file_of_the_pruned_network_is_smaller_and_as_good_as_it(run) -> None:
    names = run("06_into_a_device.py")
    dense, pruned = names["made"]["dense"].report, names["made"]["pruned"].report
    assert pruned.path.read_bytes()[4:8] == b"TFL3"
    assert pruned.size_bytes == pruned.path.stat().st_size < dense.size_bytes
    # int8 takes a byte for a weight: the file has room for those that were kept, and no more
    # than for all.
    assert names["pruning"].mask.kept < pruned.size_bytes < names["pruning"].mask.total
    assert pruned.input.dtype == pruned.output.dtype == "int8"
    for report in (dense, pruned):
        found = report.verification
        assert found.accuracy == pytest.approx(found.keras_accuracy, abs=0.02)
    source = next(p for p in names["made"]["pruned"].sources if p.suffix == ".c").read_text()
    assert len(re.findall(r"0x[0-9a-f]{2}\b", source)) == pruned.size_bytes
