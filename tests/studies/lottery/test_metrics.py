"""Runs that are judged by something else than their accuracy: rules, numbers, pages, whole runs."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from drawn import panels
from parsed_page import Page
from tiny_recipe import recipe, tables

from tfticket.cli import main
from tfticket.data import load
from tfticket.errors import RecipeError
from tfticket.files import read_table, write_json
from tfticket.lottery.over_seeds import figures
from tfticket.metrics import read_metrics, to_csv
from tfticket.models import MODELS
from tfticket.recipe.parsing import parse, resolve
from tfticket.recipe.rates import metrics_of
from tfticket.studies.lottery.exporting import choose
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.summary import summarize
from tfticket.studies.lottery.tasks import REPORTED
from tfticket.studies.report import render

REGRESSION = (
    "data.name=friedman1", "model.name=mlp", "verdict.metric=mean_squared_error",
    "verdict.margin=0.01", "data.limit=100", "data.validation=60", "train.jit=false",
)  # fmt: skip
SEGMENTATION = (
    "data.name=shapes", "model.name=unet", "verdict.metric=mean_iou", "data.limit=100",
    "data.validation=60", "train.jit=false",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        (["verdict.metric=acuracy"], "verdict.metric", "Did you mean `accuracy`?"),
        (
            ["verdict.metric=mean_iou"],
            "verdict.metric",
            "digits, which has classes: accuracy, loss",
        ),
        (
            ["verdict.direction=min"],
            "verdict.direction",
            "must be 'max' for accuracy, since higher",
        ),
        (["verdict.direction=0"], "verdict.direction", "must be one of max, min. Received: 0."),
        (["verdict.margin=-0.1"], "verdict.margin", "at least 0. Received: -0.1."),
        (["verdict.margin=2.0"], "verdict.margin", "share of at least 0 and below 1"),
        (["verdict.metric=loss"], "verdict.margin", "must be given for loss"),
        (["train.loss=huber"], "train.loss", "must be cross_entropy: digits has classes."),
        (["model.name=unet"], "model.name", "must not be unet: digits has classes."),
        (["data.name=friedman1"], "verdict.metric", "friedman1, which has numbers"),
        (
            [*REGRESSION, "verdict.metric=mean_absolut_error"],
            "verdict.metric",
            "Did you mean `mean_absolute_error`?",
        ),
        (
            [*REGRESSION, "verdict.margin_is=relative", "verdict.margin=1.5"],
            "verdict.margin",
            "share of at least 0 and below 1",
        ),
        ([*REGRESSION, "train.label_smoothing=0.1"], "train.label_smoothing", "needs classes"),
        ([*REGRESSION, "connectivity={steps=[0]}"], "connectivity", "must have classes, since"),
        (
            [*REGRESSION, "expect=[{claim='a', measure='accuracy', value=1}]"],
            "expect[0].measure",
            "must be 'metric'",
        ),
        ([*REGRESSION, "train.loss=cross_entropy"], "train.loss", "friedman1 has numbers"),
        ([*SEGMENTATION, "model.name=conv2"], "model.name", "must be unet, or a .keras file"),
        ([*SEGMENTATION, "data.augment=flip_crop"], "data.augment", "must be none: shapes has"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_key(changes, key, message):
    with pytest.raises(RecipeError, match=rf"\n  {re.escape(key)}: .*{re.escape(message)}"):
        recipe(*changes)


def test_an_older_recipe_resolves_as_ever_and_a_new_one_comes_back():
    assert resolve(recipe())["verdict"] == {"margin": 0.002, "confidence": 0.95}
    assert "loss" not in resolve(recipe())["train"]
    given = recipe(*REGRESSION, "verdict.margin_is=relative", "train.loss=huber")
    resolved = json.loads(json.dumps(resolve(given)))
    assert resolved["verdict"] == {
        "margin": 0.01, "confidence": 0.95, "metric": "mean_squared_error", "margin_is": "relative",
    }  # fmt: skip
    assert parse(resolved) == given


def test_files_to_ship_are_chosen_by_accuracy_alone():
    raw = tables("data.name=friedman1", "model.name=mlp")
    raw |= {"kind": "edge", "search": [raw.pop("lottery")]}
    del raw["controls"]
    with pytest.raises(RecipeError, match=r"data\.name: must have classes, since the file"):
        parse(raw)


def test_networks_report_what_recipes_can_name():
    tasks = {"classes": "digits", "numbers": "friedman1", "pixels": "shapes"}
    for task, name in tasks.items():
        names = [metric.name for metric in metrics_of(load(name, limit=10))]
        assert [*names, "loss"] == list(REPORTED[task])
    assert "mlp" in MODELS


@pytest.fixture(scope="module")
def by_error(run, tmp_path_factory):
    """The synthetic run with 1 - accuracy in place of its accuracy, called a squared error."""
    path = tmp_path_factory.mktemp("error") / "lth_synthetic" / "default"
    shutil.copytree(run, path)
    rows = [
        replace(row, name=row.name.replace("accuracy", "mean_squared_error"), value=1 - row.value)
        if row.name.startswith("accuracy")
        else row
        for row in read_metrics(path / "metrics.csv")
    ]
    (path / "metrics.csv").write_text(to_csv(rows), encoding="utf-8")
    made = read_table(path / "recipe.json")
    made["verdict"] |= {"metric": "mean_squared_error"}
    for claim in made["expect"]:
        claim["claim"] = "What a paper says"
        claim["measure"] = claim["measure"].replace("accuracy", "metric")
    write_json(path / "recipe.json", made)
    return path


def test_an_error_in_place_of_an_accuracy_gives_the_same_verdicts(run, by_error):
    first, second = summarize(run), summarize(by_error)
    assert second.metric.direction == "min"
    assert second.criteria.accuracy_resolution == 0
    for ours, theirs in zip(second.verdicts, first.verdicts, strict=True):
        assert ours.verdict == theirs.verdict
        assert ours.more_accurate == theirs.more_accurate
        for name in ("mean", "lower", "upper"):
            wanted = getattr(theirs.against_dense.gain, name)
            assert getattr(ours.against_dense.gain, name) == pytest.approx(wanted, abs=1e-12)
    assert second.smallest_winning.level == first.smallest_winning.level
    assert choose(second) == choose(first)
    for ours, theirs in zip(second.expectations[:-1], first.expectations[:-1], strict=True):
        assert ours.verdict == theirs.verdict
        if theirs.estimate is not None:
            assert ours.estimate.mean == pytest.approx(theirs.estimate.mean)
    dense = second.expectations[-1]
    assert dense.estimate.mean == pytest.approx(1 - first.expectations[-1].estimate.mean)
    assert dense.measured.measure == "dense: test mean squared error"


def test_json_calls_values_by_the_name_of_the_metric(by_error):
    written = json.loads(json.dumps(summarize(by_error).to_dict(), allow_nan=False))
    level = written["levels"][0]
    assert {"mean_squared_error", "mean_squared_error_at_end"} < level.keys()
    assert not any("accuracy" in key for key in level)
    assert written["criteria"]["metric"] == "mean_squared_error"
    assert written["criteria"]["direction"] == "min"


def test_figures_of_an_error_have_its_unit_and_their_own_signs(run, by_error):
    first, second = summarize(run), summarize(by_error)
    (ours,), (theirs,) = (panels(figures.plane(found)) for found in (second, first))
    assert "gain in mean squared error against dense" in json.dumps(ours)
    assert "accuracy against dense (points)" in json.dumps(theirs)
    at_end = json.dumps(panels(figures.value_at_end(second)))
    assert '"test mean squared error"' in at_end
    assert "%)" not in at_end.replace("weights left (%)", "")


@pytest.mark.slow
def test_the_page_of_an_error_speaks_of_no_points_and_no_percent(by_error):
    page = Page(render(by_error).read_text(encoding="utf-8"))
    assert page.open == []
    for text in (
        "Gain in test mean squared error +",
        "positive is better",
        "the interval of the gain in mean squared error lies above \N{MINUS SIGN}0.002.",
        "A lower mean squared error is better, so gains are positive and losses negative.",
        "Validation mean squared error",
    ):
        assert text in page.text
    assert "points" not in page.text
    assert "accurate" not in page.text


@pytest.mark.slow
@pytest.mark.parametrize("changes", [REGRESSION, SEGMENTATION], ids=["numbers", "pixels"])
@pytest.mark.parametrize("score", ["magnitude", "snip"])
def test_each_score_finds_tickets_on_each_kind_of_labels(changes, score):
    study = LotteryStudy.load(recipe(*changes, f"lottery.score={score}", "data.batch_size=20"))
    model = study.model(0)
    found = model.evaluate(study.test(), verbose=0, return_dict=True)
    assert set(found) == {*REPORTED[study.recipe.data.task]}
    assert np.isfinite(list(found.values())).all()
    assert len(study.trials(model)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "label"),
    [
        ("lth_regression", "mean_squared_error", "mean squared error"),
        ("lth_segmentation", "mean_iou", "mean IoU"),
    ],
)
def test_a_recipe_runs_from_data_to_files_and_a_page(tmp_path, name, metric, label):
    assert main(["recipe", "run", name, "--smoke", "--runs", str(tmp_path)]) == 0
    run = tmp_path / name / "smoke"
    summary = summarize(run)
    assert summary.metric.name == metric
    assert {verdict.level for verdict in summary.verdicts} == {1, 2}
    assert len(list(run.glob("export/*.tflite"))) == 4
    assert f"{label}, early stop" in (run / "report" / "index.html").read_text(encoding="utf-8")
