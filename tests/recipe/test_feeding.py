"""What a model is given in recipes and commands: the numbers of the file, unless told otherwise."""

import keras
import numpy as np
import pytest
from keras import layers
from tiny_recipe import recipe

from tfticket.errors import ModelError
from tfticket.export import read_provenance
from tfticket.recipe import parsing
from tfticket.recipe.rates import load_data
from tfticket.runner.exporting import export_file
from tfticket.studies.edge.schema import EdgeRecipe
from tfticket.studies.lottery.study import LotteryStudy

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 40, (120, 6))
PIXELS = RNG.integers(0, 256, (120, 6, 6)).astype(np.uint8)
SERIES = RNG.normal(50, 30, (120, 6, 3)).astype(np.float32)


def looked_up(dtype):
    return [keras.Input((6,), dtype=dtype), layers.Embedding(40, 4), layers.Flatten()]


MODELS = {
    "ids": lambda: looked_up("int32"),
    "ids_as_floats": lambda: looked_up("float32"),
    "features": lambda: [keras.Input((6,)), layers.BatchNormalization()],
    "scales_itself": lambda: [
        keras.Input((6, 6, 1)), layers.Rescaling(1 / 255), layers.Flatten(),
    ],
    "without_channels": lambda: [keras.Input((6, 6)), layers.Rescaling(1 / 255), layers.Flatten()],
    "series": lambda: [keras.Input((6, 3)), layers.Conv1D(4, 3), layers.Flatten()],
    "series_of_any_length": lambda: [keras.Input((None, 3)), layers.GlobalAveragePooling1D()],
}  # fmt: skip


@pytest.fixture
def changes(tmp_path):
    """The changes to the tiny recipe that take a model and arrays of one's own."""

    def make(model, x, *more):
        keras.utils.set_random_seed(0)
        keras.Sequential([*MODELS[model](), layers.Dense(2)]).save(tmp_path / "mine.keras")
        np.savez(tmp_path / "a.npz", x=x, y=np.arange(len(x)) % 2)
        return (
            f"data={{name='npz:{tmp_path / 'a.npz'}', batch_size=20, validation=20}}",
            f"model={{file='{tmp_path / 'mine.keras'}'}}",
            *more,
        )

    return make


@pytest.mark.parametrize(
    ("model", "x"),
    [
        ("ids", TOKENS),
        ("ids_as_floats", TOKENS),
        ("features", SERIES[..., 0]),
        ("scales_itself", PIXELS),
        ("without_channels", PIXELS),
        ("without_channels", PIXELS[..., np.newaxis]),
        ("series", SERIES),
        ("series_of_any_length", SERIES),
    ],
)
def test_a_model_from_a_file_gets_the_numbers_of_the_data(changes, model, x):
    experiment = LotteryStudy.load(recipe(*changes(model, x)))
    data = experiment.data
    assert (data.normalize, data.as_it_is) == ("none", True)
    feed = experiment.feed(0)
    given, _ = feed.batch(0)
    expected = x[data.train_ids[feed.indices(0, 1)[0]]]
    np.testing.assert_array_equal(given.numpy().reshape(expected.shape), expected)
    (held_out, _), *_ = experiment.validation()
    np.testing.assert_array_equal(held_out, data.inputs(data.validation))
    outputs = experiment.model(0)(given)
    mine = keras.saving.load_model(experiment.recipe.model.file)
    shape = (len(expected), *mine.inputs[0].shape[1:])
    if None not in shape:
        expected = expected.reshape(shape)
    np.testing.assert_allclose(outputs, mine(expected.astype(np.float32)), rtol=1e-5)


@pytest.mark.parametrize("model", ["ids", "ids_as_floats"])
def test_fractions_are_no_ids(changes, model):
    needs = "an input of type int32" if model == "ids" else "the layer embedding.*, Embedding"
    scaled = LotteryStudy.load(recipe(*changes(model, TOKENS, "data.normalize='unit'")))
    with pytest.raises(ModelError, match=rf"fractions, such as 0\.\d+.*{needs}.*\"none\" takes"):
        scaled.model(0)
    halves = LotteryStudy.load(recipe(*changes(model, TOKENS / 2)))
    with pytest.raises(ModelError, match=r"fractions, such as \d+\.5.*data that are whole"):
        halves.model(0)


def test_a_recipe_may_scale_for_a_model_from_a_file(changes):
    asked = changes("features", SERIES[..., 0], "data.normalize='standard'")
    assert LotteryStudy.load(recipe(*asked)).data.normalize == "standard"
    asked = changes("scales_itself", PIXELS, "data.normalize='unit'")
    assert float(LotteryStudy.load(recipe(*asked)).data.scale) == np.float32(1 / 255)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["data={name='digits'}"], "unit"),
        (["data={name='mnist'}"], "unit"),
        (["data={name='folder:photos'}"], "unit"),
        (["data={name='tfds:cmaterdb'}"], "unit"),
        (["data={name='npz:a.npz'}"], "auto"),
        (["data={name='npz:a.npz', normalize='standard'}"], "standard"),
        (["data={name='mnist', normalize='none'}"], "none"),
        (["data={name='mnist', normalize='auto'}"], "unit"),
        (["model={file='a.keras'}"], "none"),
        (["model={file='a.keras'}", "data={name='npz:a.npz'}"], "none"),
        (["model={file='a.keras'}", "data={name='npz:a.npz', normalize='unit'}"], "unit"),
    ],
)
def test_a_resolved_recipe_says_what_is_known_and_means_it(change, expected):
    resolved = parsing.resolve(recipe(*change))
    assert resolved["data"]["normalize"] == expected
    assert parsing.resolve(parsing.parse(resolved)) == resolved


def test_a_search_of_the_kind_edge_is_fed_alike(changes):
    single = parsing.resolve(recipe(*changes("ids", TOKENS)))
    del single["controls"], single["export"], single["connectivity"]
    search = single.pop("lottery")
    edge = parsing.parse({**single, "kind": "edge", "search": [search]})
    assert isinstance(edge, EdgeRecipe)
    assert load_data(edge.data, model_file=edge.model.file).as_it_is
    (made,) = edge.searches().values()
    assert made.data.normalize == "none"


def told_of(lines):
    class Told:
        def message(self, text):
            lines.append(text)

    return Told()


@pytest.mark.parametrize(("model", "x"), [("scales_itself", PIXELS), ("series", SERIES)])
def test_an_exported_model_gets_the_numbers_of_the_data_too(changes, tmp_path, model, x):
    changes(model, x)
    lines = []
    made = export_file(
        tmp_path / "mine.keras",
        tmp_path / "mine.tflite",
        "smallest",
        data_name=f"npz:{tmp_path / 'a.npz'}",
        formats=["fp32"],
        margin=0.9,
        progress=told_of(lines),
    )
    about = read_provenance(made.report.path)
    assert (about["feeding"]["scale"], about["feeding"]["offset"]) == ([1.0], [0.0])
    assert any(line.endswith(about["provenance"]["inputs"]) for line in lines)
    assert "taken as they are" in about["provenance"]["inputs"]


def test_an_exported_model_is_given_no_fractions_for_ids(changes, tmp_path):
    changes("ids", TOKENS)
    with pytest.raises(ModelError, match="fractions"):
        export_file(
            tmp_path / "mine.keras",
            tmp_path / "mine.tflite",
            "smallest",
            data_name=f"npz:{tmp_path / 'a.npz'}",
            normalize="unit",
        )
    assert not (tmp_path / "mine.tflite").exists()
