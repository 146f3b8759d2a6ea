import keras
import numpy as np
import pytest
from tiny_recipe import recipe

from tfticket.errors import DataError, ModelError
from tfticket.lottery.trial import MemoryStore, TrialListener
from tfticket.models.losses import SmoothedCrossentropy
from tfticket.schedules import IterativePruning, OneShot, PolynomialDecay
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner
from tfticket.sparsity.saliency import SaliencyScore
from tfticket.sparsity.scores import magnitude_increase
from tfticket.state import Snapshot, innermost_optimizer, prunable_variables
from tfticket.studies.lottery.search import controls, pruner, schedule
from tfticket.studies.lottery.study import LotteryStudy

pytestmark = pytest.mark.slow

SMALL = ("model.width=0.1", "data.limit=200", "data.validation=60", "train.jit=false")


@pytest.fixture(scope="module")
def data():
    return LotteryStudy.load(recipe(*SMALL)).data


@pytest.fixture
def experiment(data):
    """Makes an experiment of the tiny recipe with some changes, on data that are loaded once."""
    return lambda *changes: LotteryStudy(recipe(*SMALL, *changes), data)


def table(name, **settings):
    inside = ", ".join(f"{key}={str(value).lower()}" for key, value in settings.items())
    return f'train.optimizer={{name="{name}"' + (f", {inside}}}" if inside else "}")


@pytest.mark.parametrize(
    ("name", "settings", "made"),
    [
        ("sgd", {}, keras.optimizers.SGD),
        ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}, keras.optimizers.SGD),
        ("sgd", {"global_clipnorm": 2.0}, keras.optimizers.SGD),
        ("adam", {}, keras.optimizers.Adam),
        ("adam", {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 0.1}, keras.optimizers.Adam),
        ("adam", {"amsgrad": True, "clipnorm": 1.5}, keras.optimizers.Adam),
        ("adamw", {}, keras.optimizers.AdamW),
        ("adamw", {"weight_decay": 0.01, "amsgrad": True}, keras.optimizers.AdamW),
        ("rmsprop", {}, keras.optimizers.RMSprop),
        ("rmsprop", {"rho": 0.8, "momentum": 0.5, "centered": True}, keras.optimizers.RMSprop),
    ],
)
def test_each_optimizer_is_the_keras_one_with_these_settings(experiment, name, settings, made):
    optimizer = experiment(table(name, **settings)).model(0).optimizer
    assert type(optimizer) is made
    # Our defaults are Keras's own.
    assert optimizer.get_config() == made(0.1, **settings, name=optimizer.name).get_config()


def test_a_learning_rate_that_follows_a_schedule_is_read_off_the_iterations(experiment):
    rate = 'train.learning_rate={schedule="piecewise", boundaries=[10], values=[0.5, 0.25]}'
    optimizer = experiment(rate).model(0).optimizer
    assert float(optimizer.learning_rate) == 0.5
    optimizer.iterations.assign(11)
    assert float(optimizer.learning_rate) == 0.25


def test_the_seed_decides_the_initial_weights(experiment):
    tiny = experiment("model.dropout=0.5")
    one, again, other = (Snapshot.capture(tiny.model(seed), step=0) for seed in (3, 3, 4))
    assert list(one.variables) == list(other.variables)
    for key, array in one.variables.items():
        np.testing.assert_array_equal(array, again.variables[key])
        # Biases are zero, whatever the seed.
        assert np.array_equal(array, other.variables[key]) == key.endswith("bias")
    assert any("seed_generator" in key for key in one.variables)


def test_the_network_is_the_one_of_the_recipe(experiment):
    model = experiment("model.norm=batch", "train.evaluate_every=50").model(0)
    assert model.name == "lenet_300_100"
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    assert list(shapes.values()) == [(64, 30), (30, 10), (10, 10)]
    assert any(isinstance(x, keras.layers.BatchNormalization) for x in model.layers)
    assert model.steps_per_execution == 50
    assert model.jit_compile is False
    assert experiment("train.jit=true").model(0).jit_compile is True


def test_labels_can_be_smoothed(experiment):
    assert type(experiment().model(0).loss) is keras.losses.SparseCategoricalCrossentropy
    smoothed = experiment("train.label_smoothing=0.1").model(0).loss
    assert isinstance(smoothed, SmoothedCrossentropy)
    assert smoothed.label_smoothing == 0.1


def test_mixed_precision_is_of_this_model_only(experiment):
    before = keras.config.dtype_policy()
    model = experiment("train.mixed_precision=true").model(0)
    assert model.layers[-3].compute_dtype == "float16"
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert type(innermost_optimizer(model)) is keras.optimizers.SGD
    assert keras.config.dtype_policy() is before
    with pytest.raises(ModelError):
        experiment("train.mixed_precision=true", "model={name='vgg'}").model(0)
    assert keras.config.dtype_policy() is before


def test_a_keras_file_stands_in_for_the_zoo(experiment, tmp_path):
    path = tmp_path / "mine.keras"
    keras.utils.set_random_seed(5)
    mine = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(7, activation="relu", name="mine"),
            keras.layers.Dense(10, activation="softmax", name="classes"),
        ]
    )
    mine.save(path)
    tiny = experiment("model.width=1.0", f"model={{file='{path}'}}")
    for seed in (0, 1):  # its weights are part of the file
        model = tiny.model(seed)
        for key, array in Snapshot.capture(mine, step=0).variables.items():
            np.testing.assert_array_equal(Snapshot.capture(model, step=0).variables[key], array)
    assert model.loss.get_config()["from_logits"] is False
    assert type(model.optimizer) is keras.optimizers.SGD
    assert pruner(recipe("lottery.rates={output=0.1}").lottery, model).factors == {
        "classes/kernel": pytest.approx(0.5)
    }


def test_a_keras_file_that_does_not_fit_the_data_is_told(experiment, tmp_path):
    path = tmp_path / "other.keras"
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save(path)
    with pytest.raises(ModelError, match=r"must give 10 numbers an example"):
        experiment("model.width=1.0", f"model={{file='{path}'}}").model(0)


def test_the_feed_is_that_of_the_seed(experiment):
    tiny = experiment("data.batch_size=25", "train.evaluate_every=20")
    one, again, other = (tiny.feed(seed).indices(0, 20) for seed in (0, 0, 1))
    assert one.shape == (20, 25)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    x, _ = next(iter(tiny.feed(0).dataset()))
    np.testing.assert_allclose(x, tiny.data.train.x[one[0]] * tiny.data.scale, rtol=1e-6)


def test_images_are_augmented_if_the_recipe_says_so(experiment):
    plain, other = (experiment(f"data.augment={how}").feed(0) for how in ("none", "flip_crop"))
    plain_x, other_x = (next(iter(feed.dataset()))[0] for feed in (plain, other))
    assert not np.array_equal(plain_x, other_x)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_held_out_data_are_whole_and_scaled_like_the_training_data(experiment, split):
    tiny = experiment()
    xs, ys = zip(*getattr(tiny, split)(), strict=True)
    expected = getattr(tiny.data, split)
    np.testing.assert_array_equal(np.concatenate(ys), expected.y)
    np.testing.assert_allclose(np.concatenate(xs), expected.x * tiny.data.scale, rtol=1e-6)


def test_data_that_cannot_be_had_are_told():
    with pytest.raises(DataError, match="nowhere"):
        LotteryStudy.load(recipe("data.name=npz:nowhere.npz"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], IterativePruning(0.2, 2)),
        (["lottery.rate=0.5", "lottery.levels=4"], IterativePruning(0.5, 4)),
        (
            ["lottery.schedule=one_shot", "lottery.final_sparsity=0.9", "lottery.levels=1"],
            OneShot(0.9),
        ),
        (
            ["lottery.schedule=polynomial", "lottery.final_sparsity=0.9", "lottery.levels=3"],
            PolynomialDecay(0.9, 3),
        ),
    ],
)
def test_schedules(changes, expected):
    assert schedule(recipe(*changes).lottery) == expected


@pytest.fixture(scope="module")
def convnet():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(10, 2, name="first"),
            layers.Flatten(),
            layers.Dense(20, name="middle"),
            layers.Dense(10, name="output"),
        ]
    )


def test_pruners(convnet):
    assert type(pruner(recipe("lottery.pruner=global").lottery, convnet)) is GlobalPruner
    assert type(pruner(recipe("lottery.pruner=erk").lottery, convnet)) is ERKPruner
    plain = pruner(recipe().lottery, convnet)
    assert type(plain) is LayerwisePruner
    assert plain.factors == {}


@pytest.mark.parametrize(
    "rates",
    ["{dense=0.5, output=0.1, conv=0.3}", "{output=0.1, conv=0.3, dense=0.5}"],
)
def test_the_output_layer_has_its_own_rate_before_it_is_a_dense_layer(convnet, rates):
    lottery = recipe("lottery.rate=0.2", f"lottery.rates={rates}").lottery
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(convnet).items()}
    mask = Mask.ones(shapes)
    scores = {key: np.random.default_rng(0).random(shape) for key, shape in shapes.items()}
    pruned = pruner(lottery, convnet).prune(scores, mask, 0.2)
    shares = {key: 1 - count / mask[key].size for key, count in pruned.counts().items()}
    assert shares == pytest.approx(
        {"first/kernel": 0.3, "middle/kernel": 0.5, "output/kernel": 0.1}, abs=1e-4
    )


def test_a_layer_can_be_left_dense_by_a_rate_of_0(convnet):
    lottery = recipe("lottery.rates={'first/*'=0.0}").lottery
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(convnet).items()}
    scores = {key: np.ones(shape) for key, shape in shapes.items()}
    pruned = pruner(lottery, convnet).prune(scores, Mask.ones(shapes), 0.2)
    assert pruned["first/kernel"].all()
    assert pruned.counts()["middle/kernel"] == 9800 - 1960


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (["controls={}"], ["reinit"]),
        (["controls.reinit=true"], ["reinit"]),
        (["controls.reinit=false", "controls.shuffle=true"], ["shuffle"]),
        (
            [
                "controls.reinit=3",
                "controls.shuffle=true",
                "controls.random=true",
                "controls.oneshot=true",
            ],
            ["reinit", "reinit_2", "reinit_3", "shuffle", "random", "oneshot"],
        ),
    ],
)
def test_controls(changes, names):
    assert [control.name for control in controls(recipe(*changes).controls)] == names


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        (["controls={}"], [1, 3, 5, 6]),
        (["controls={levels = 'all'}"], [1, 2, 3, 4, 5, 6]),
        (["controls={levels = [2, 3]}"], [2, 3]),
        (["controls={reinit = false}"], []),
    ],
)
def test_reinitialized_twins_are_trained_where_the_verdict_needs_them(experiment, changes, levels):
    search = search_of(experiment("lottery.levels=6", *changes))
    assert [t.level for t in search.procedure.trials() if t.branch == "reinit"] == levels


def search_of(tiny, model=None):
    return tiny.search(
        9,
        model or tiny.model(9),
        feed=tiny.feed(9),
        store=MemoryStore(),
        listener=TrialListener.SILENT,
        provenance={"recipe": "tiny"},
    )


def test_the_search_does_what_the_recipe_says(experiment):
    search = search_of(
        experiment(
            "train.steps=60",
            "train.evaluate_every=10",
            "lottery.rewind_step=20",
            "lottery.rewind=learning_rate",
            "lottery.optimizer_state=restore",
            "lottery.score=magnitude_increase",
            "lottery.score_at=early_stop",
            "lottery.skip=['output/*']",
            "controls.random=true",
            "controls.levels=[2]",
        )
    )
    does = search.procedure
    assert does.schedule == IterativePruning(0.2, 2)
    assert (does.level_steps, does.rewind_step, does.seed) == (60, 20, 9)
    assert (does.rewind, does.optimizer_state, does.score_at) == (
        "learning_rate",
        "restore",
        "early_stop",
    )
    assert does.score is magnitude_increase
    assert [(t.branch, t.level) for t in does.trials()] == [
        ("ticket", 0),
        ("ticket", 1),
        ("ticket", 2),
        ("random", 2),
    ]
    assert search.skip == ("output/*",)
    assert search.provenance == {"recipe": "tiny"}
    assert search.feed.seed == 9


@pytest.mark.parametrize(("name", "rounds"), [("snip", 1), ("grasp", 1), ("synflow", 100)])
def test_saliencies_look_at_ten_training_examples_a_class_as_the_network_sees_them(
    experiment, name, rounds
):
    tiny = experiment(f"lottery.score={name}")
    score = search_of(tiny).procedure.score
    assert isinstance(score, SaliencyScore)
    assert (score.name, score.iterations) == (name, rounds)
    assert score.x.shape == (100, 8, 8, 1)
    assert 0.9 < score.x.max() <= 1.0
    np.testing.assert_array_equal(score.y, tiny.data.train.y[:100])


def test_random_pruning_has_no_score(experiment):
    assert search_of(experiment("lottery.score=random")).procedure.score is None


def test_xla_can_be_decided_by_trying(experiment, monkeypatch):
    for answer in (True, False):
        monkeypatch.setattr("tfticket.models.measured_jit", lambda model, a=answer: a)
        assert experiment("train.jit='measure'").model(0).jit_compile is answer
