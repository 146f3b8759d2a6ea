"""One file for a target, from a run or from a model file."""

import numpy as np
import pytest
from exported_run import CHANGES, write_run
from helpers import mlp
from tiny_recipe import recipe

from tfticket.errors import ModelError, RunError
from tfticket.export import read_provenance, save_keras
from tfticket.lottery.ticket import Ticket
from tfticket.runner.exporting import export_file, export_run_for, place_of
from tfticket.studies.lottery.study import LotteryStudy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "tiny", LotteryStudy.load(recipe(*CHANGES)))


def test_the_best_file_of_a_ticket_is_written_into_its_run(run):
    made = export_run_for(run.path, "phone", level=2, formats=["int8", "fp32"], margin=0.9)
    assert made.report.path == run.exported(1, 2, ".phone.tflite")
    about = read_provenance(made.report.path)
    ticket = Ticket.load(run.ticket(1, "ticket", 2))
    assert about["mask_sha256"] == ticket.mask.sha256
    assert about["provenance"]["ticket_sha256"] == ticket.sha256
    assert (about["provenance"]["seed"], about["provenance"]["level"]) == (1, 2)


def test_formats_are_chosen_by_validation_data(run):
    experiment = LotteryStudy.load(recipe(*CHANGES))
    made = export_run_for(run.path, "smallest", level=1, formats=["fp32"], margin=0.9)
    model = experiment.model(0)
    for key, array in Ticket.load(run.ticket(0, "ticket", 1)).weights.items():
        dict(zip([v.path for v in model.weights], model.weights, strict=True))[f"{key}"].assign(
            array
        )
    x = experiment.data.inputs(experiment.data.validation)
    found = np.mean(np.asarray(model(x)).argmax(-1) == experiment.data.validation.y)
    assert made.comparison.baseline.accuracy == pytest.approx(found, abs=1e-6)


def test_a_ticket_file_of_a_run_knows_its_place(run, tmp_path):
    found, seed, level = place_of(run.ticket(1, "ticket", 2))
    assert (found.resolve(), seed, level) == (run.path.resolve(), 1, 2)
    with pytest.raises(RunError, match="lies in no run"):
        place_of(tmp_path / "level_02.npz")
    with pytest.raises(RunError, match="a control"):
        place_of(run.ticket(1, "reinit", 2))


def test_levels_that_are_not_finished_are_refused(run):
    with pytest.raises(RunError, match="must be finished"):
        export_run_for(run.path, "phone", level=2, seed=0)


def test_a_model_file_is_exported_without_data_too(tmp_path):
    path = save_keras(mlp(), tmp_path / "net.keras")
    made = export_file(path, tmp_path / "net.tflite", "smallest", formats=["fp16"])
    assert made.report.verification.inputs == "random"
    assert read_provenance(made.report.path)["provenance"] == {"data": None, "model": "net.keras"}


def test_a_model_of_a_run_is_fed_as_in_the_run(run, tmp_path):
    experiment = LotteryStudy.load(recipe(*CHANGES))
    path = save_keras(experiment.model(0), run.model(0, 1))
    name = experiment.data.name
    options = {"data_name": name, "formats": ["fp32"], "margin": 0.9}
    about = read_provenance(
        export_file(path, tmp_path / "a.tflite", "smallest", **options).report.path
    )
    assert about["feeding"]["scale"] == [float(experiment.data.scale)] == [1 / 16]
    told = export_file(path, tmp_path / "a.tflite", "smallest", normalize="none", **options)
    assert read_provenance(told.report.path)["feeding"]["scale"] == [1.0]
    elsewhere = save_keras(experiment.model(0), tmp_path / path.name)
    told = export_file(elsewhere, tmp_path / "b.tflite", "smallest", **options)
    assert read_provenance(told.report.path)["feeding"]["scale"] == [1.0]


def test_a_model_must_fit_the_data(tmp_path):
    path = save_keras(mlp(), tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"digits|shape"):
        export_file(path, tmp_path / "net.tflite", "phone", data_name="digits")
    with pytest.raises(ModelError, match=r"linear|shape"):
        export_file(path, tmp_path / "net.tflite", "phone", data_name="linear")
    assert not (tmp_path / "net.tflite").exists()
