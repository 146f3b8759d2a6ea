"""`fit`: budgets that are kept, that are out of reach, and the control."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest

from tfticket.errors import ExportError, RunError
from tfticket.export import check_file, read_provenance
from tfticket.export.fitting.budget import Budget
from tfticket.export.fitting.narrowing import Training
from tfticket.export.fitting.search import fit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def drawn(count, seed):
    """Four classes that a narrow network can tell apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count)
    x = rng.normal(size=(count, 8)).astype("float32")
    x[:, :4] += 4 * np.eye(4, dtype="float32")[y]
    return x, y


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(7)
    x, y = drawn(400, 0)
    made = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(40, activation="relu", name="first"),
            layers.Dense(40, activation="relu", name="second"),
            layers.Dense(4, name="output"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("adam", loss, jit_compile=False)
    made.fit(x, y, epochs=4, batch_size=20, verbose=0)
    return made


def settings():
    return {
        "training": Training(*drawn(400, 0), steps=30, learning_rate=1e-2),
        "validation": drawn(200, 1),
        "test": drawn(200, 2),
        "target": "phone",
    }


@pytest.fixture
def options():
    return settings()


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """A search of two rounds with its control, what it told, and its folder."""
    folder, told = tmp_path_factory.mktemp("whole"), []
    budget = Budget(0.9, flash_bytes=4_000)
    keep = folder / "keep"
    path = folder / "net.tflite"
    return fit(model, path, budget, tell=told.append, folder=keep, **settings()), told, folder


def test_a_network_that_keeps_the_budget_stays_as_it_is(model, options, tmp_path):
    found = fit(model, tmp_path / "net.tflite", Budget(0.9, flash_bytes=20_000), **options)
    assert found.met
    assert [each.name for each in found.candidates] == ["the network as it was given"]
    assert found.control is None
    assert found.reason.endswith("Nothing had to be taken out.")
    assert {path.name for path in found.files} == {"net.tflite", "net.report.json", "net.keras"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "net.tflite",
        "net.report.json",
        "net.keras",
    }


def test_channels_go_until_the_budget_is_kept_and_a_dense_network_is_held_against(
    model, options, whole
):
    found, told, folder = whole
    path = folder / "net.tflite"
    assert found.met
    sizes = [each.taken.flash_bytes for each in found.candidates if each.storage.format == "int8"]
    assert sizes == sorted(sizes, reverse=True)
    assert [bool(each.shortfalls) for each in found.candidates] == [True] * (
        len(found.candidates) - 1
    ) + [False]
    assert found.best is found.candidates[-1]
    assert found.control.taken.flash_bytes <= found.best.taken.flash_bytes <= 4_000
    assert found.control.storage == found.best.storage
    better = found.control.taken.accuracy >= found.best.taken.accuracy
    assert found.chosen is (found.control if better else found.best)
    assert ("it is what was written" in found.reason) == better
    assert f"a dense network of {found.control.taken.flash_bytes:,} bytes" in found.reason.lower()
    assert path.stat().st_size == found.chosen.taken.flash_bytes
    assert check_file(path, raw=options["test"][0], y=options["test"][1]).accuracy == (
        pytest.approx(found.chosen.test_accuracy)
    )
    measured = [each.test_accuracy is not None for each in found.candidates]
    assert measured == [False] * (len(measured) - 1) + [True]  # test data judges what was chosen
    written = keras.models.load_model(path.with_suffix(".keras"))
    assert written.count_params() == found.chosen.model.count_params()
    assert sum(f"{each.taken.flash_bytes:,}" in " ".join(told) for each in found.candidates) == len(
        measured
    )
    assert model.count_params() == 40 * 9 + 40 * 41 + 4 * 41  # as it was


def test_four_bits_are_tried_before_channels_go(model, options, tmp_path):
    found = fit(model, tmp_path / "net.tflite", Budget(0.9, flash_bytes=5_000), **options)
    assert [each.storage.format for each in found.candidates] == ["int8", "int4"]
    assert found.chosen is found.candidates[1]
    assert found.chosen.model is model
    assert " in int4 keeps the budget" in found.reason


def test_a_more_exact_format_where_only_accuracy_is_missing(options, tmp_path):
    """The last input is so large that eight bits hold nothing of the others."""
    net = keras.Sequential([keras.Input((8,)), layers.Dense(4, use_bias=False)])
    net.layers[0].kernel.assign(np.eye(8, 4))
    wide = {}
    for name in ("validation", "test"):
        x, y = options[name]
        wide[name] = (np.concatenate([x[:, :7], 1e4 * x[:, 7:]], axis=1), y)
    training = dataclasses.replace(options["training"], x=wide["validation"][0][:100],
                                   y=wide["validation"][1][:100])  # fmt: skip
    budget = Budget(0.9, flash_bytes=20_000)
    found = fit(net, tmp_path / "net.tflite", budget, **{**options, **wide, "training": training})
    assert [each.storage.format for each in found.candidates] == ["int8", "dynamic"]
    assert found.candidates[0].taken.accuracy < 0.5
    assert found.chosen is found.candidates[1]
    assert found.chosen.model is net


def of_all_sizes(options, factor):
    """The settings with a last input that is `factor` times as large as it was."""
    scale = np.array([1.0] * 7 + [factor], "float32")
    training = options["training"]
    scaled = {name: (scale * options[name][0], options[name][1]) for name in ("validation", "test")}
    return {**options, **scaled, "training": dataclasses.replace(training, x=scale * training.x)}


@pytest.mark.parametrize(("target", "first"), [("phone", "dynamic"), ("micro", "int16x8")])
def test_the_layer_that_rounding_costs_most_stays_in_float(model, options, tmp_path, target, first):
    """A unit says next to nothing, by weights so large that eight bits hold no others."""
    net = keras.models.clone_model(model)
    weights = model.get_weights()
    small = np.where(np.arange(40) == 0, 1e-8, 1)
    weights[0], weights[1] = weights[0] * small, weights[1] * small
    weights[2][0] = 1e4 * np.sign(weights[2][0])
    net.set_weights(weights)
    told, budget = [], Budget(0.9, flash_bytes=13_000)
    options["target"] = target
    found = fit(net, tmp_path / "net.tflite", budget, tell=told.append, **options)
    tried = [each.storage.describe() for each in found.candidates]
    assert tried == ["int8", first, "int8 with second in float"]
    assert [each.taken.accuracy > 0.9 for each in found.candidates] == [False, False, True]
    assert found.chosen is found.candidates[-1]
    assert "given in int8 with second in float keeps the budget" in found.reason
    assert found.to_rows()[-1]["keep_float"] == ["second"]
    assert any("Most is due to `second`" in line for line in told)
    assert read_provenance(tmp_path / "net.tflite")["keep_float"] == ["second"]
    assert (tmp_path / "net_selftest.cc").is_file() == (target == "micro")


@pytest.mark.parametrize("flash", [20_000, 4_500])
def test_activations_of_16_bits_where_8_lose_on_a_microcontroller(model, options, tmp_path, flash):
    """And where the file is too large besides, it gets narrower with them."""
    options = of_all_sizes(options, 1000.0) | {"target": "micro", "control": False}
    net = keras.models.clone_model(model)
    net.set_weights(model.get_weights())
    weights, bias = net.layers[0].get_weights()
    net.layers[0].set_weights([weights / np.array([[1]] * 7 + [[1000]]), bias])
    found = fit(net, tmp_path / "net.tflite", Budget(0.9, flash_bytes=flash), **options)
    first, *others = found.candidates
    assert first.storage.format == "int8"
    assert "accuracy" in first.shortfalls
    assert {each.storage.format for each in others} == {"int16x8"}
    assert found.chosen is others[-1]
    assert (found.chosen.model is net) == (flash == 20_000)
    assert found.chosen.run.given.dtype == np.int16


def test_only_the_widest_activations_give_way_to_a_limit_of_ram(options, tmp_path):
    wide = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(128, activation="relu", name="wide"),
            layers.Dense(16, activation="relu", name="narrow"),
            layers.Dense(4, name="output"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    wide.compile("adam", loss, jit_compile=False)
    wide.fit(*drawn(400, 0), epochs=4, batch_size=20, verbose=0)
    budget = Budget(0.9, ram_bytes=112)
    found = fit(wide, tmp_path / "net.tflite", budget, control=False, **options)
    assert found.met
    assert found.chosen.taken.ram_bytes <= 112 < found.candidates[0].taken.ram_bytes
    widths = {layer.name: layer.units for layer in found.chosen.model.layers}
    assert widths["narrow"] == 16
    assert widths["wide"] < 96


@pytest.mark.parametrize("stands", ["accuracy", "flash"])
def test_what_is_out_of_reach_is_said_and_nothing_is_written(model, options, tmp_path, stands):
    budget, because = Budget(0.9, flash_bytes=20_000), "train it first"
    if stands == "accuracy":  # labels that nobody can know
        options["validation"] = (options["validation"][0], np.arange(200) % 4)
    else:
        model = keras.Sequential([keras.Input((8,)), layers.Dense(1), layers.Dense(4)])
        budget, because = Budget(0.01, flash_bytes=900), "no channel left"
    found = fit(model, tmp_path / "net.tflite", budget, **options)
    assert not found.met
    assert found.chosen is None
    assert found.files == ()
    assert "is out of reach" in found.reason
    assert because in found.reason
    assert list(found.best.shortfalls) == [stands]
    assert found.reason.endswith(f"what stands in the way is {stands}.")
    assert list(tmp_path.iterdir()) == []


def test_a_search_that_was_stopped_goes_on_and_ends_the_same(model, options, whole, tmp_path):
    (found, _, folder), keep = whole, tmp_path / "keep"
    shutil.copytree(folder / "keep", keep)
    budget = found.budget
    (keep / "control.keras").unlink()
    last = sorted(keep.glob("round_*.keras"))[-1]
    last.unlink()
    before = {path: path.stat().st_mtime_ns for path in keep.glob("round_*.keras")}
    again = fit(model, tmp_path / "b.tflite", budget, folder=keep, **options)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert last.exists()
    assert [row | {"name": ""} for row in again.to_rows()] == [
        row | {"name": ""} for row in found.to_rows()
    ]
    assert (folder / "net.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()
    other = dataclasses.replace(options["training"], seed=1)
    with pytest.raises(RunError, match="the rounds of another search"):
        fit(model, tmp_path / "c.tflite", budget, folder=keep, **{**options, "training": other})


def test_only_accuracy_is_missing_so_it_trains_longer(model, options, tmp_path):
    """Of each 25 labels one is wrong, which no training brings back."""
    x, y = options["validation"]
    options["validation"] = (x, np.where(np.arange(len(y)) % 25, y, (y + 1) % 4))
    found = fit(model, tmp_path / "net.tflite", Budget(0.98, flash_bytes=20_000), **options)
    assert found.candidates[-1].name == "the network as it was given, trained longer"
    assert "training longer didn't bring it back" in found.reason


def test_a_round_that_costs_much_is_trained_longer(model, options, tmp_path):
    """A step is too short for what is left of the network."""
    options["training"] = dataclasses.replace(options["training"], steps=1)
    told, budget, keep = [], Budget(0.3, flash_bytes=4_000), tmp_path / "keep"
    options |= {"control": False, "folder": keep}
    fit(model, tmp_path / "a.tflite", budget, tell=told.append, **options)
    longer = list(keep.glob("round_*_longer.keras"))
    assert longer
    assert told.count("Training longer, 4 steps") == len(longer)


def test_for_a_microcontroller_the_arena_counts(model, options, tmp_path):
    path = tmp_path / "net.tflite"
    budget = Budget(0.9, flash_bytes=20_000, ram_bytes=20_000)
    found = fit(model, path, budget, **{**options, "target": "micro"})
    assert found.met
    assert found.chosen.taken.measured_ram
    assert found.chosen.taken.ram_bytes == check_file(path, target="micro").arena.arena_bytes
    assert {path.name for path in found.files} == {
        "net.tflite", "net.report.json", "net.keras",
        "net.h", "net.c", "net_ops.h", "net_selftest.cc",
    }  # fmt: skip


def test_a_path_of_another_kind_is_refused(model, options, tmp_path):
    with pytest.raises(ExportError, match=r"must end in \.tflite"):
        fit(model, tmp_path / "net.onnx", Budget(0.9, flash_bytes=10), **options)
