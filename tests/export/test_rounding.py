"""What rounding costs by layer, and files in which some layers stay in float."""

import keras
import numpy as np
import pytest
from exports import layers
from several_ends import inputs_of_two, streaming, two_by_two
from tflite_files import parsed

from tfticket.errors import ExportError
from tfticket.export import prepare, sensitivity, to_tflite
from tfticket.export.flatbuffer import graphs, type_name
from tfticket.export.inspect.rounded_file import rounding_of_file
from tfticket.export.preparation import predictions
from tfticket.export.runtime import Session

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def held_out(exported):
    return exported.x[1300:1600], exported.y[1300:1600]


@pytest.fixture(scope="module")
def found(exported, held_out):
    return sensitivity(exported.model, *held_out, calibration=exported.x[:200])


@pytest.fixture(scope="module")
def rough(exported, held_out):
    """With so few bits that rounding costs accuracy."""
    x, y = held_out
    return sensitivity(exported.model, x, y, calibration=exported.x[:200], bits=3, reach=0.5)


def test_all_layers_with_kernels_are_looked_at(exported, held_out, found):
    assert [each.layer for each in found.layers] == ["conv", "depthwise", "hidden", "output"]
    x, y = held_out
    assert found.score == np.mean(predictions(exported.model, x).argmax(-1) == y)
    kernels = {key.split("/")[0]: k for key, k in prepared_kernels(exported).items()}
    for each in found.layers:
        assert each.weights == kernels[each.layer].size
        assert each.zeros == np.mean(kernels[each.layer] == 0) <= each.rounded_zeros


def prepared_kernels(exported):
    model = prepare(exported.model).model
    return {v.path.split("/", 1)[-1]: v.numpy() for v in model.variables if v.name == "kernel"}


def test_what_is_emulated_is_what_the_file_does(exported, held_out, found):
    x, _ = held_out
    plain = predictions(exported.model, x)
    answers = Session(exported.reports["int8"].path.read_bytes(), source="it").run(x)
    moved = np.sqrt(np.mean((answers - plain) ** 2)) / plain.std()
    assert moved / 2 < found.divergence_rounded < 2 * moved
    assert all(0 < each.divergence_alone < 1.1 * found.divergence_rounded for each in found.layers)


def test_few_bits_cost_more_and_layers_in_float_bring_it_back(found, rough):
    assert rough.score_rounded < found.score_rounded
    assert rough.divergence_rounded > 5 * found.divergence_rounded
    for each in rough.layers:
        assert each.divergence_kept < 1.1 * rough.divergence_rounded
        assert each.rounded_zeros >= each.zeros
    assert rough.keep is not None
    assert set(rough.keep) <= {each.layer for each in rough.layers}
    assert (rough.keep == ()) == (rough.score_rounded >= 0.5)


def test_a_score_out_of_reach_is_told(exported, held_out):
    x, y = held_out
    assert sensitivity(exported.model, x[:50], y[:50], reach=1.01).keep is None
    assert sensitivity(exported.model, x[:50], y[:50], reach=0.0).keep == ()


def test_free_zeros_are_free(exported, held_out, found):
    x, y = held_out
    for each in found.layers:
        model = prepare(exported.model).model
        (layer,) = (layer for layer in model.layers if layer.name == each.layer)
        kernel = layer.kernel.numpy()
        place = min(int(each.free_zeros * kernel.size), kernel.size - 1)
        least = np.sort(np.abs(kernel).ravel())[place]
        layer.kernel.assign(np.where(np.abs(kernel) < least, 0.0, kernel))
        score = np.mean(predictions(model, x).argmax(-1) == y)
        assert score >= found.score - 0.002
        assert each.free_zeros >= each.zeros


def test_it_says_itself(found):
    assert found.summary().startswith("With all layers rounded to 8 bits, accuracy goes from ")
    assert found.to_rows()[0]["layer"] == "conv"
    assert "standard deviations" in found.plot().svg
    assert found.to_dict()["examples"] == 300


def test_several_outputs_nested_and_recurrent_layers(exported):
    model, x = two_by_two(), inputs_of_two(60)
    before = [v.numpy() for v in model.variables]
    found = sensitivity(model, x, {"what": np.zeros(60, int), "where": None})
    assert [each.layer.split("_")[0] for each in found.layers] == ["conv2d", *["dense"] * 3]
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    given = keras.Input((5, 3))
    inner = keras.Sequential([keras.Input((5, 3)), layers.Conv1D(2, 2, name="deep")], name="inner")
    heard = layers.LSTM(3, name="lstm")(given)
    joined = layers.Concatenate()([heard, layers.Flatten()(inner(given))])
    series = np.random.default_rng(0).normal(size=(40, 5, 3)).astype("float32")
    found = sensitivity(keras.Model(given, layers.Dense(2, name="out")(joined)), series)
    weights = {each.layer: each.weights for each in found.layers}
    assert weights == {"lstm": 3 * 12 + 3 * 12, "inner/deep": 12, "out": 22}
    assert found.score == 1.0
    assert not found.labeled


def test_what_cannot_be_measured_is_refused(exported):
    with pytest.raises(ExportError, match="must be 2 to 16"):
        sensitivity(exported.model, exported.x[:5], bits=1)
    with pytest.raises(ExportError, match="has no kernels"):
        sensitivity(
            keras.Sequential([keras.Input((4,)), layers.BatchNormalization()]), np.zeros((5, 4))
        )
    with pytest.raises(ExportError, match="keeps a state"):
        sensitivity(streaming(layers.LSTM(3, stateful=True)), np.zeros((5, 1, 4)))


def test_layers_stay_in_float_where_they_are_asked_to(exported, held_out, tmp_path):
    model = prepare(exported.model).model
    report = to_tflite(
        model, tmp_path / "net.tflite", format="int8", keep_float=["hidden"],
        calibration=exported.x[:200], check_on=held_out,
    )  # fmt: skip
    graph = graphs(parsed(report.path.read_bytes()))[0]
    weighted = [o for name, o in graph.named() if "CONV" in name or "FULLY" in name]
    types = [{type_name(tensor) for tensor in graph.read(o)[:2]} for o in weighted]
    assert types == [{"INT8"}, {"INT8"}, {"FLOAT32"}, {"INT8"}]
    assert (report.input.dtype, report.output.dtype) == ("float32", "float32")
    assert "1 of its 4 layers compute with floats." in report.warnings
    assert report.provenance["keep_float"] == ["hidden"]
    assert report.verification.accuracy >= report.verification.keras_accuracy - 0.02


def test_layers_that_cannot_stay_in_float_are_told(exported, tmp_path):
    options = {"format": "int8", "calibration": exported.x[:50]}
    path = tmp_path / "net.tflite"
    with pytest.raises(ExportError, match=r"No layer 'none' .* are conv, depthwise, hidden"):
        to_tflite(prepare(exported.model).model, path, keep_float=["none"], **options)
    with pytest.raises(ExportError, match="joined its kernel with something else"):
        to_tflite(exported.model, path, keep_float=["conv"], **options)
    with pytest.raises(ExportError, match="`keep_float` is of int8"):
        to_tflite(exported.model, path, keep_float=["conv"])
    with pytest.raises(ExportError, match="takes and gives float32"):
        to_tflite(exported.model, path, keep_float=["conv"], ends="uint8", **options)


def test_the_weights_of_a_file_are_rounded_one_layer_after_the_other(exported, held_out):
    x, y = held_out
    path, scale = exported.reports["fp32"].path, exported.reports["fp32"].feeding["scale"][0]
    found = rounding_of_file(path, x / scale, y, bits=4)
    assert len(found.layers) == 4
    assert found.labeled
    assert found.examples == 200
    plain = Session(path.read_bytes(), source="it").run(x[:200])
    assert found.score == np.mean(plain.argmax(-1) == y[:200])
    assert all(0 < each.divergence_alone < 2 * found.divergence_rounded for each in found.layers)
    assert rounding_of_file(path, x / scale, y).divergence_rounded < found.divergence_rounded / 5
    with pytest.raises(ExportError, match="must have layers with float32 weights"):
        rounding_of_file(exported.reports["int8"].path, x / scale, y)
