import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from exported_run import CHANGES, finish, rows, write_run
from tiny_recipe import recipe

from tfticket.errors import DataError, ExportError, RunError
from tfticket.export import read_provenance
from tfticket.files import write_json
from tfticket.lottery import Ticket
from tfticket.recipe.parsing import resolve
from tfticket.runner.exporting import export_run
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.sparsity import Mask
from tfticket.state import Snapshot, prunable_variables
from tfticket.studies.lottery.exporting import Exporter, choose
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.summary import summarize

pytestmark = pytest.mark.slow


class Heard(Silence):
    """Remembers what it was told."""

    def __init__(self):
        self.texts = []

    def message(self, text):
        self.texts.append(text)


def choice(path, *networks):
    """What is chosen from finished networks: (seed, level, accuracy, step, branch)."""
    path.mkdir(exist_ok=True)
    run = RunDir(path)
    write_json(run.recipe_json, resolve(recipe()))
    run.append_rows(row for network in networks for row in rows(*network))
    return choose(summarize(path))


def over_seeds(level, accuracy, step, branch="ticket"):
    return [(seed, level, accuracy + 1e-4 * seed, step + seed, branch) for seed in range(4)]


def test_the_smallest_winning_ticket_comes_first(tmp_path):
    chosen = choice(
        tmp_path,
        *over_seeds(0, 0.9, 200),
        *over_seeds(1, 0.92, 100),
        *over_seeds(2, 0.92, 100),
        *over_seeds(3, 0.9, 400),
        *over_seeds(4, 0.7, 400),
        *(network for level in (1, 2, 3, 4) for network in over_seeds(level, 0.6, 450, "reinit")),
    )
    assert (chosen.level, chosen.reason) == (2, "the smallest winning ticket")


def test_without_a_winning_ticket_the_smallest_that_matches(tmp_path):
    chosen = choice(
        tmp_path, *over_seeds(0, 0.9, 200), *over_seeds(1, 0.9, 400), *over_seeds(2, 0.7, 400)
    )
    assert chosen.level == 1
    assert "matches" in chosen.reason


def test_one_seed_shows_nothing_so_means_must_do(tmp_path):
    chosen = choice(tmp_path, (0, 0, 0.9, 9), (0, 1, 0.91, 9), (0, 2, 0.899, 9), (0, 3, 0.89, 9))
    assert chosen.level == 2
    assert "on average" in chosen.reason


def test_without_any_good_ticket_the_best_one(tmp_path):
    chosen = choice(tmp_path, (0, 0, 0.9, 9), (0, 1, 0.7, 9), (0, 2, 0.8, 9))
    assert chosen.level == 2
    assert "nearest" in chosen.reason


def test_without_tickets_the_dense_network_and_without_it_nothing(tmp_path):
    assert choice(tmp_path / "a", (0, 0, 0.9, 9)).level == 0
    with pytest.raises(RunError, match="finished dense network"):
        choice(tmp_path / "b", (0, 1, 0.9, 9))


@pytest.fixture
def experiment(seeded):
    return LotteryStudy.load(recipe(*CHANGES))


@pytest.fixture
def run(tmp_path, experiment):
    return write_run(tmp_path / "tiny", experiment)


def test_a_ticket_and_the_dense_network_are_exported(run):
    heard = Heard()
    reports = export_run(run.path, level=2, progress=heard)
    assert [report.path.name for report in reports] == [
        "seed_1_level_00.fp32.tflite",
        "seed_1_level_00.int8.tflite",
        "seed_1_level_02.int8.tflite",
    ]
    for report in reports:
        assert report.path.is_file()
        assert json.loads(report.report_path.read_text()) == json.loads(report.to_json())
    dense, *later = reports
    assert dense.latency is None
    assert all(report.latency.speedup > 0 for report in later)
    told = [text for text in heard.texts if "chance" not in text]
    assert [text.split(":")[0] for text in told] == [r.path.name for r in reports]


def test_the_files_hold_the_trained_ticket(run, experiment):
    report = export_run(run.path, seed=1, level=1, formats=["fp32"])[-1]
    mask = Ticket.load_mask(run.ticket(1, "ticket", 1))
    final = Snapshot.load(run.final(1, "ticket", 1))
    loaded = keras.saving.load_model(run.model(1, 1))
    for key, variable in prunable_variables(loaded).items():
        np.testing.assert_array_equal(variable.numpy(), final.variables[key])
        assert not np.any(variable.numpy()[~mask[key]])
    assert {c.key: c.zeros for c in report.zeros} == {
        key: int((~kept).sum()) for key, kept in mask.items()
    }
    test = experiment.data.test
    outputs = loaded.predict(test.x * experiment.data.scale + experiment.data.offset, verbose=0)
    assert report.verification.count == len(test)
    assert report.verification.accuracy == pytest.approx(np.mean(outputs.argmax(-1) == test.y))


def test_the_file_tells_where_it_is_from(run):
    report = export_run(run.path, seed=0, level=1, formats=["fp32"])[-1]
    told = read_provenance(report.path)
    assert told["mask_sha256"] == Ticket.load_mask(run.ticket(0, "ticket", 1)).sha256
    assert told["provenance"]["seed"] == 0
    assert told["provenance"]["level"] == 1
    assert told["provenance"]["ticket_sha256"] == Ticket.load(run.ticket(0, "ticket", 1)).sha256
    assert told["provenance"]["classes"] == [str(digit) for digit in range(10)]


def test_the_recipe_says_which_levels(run, experiment):
    asked = LotteryStudy(recipe(*CHANGES, "export.levels=[1, 2]"), experiment.data)
    exporter = Exporter(asked, run, Silence())
    names = [r.path.name for r in exporter.export(formats=["fp32"])]
    assert names == [
        "seed_0_level_00.fp32.tflite",
        "seed_0_level_01.fp32.tflite",
        "seed_1_level_00.fp32.tflite",
        "seed_1_level_02.fp32.tflite",
    ]
    heard = Heard()
    Exporter(experiment, run, heard).export(formats=["fp32"])
    assert heard.texts[0].startswith("Exporting level 1: no ticket is winning")


def test_one_file_that_fails_does_not_keep_the_others(run, experiment):
    final = Snapshot.load(run.final(1, "ticket", 2))
    key = next(iter(Ticket.load_mask(run.ticket(1, "ticket", 2))))
    final.variables[key][...] = np.where(final.variables[key] == 0, 0, np.nan)
    final.save(run.final(1, "ticket", 2))
    heard = Heard()
    with pytest.raises(ExportError, match=r"1 of 2 files failed.*must give finite"):
        export_run(run.path, level=2, formats=["fp32"], progress=heard)
    assert sorted(p.name for p in (run.path / "export").iterdir()) == [
        "seed_1_level_00.fp32.report.json",
        "seed_1_level_00.fp32.tflite",
    ]
    assert "finite" in heard.texts[-1]


def test_whatever_keeps_a_file_from_being_made_is_noted(run, experiment, monkeypatch):
    def broken(model, path):
        raise ValueError('The name "add"\nis used 2 times in the model.')

    monkeypatch.setattr("tfticket.studies.lottery.exporting.save_keras", broken)
    exporter = Exporter(experiment, run, heard := Heard())
    reports = exporter.export(level=2, formats=["fp32"])
    assert len(reports) == 2
    (failed,) = exporter.failures
    assert isinstance(failed, ExportError)
    said = 'ValueError: The name "add" is used 2 times in the model.'
    assert str(failed) == f"`seed_1_level_02.keras` could not be made ({said})."
    assert str(failed) in heard.texts

    def full(model, path):
        raise RunError("The disk is full.")

    monkeypatch.setattr("tfticket.studies.lottery.exporting.save_keras", full)
    with pytest.raises(RunError, match="full"):
        exporter.export(level=2, formats=["fp32"])


def test_a_network_at_chance_level_is_told(run, experiment):
    heard = Heard()  # nothing in this run was trained
    report = export_run(run.path, level=1, seed=0, formats=["fp32"], progress=heard)[-1]
    assert any("chance level" in text for text in heard.texts)
    assert any("chance level" in warning for warning in report.warnings)


def test_the_dense_network_is_not_asked_for_a_sparse_file_beside_a_ticket(run, experiment):
    ticket, final = run.ticket(1, "ticket", 2), Snapshot.load(run.final(1, "ticket", 2))
    found = Ticket.load(ticket)
    rng = np.random.default_rng(0)
    kept = {key: found.mask[key] & (rng.random(found.mask[key].shape) < 0.05) for key in found.mask}
    for key, mask in kept.items():
        final.variables[key][~mask] = 0
    final.save(run.final(1, "ticket", 2))
    replace(found, mask=Mask(kept)).save(ticket)
    reports = export_run(run.path, level=2, formats=["sparse_fc"])
    assert [(report.path.name, report.format) for report in reports] == [
        ("seed_1_level_00.fp32.tflite", "fp32"),
        ("seed_1_level_02.sparse_fc.tflite", "sparse_fc"),
    ]
    with pytest.raises(ExportError, match=r"1 of 2 files failed"):
        export_run(run.path, level=0, formats=["sparse_fc"])


def test_levels_that_are_not_finished_are_refused_with_those_that_are(run):
    with pytest.raises(RunError, match=r"level 7 of seed 0 or 1.*\(0, 1\), \(1, 0\)"):
        export_run(run.path, level=7)
    with pytest.raises(RunError, match="level 2 of seed 0"):
        export_run(run.path, level=2, seed=0)
    with pytest.raises(RunError, match=r"recipe\.json"):
        export_run(run.path / "seeds")


def test_other_data_are_refused(run, experiment):
    finish(run, experiment, 0, 2, 0.5, data_fingerprint="0123456789abcdef")
    with pytest.raises(DataError, match=r"other data than 'digits': .* 0123456789ab\.\.\."):
        export_run(run.path, level=2, seed=0, formats=["fp32"])
