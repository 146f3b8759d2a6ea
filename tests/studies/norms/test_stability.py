"""Curvature in a study: measured in a run, summarized, drawn."""

import numpy as np
import pytest
from synthetic_records import smoothness
from synthetic_runs import cell
from tiny_norms import recipe, tables

from tfticket.errors import RecipeError
from tfticket.norms.landscape import CurvatureRecord
from tfticket.recipe.parsing import parse
from tfticket.report.reading import read_run
from tfticket.runner import runner
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.norms.page import compose
from tfticket.studies.norms.stability import edges, ranks

STEPS = np.arange(0, 100, 10)


def record(sharpness, **fields):
    one, table = np.ones(len(STEPS)), np.asarray(sharpness, float)[:, None]
    names = ("products", "loss", "gradient_norm", "critical_sharpness", "trace", "trace_error",
             "batch_sharpness", "batch_sharpness_error")  # fmt: skip
    return CurvatureRecord(
        step=STEPS,
        names=np.array(["model/1"]),
        learning_rate=0.1 * one,
        **dict.fromkeys(CurvatureRecord.TABLES, table),
        **{**dict.fromkeys(names, one), **fields},
    )


def test_curvature_is_summed_up_in_units_of_the_edge_over_the_second_half():
    rising = np.arange(10.0)
    nothing = np.full(10, np.nan)
    found = edges(record(rising, critical_sharpness=2 * rising, batch_sharpness=nothing))
    # Steps from 45 on: 5 to 9, whose median is 7; the edge is 20.
    assert found["edge_sharpness"] == pytest.approx(7 / 20)
    assert found["edge_highest"] == pytest.approx(9 / 20)
    assert found["edge_critical"] == pytest.approx(14 / 20)
    assert np.isnan(found["edge_batch"])


def test_rank_correlations_are_over_the_steps_that_both_measured():
    landscape = smoothness(cell("none"), 0, STEPS[1:])
    width = landscape.loss_band[:, 1] - landscape.loss_band[:, 0]
    for sign in (1, -1):
        found = ranks(record([1e9, *(100 + sign * width**3)]), landscape)
        assert found["rank_loss_band"] == pytest.approx(sign)
        assert -1 < found["rank_beta"] < 1
    assert np.isnan(ranks(record(np.ones(10)), landscape)["rank_loss_band"])


def test_examples_must_make_up_a_batch():
    with pytest.raises(RecipeError, match=r"curvature\.examples: must be at least the batch size"):
        parse(tables("curvature={every=2, examples=15}"))


@pytest.mark.slow
def test_a_run_measures_draws_and_tabulates_it(tmp_path):
    measured = recipe(
        "landscape={every=2, multipliers={points=2}}",
        "curvature={every=2, examples=40, batches=1}",
        "train.steps=10",
        'arms=[{norms=["batch"]}]',
        "seeds=[0]",
    )
    with writing(RunDir(tmp_path / "run"), measured, toml=b"") as run:
        runner.run(measured, run, progress=Silence())
    contents = compose(read_run(tmp_path / "run"))
    study = contents.summary.study
    (condition,) = study.conditions
    (found,) = study.curvatures(condition).values()
    assert found.step.tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(found.edge, 2 / condition.learning_rate)
    assert (found.sharpness > 0).all()
    rows = study.of(condition)[0].curves[("curvature", "eigenvalue/model/1")]
    np.testing.assert_allclose(rows.values, found.sharpness)
    assert contents.values["edge"].rows
    assert contents.figures["edge"][1] is not None
    (first,) = contents.summary.results()["branches"]
    assert -1 <= first["measures"]["rank_beta"]["mean"] <= 1
