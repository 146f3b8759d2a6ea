"""`study` from Python, against what a recipe gives."""

import keras
import numpy as np
import pandas
import pytest
from tiny_recipe import recipe

from tfticket import data, models
from tfticket.errors import DataError, ModelError, RunError
from tfticket.lottery import StudyResult, Ticket, study
from tfticket.lottery.verdict import Verdict
from tfticket.recipe.rates import compile_model
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.summary import summarize

pytestmark = pytest.mark.slow

CHANGES = (
    "train.steps=20",
    "train.evaluate_every=10",
    "lottery.levels=2",
    "lottery.rate=0.4",
    "lottery.pruner=global",
    "controls.reinit=true",
    "model.width=0.1",
    "data.limit=300",
    "data.batch_size=50",
)
LIKE_IT = {
    "steps": 20,
    "evaluate_every": 10,
    "levels": 2,
    "schedule": 0.4,
    "pruner": "global",
    "batch_size": 50,
    "verbose": 0,
}


@pytest.fixture(scope="module")
def tiny():
    """The study of a small recipe."""
    return LotteryStudy.load(recipe(*CHANGES))


def builder(tiny):
    """Builds the network of the recipe as a user would."""

    def build(seed):
        shape, classes = tiny.data.input_shape, tiny.data.num_classes
        model = models.build("lenet_300_100", shape, classes, width=0.1, seed=seed)
        train = tiny.recipe.train
        compile_model(model, train, rate=train.learning_rate, steps_per_execution=1)
        return model

    return build


@pytest.fixture(scope="module")
def found(tiny):
    return study(builder(tiny), tiny.data, seeds=2, **LIKE_IT)


def small():
    """64-8-10 units."""
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    return model


def pairs():
    digits = data.load("digits", limit=300)
    splits = (digits.train, digits.validation, digits.test)
    return tuple((split.x.reshape(len(split), -1)[:150] / 16, split.y[:150]) for split in splits)


QUICK = {"levels": 1, "steps": 8, "batch_size": 32, "verbose": 0}


def test_a_study_gives_the_bits_and_the_words_of_the_recipe(tiny, found, tmp_path):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    for task in tiny.tasks():
        tiny.do(task, run, Silence())
    theirs = summarize(run.path)
    assert found.seeds == theirs.seeds == (0, 1)
    for ours, level in zip(found.levels, theirs.levels, strict=True):
        assert (ours.branch, ours.level, ours.value) == (
            level.branch,
            level.level,
            level.value,
        )
    for seed in (0, 1):
        for level in range(3):
            ticket = Ticket.load(run.ticket(seed, "ticket", level))
            assert found.tickets[seed, level].sha256 == ticket.sha256
    # The recipe's run counts its test examples from a file that a whole run writes.
    assert [v.verdict for v in found.verdicts] == [v.verdict for v in theirs.verdicts]
    assert found.summary() == theirs.headline


def test_a_result_shows_itself(found, tmp_path):
    assert isinstance(found, StudyResult)
    rows = found.to_rows()
    assert [(row["branch"], row["level"]) for row in rows] == [
        ("ticket", 0), ("ticket", 1), ("ticket", 2), ("reinit", 1), ("reinit", 2),
    ]  # fmt: skip
    frame = found.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.verdict.dropna().tolist() == [str(v.verdict) for v in found.verdicts]
    np.testing.assert_allclose(frame.gain[1], frame.accuracy[1] - frame.accuracy[0], atol=1e-12)
    assert found.plot().save(tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    assert found.summary()[:20] in found._repr_html_()
    assert repr(found).startswith("StudyResult(2 seeds, 2 levels, smallest winning: ")


def test_one_seed_cannot_tell(capsys):
    found = study(small, pairs(), seeds=1, **{**QUICK, "verbose": 1})
    assert {verdict.verdict for verdict in found.verdicts} == {Verdict.CANT_TELL}
    assert found.smallest_winning is None
    assert "One seed can't tell that from luck" in found.summary()
    assert capsys.readouterr().err.count("seed 0, ") == 3  # dense, ticket, twin


def test_a_study_in_a_directory_resumes_with_the_same_bits(tmp_path):
    whole = study(small, pairs(), seeds=[3, 5], **QUICK)
    study(small, pairs(), seeds=[3], directory=tmp_path, **QUICK)
    stamp = RunDir(tmp_path).ticket(3, "ticket", 1).stat().st_mtime_ns
    resumed = study(small, pairs(), seeds=[3, 5], directory=tmp_path, **QUICK)
    assert RunDir(tmp_path).ticket(3, "ticket", 1).stat().st_mtime_ns == stamp
    assert sorted(resumed.tickets.files) == [(3, 0), (3, 1), (5, 0), (5, 1)]
    for place, ticket in whole.tickets.items():
        assert resumed.tickets[place].sha256 == ticket.sha256
    assert resumed.to_rows() == whole.to_rows()
    with pytest.raises(RunError, match=r"other settings: steps\. Before: steps=8\. Received: 16"):
        study(small, pairs(), seeds=[3], directory=tmp_path, **{**QUICK, "steps": 16})


def test_an_accuracy_of_another_name_is_found():
    def build():
        model = small()
        metric = keras.metrics.SparseCategoricalAccuracy()
        model.compile("adam", model.loss, metrics=[metric], jit_compile=False)
        return model

    found = study(build, pairs(), seeds=1, controls=[], **QUICK)
    assert 0 < found.dense.value.mean < 1


def regressor(metrics=("mean_squared_error",)):
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((10,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=list(metrics), jit_compile=False)
    return model


def diabetes():
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x, y = 20 * x, (y - 152) / 77
    return [(x[part], y[part]) for part in (slice(300), slice(300, 370), slice(370, None))]


def test_a_regression_is_judged_by_its_error():
    options = {**QUICK, "steps": 40, "evaluate_every": 10}
    found = study(regressor, diabetes(), seeds=2, **options)
    assert (found.metric.name, found.metric.direction) == ("mean_squared_error", "min")
    dense, ticket = found.level("dense", 0), found.level("ticket", 1)
    gain = np.mean([dense.value.values[seed] - ticket.value.values[seed] for seed in (0, 1)])
    assert found.verdicts[0].against_dense.gain.mean == pytest.approx(gain)
    assert found.criteria.margin == pytest.approx(0.05 * dense.value.mean)
    row = found.to_rows()[1]
    assert row["gain"] == pytest.approx(gain)
    assert {"mean_squared_error", "mean_squared_error_at_end"} < row.keys()
    # The mean squared error is the loss, whose direction is known as well.
    again = study(regressor, diabetes(), seeds=2, metric="loss", margin=0.1, **options)
    assert again.criteria.margin == 0.1
    assert again.verdicts[0].against_dense.gain.mean == pytest.approx(gain, rel=1e-4)
    assert "points" not in found.summary() + again.summary()


def fitness(y, outputs):
    return -keras.ops.abs(y - outputs)


def test_a_metric_of_your_own_needs_a_direction():
    def build():
        return regressor([fitness])

    with pytest.raises(ValueError, match=r"'max' or 'min' for metric='fitness'"):
        study(build, diabetes(), seeds=1, **QUICK)
    found = study(build, diabetes(), seeds=1, controls=[], direction="max", **QUICK)
    assert found.dense.value.mean < 0
    assert found.criteria.margin == pytest.approx(-0.05 * found.dense.value.mean)


def test_seeds_that_begin_with_the_same_weights_are_warned_of():
    def build():
        model = small()
        model.set_weights([np.full(weight.shape, 0.01) for weight in model.weights])
        return model

    with pytest.warns(UserWarning, match="seeds 0 and 1 begin with the same weights"):
        study(build, pairs(), seeds=2, controls=[], **QUICK)


def uncompiled():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])


def without_accuracy():
    model = uncompiled()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    ("build", "options", "error", "message"),
    [
        (uncompiled, {}, ModelError, "compiled Keras model. Received: Sequential"),
        (without_accuracy, {}, ModelError, r"metrics=\['accuracy'\].*Received: loss"),
        (small, {"metric": "f1"}, ModelError, "metric='f1'"),
        (small, {"metric": "acuracy"}, ModelError, "Did you mean 'accuracy'?"),
        (small, {"direction": "min"}, ValueError, "since higher is better"),
        (small, {"margin": -0.1}, RunError, r"lie in \[0, 1\). Received: margin=-0.1"),
        (small, {"margin_is": "relative"}, ValueError, "needs a `margin`"),
        (small, {"seeds": 0}, ValueError, "seeds=0"),
        (small, {"schedule": "iterative"}, TypeError, "such as 0.2, or a schedule"),
        (small, {"pruner": "globl"}, ValueError, "Did you mean 'global'?"),
        (small, {"epochs": 2}, ValueError, "not both"),
        (small, {"evaluate_every": 3}, ValueError, r"divisors are \[1, 2, 4, 8\]"),
    ],
)
def test_what_is_wrong_is_said_before_training(build, options, error, message):
    with pytest.raises(error, match=message):
        study(build, pairs(), **{**QUICK, **options})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((1, 2), "three pairs"),
        ([([1], [1]), ([1], [1]), ([], [])], "test data of 0 inputs"),
        ([(np.array(["a"]), [1])] * 3, "arrays of numbers. Received: training"),
    ],
)
def test_data_that_are_no_data_are_refused(given, message):
    with pytest.raises(DataError, match=message):
        study(small, given, **QUICK)
