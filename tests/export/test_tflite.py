import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from exports import EXPORTED, convnet, digits, layers, pruned
from helpers import Subclassed, batch, mlp, random_mask

from tfticket.errors import ExportError, MaskError, ModelError
from tfticket.export import read_provenance, to_tflite
from tfticket.sparsity import get_mask, sparsify, strip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def answers(path, x):
    """What a user's own few lines get from a file."""
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    given, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for example in x:
        interpreter.set_tensor(given["index"], example[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(got["index"])[0])
    return np.stack(outputs)


@pytest.mark.parametrize("format", EXPORTED)
def test_each_format_runs_and_agrees_with_keras(exported, format):
    seen = exported.reports[format].verification
    assert (seen.inputs, seen.count) == ("given", 300)
    assert seen.keras_accuracy > 0.85
    assert abs(seen.accuracy - seen.keras_accuracy) < 0.03
    assert seen.agreement > (0.9 if format == "int4" else 0.97)


@pytest.mark.parametrize("format", EXPORTED)
def test_every_zero_of_the_ticket_is_in_the_file(exported, format):
    counts = exported.reports[format].zeros
    mask = get_mask(exported.model)
    assert {c.key: c.size for c in counts} == {key: kept.size for key, kept in mask.items()}
    for count in counts:
        assert count.zeros == int((~mask[count.key]).sum())
        assert count.zeros_in_file >= count.zeros
    if format in ("fp32", "sparse_fc"):
        assert [c.zeros_in_file for c in counts] == [c.zeros for c in counts]


def test_the_file_alone_gives_the_answers_of_keras(exported):
    x = exported.x[1300:1320]
    expected = exported.model.predict(x, verbose=0)
    np.testing.assert_allclose(answers(exported.reports["fp32"].path, x), expected, atol=1e-4)


def test_the_way_from_raw_data_that_the_report_tells_is_right(exported):
    report = exported.reports["int8"]
    raw = exported.x[1300:1400] * 16  # pixels from 0 to 16, as scikit-learn has them
    scale, offset = report.feeding["scale"], report.feeding["offset"]
    fed = np.clip(np.round(raw * scale + offset), -128, 127).astype(np.int8)
    expected = exported.model.predict(exported.x[1300:1400], verbose=0).argmax(-1)
    assert np.mean(answers(report.path, fed).argmax(-1) == expected) > 0.97


def test_sizes_are_those_of_the_file_and_fewer_bits_are_fewer_bytes(exported):
    reports = exported.reports
    assert all(r.size_bytes == r.path.stat().st_size for r in reports.values())
    assert reports["int8"].size_bytes < reports["fp16"].size_bytes < reports["fp32"].size_bytes
    assert all(r.gzip_bytes < r.size_bytes for r in reports.values())


def test_int8_takes_and_gives_int8(exported):
    report = exported.reports["int8"]
    assert (report.input.dtype, report.output.dtype) == ("int8", "int8")
    assert report.input.shape == (1, 8, 8, 1)
    assert set(report.operators) == {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
    }


def test_the_report_beside_the_file_says_the_same(exported):
    report = exported.reports["int8"]
    assert json.loads(report.report_path.read_text()) == json.loads(report.to_json())


def test_exporting_again_gives_the_same_bytes(exported, tmp_path):
    options = {"calibration": exported.x[:200], "check_on": (exported.x[1000:1300], None)}
    again = to_tflite(exported.model, tmp_path / "net.int8.tflite", format="int8", **options)
    other = to_tflite(
        sparsify(strip(exported.model), get_mask(exported.model)),
        tmp_path / "copy" / "net.int8.tflite",
        format="int8",
        **options,
    )
    assert again.path.read_bytes() == other.path.read_bytes()


def test_a_plain_model_with_its_mask_is_as_good_as_a_sparsified_one(exported, tmp_path):
    plain, mask = strip(exported.model), get_mask(exported.model)
    report = to_tflite(plain, tmp_path / "a.tflite", mask=mask)
    sparse = exported.reports["fp32"].provenance
    assert report.provenance["mask_sha256"] == sparse["mask_sha256"] == mask.sha256
    assert report.provenance["weights_sha256"] == sparse["weights_sha256"]
    assert report.verification.inputs == "random"


def test_weights_that_the_mask_prunes_must_be_zero(tmp_path):
    model = mlp()
    with pytest.raises(ExportError, match=r"that are not, in `"):
        to_tflite(model, tmp_path / "a.tflite", mask=random_mask(model))
    with pytest.raises(MaskError, match="Missing"):
        to_tflite(mlp((6, 3)), tmp_path / "a.tflite", mask=random_mask(model))
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_not_changed(tmp_path):
    model = mlp()
    before, names = model.get_weights(), [layer.name for layer in model.layers]
    to_tflite(model, tmp_path / "a.tflite", format="dynamic")
    assert [layer.name for layer in model.layers] == names
    for was, is_now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, is_now)


@pytest.mark.parametrize("format", ["fp32", "int8"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_network_that_diverged_leaves_nothing_behind(tmp_path, format, number):
    model = convnet()
    kernel = model.get_layer("hidden").kernel
    kernel.assign(np.where(np.arange(kernel.shape[1]) == 3, number, kernel.numpy()))
    with pytest.raises(ExportError, match="finite"):
        to_tflite(model, tmp_path / "a.tflite", format=format, calibration=digits()[0][:20])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_answers_differently_leaves_an_older_one_as_it_was(exported, tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"older")
    with pytest.raises(ExportError, match=r"at least 95\.0% of 300 inputs"):
        to_tflite(
            exported.model,
            path,
            format="int8",
            calibration=exported.x[:200] * 0.01,  # ranges a hundred times too small
            check_on=(exported.x[1000:1300], None),
        )
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"older"]


def test_answers_that_drown_in_a_common_offset_are_found(exported, tmp_path):
    model = strip(exported.model)
    model.get_layer("output").bias.assign_add([1000.0] * 10)  # 8 bits reach from 0 to there
    with pytest.raises(ExportError, match="must give the same answer"):
        to_tflite(model, tmp_path / "a.tflite", format="int8", calibration=exported.x[:200])
    assert list(tmp_path.iterdir()) == []


def test_weights_too_large_for_half_precision_are_found(tmp_path):
    model = mlp()
    model.layers[0].kernel.assign(np.full((6, 5), 1e5))
    with pytest.raises(ExportError, match="must answer as the Keras model does"):
        to_tflite(model, tmp_path / "a.tflite", format="fp16")
    assert list(tmp_path.iterdir()) == []


def test_latency_is_measured_against_a_baseline(exported, tmp_path):
    report = to_tflite(
        exported.model, tmp_path / "a.tflite", baseline=exported.reports["fp32"].path
    )
    assert report.latency.host
    assert report.latency.microseconds > 0
    assert json.loads(report.report_path.read_text())["latency"]["host"] == report.latency.host
    with pytest.raises(ExportError, match="No such file"):
        to_tflite(mlp(), tmp_path / "b.tflite", baseline=tmp_path / "missing.tflite")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "int8"}, "must be calibrated"),
        ({"format": "int3"}, r"one of .*Received: 'int3'"),
        ({"calibration": np.zeros((4, 7), "float32")}, r"shape \(6,\)\. Received: .*\(4, 7\)"),
        ({"check_on": (np.zeros((0, 6)), None)}, "one example or more"),
        ({"check_on": (np.zeros((4, 6), np.uint8), None)}, "already normalized"),
        ({"check_on": (np.zeros((4, 6)), np.zeros((4, 5)))}, r"the shape \(4, 5\), but"),
        ({"preprocessing": None, "path": "a.onnx"}, r"must end in \.tflite"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path, options, message):
    path = tmp_path / options.pop("path", "a.tflite")
    with pytest.raises(ExportError, match=message):
        to_tflite(mlp(), path, **options)
    assert list(tmp_path.iterdir()) == []


def test_models_that_cannot_be_exported_say_why(tmp_path):
    subclassed = Subclassed()
    subclassed(batch()[0])
    with pytest.raises(ModelError, match="Subclassed"):
        to_tflite(subclassed, tmp_path / "a.tflite")
    anysize = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)])
    with pytest.raises(ExportError, match=r"\(None, None, None, 3\)"):
        to_tflite(anysize, tmp_path / "a.tflite")


def test_an_operator_without_a_kernel_is_named(tmp_path):
    inputs = keras.Input((4, 4))
    values = keras.ops.linalg.svd(layers.Dense(4)(inputs), compute_uv=False)
    model = keras.Model(inputs, values)
    with pytest.raises(ExportError, match="Svd"):
        to_tflite(model, tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_model_trained_in_mixed_precision_is_exported_in_full(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = pruned(convnet())
    report = to_tflite(model, tmp_path / "a.tflite", check_on=(digits()[0][:50], None))
    assert report.input.dtype == report.output.dtype == "float32"
    assert "CAST" not in report.operators
    assert "DEQUANTIZE" not in report.operators


def test_tokens_stay_integers(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 3),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    assert to_tflite(model, tmp_path / "a.tflite").input.dtype == "int32"
    with pytest.raises(ExportError, match="takes floats"):
        to_tflite(
            model, tmp_path / "b.tflite", format="int8", calibration=np.zeros((3, 5), "int32")
        )


def test_kernels_that_the_converter_splits_keep_their_zeros(tmp_path):
    model = pruned(
        keras.Sequential([keras.Input((4, 3)), layers.LSTM(5, name="lstm"), layers.Dense(2)])
    )
    report = to_tflite(model, tmp_path / "a.tflite")
    assert report.verification.relative_difference < 1e-4
    assert {count.key for count in report.zeros} == set(get_mask(model))


def test_nothing_is_printed(tmp_path, capfd):
    to_tflite(mlp(), tmp_path / "a.tflite", format="int8", calibration=batch()[0])
    assert capfd.readouterr() == ("", "")


def test_provenance_is_in_the_file(exported):
    report = exported.reports["int8"]
    told = read_provenance(report.path)
    assert told == report.provenance
    assert told["provenance"] == {"seed": 3}
    assert told["density"] == pytest.approx(get_mask(exported.model).density)


def test_sparse_files_are_exact_smaller_and_say_how_layers_are_stored(exported):
    sparse, dense = exported.reports["sparse_fc"], exported.reports["fp32"]
    assert sparse.size_bytes < 0.8 * dense.size_bytes
    assert sparse.verification.relative_difference < 1e-5
    assert set(sparse.provenance["encodings"].values()) <= {"dense", "csr", "block_1x4"}
    assert "csr" in sparse.provenance["encodings"].values()


def test_a_sparse_file_is_written_again_as_it_was(exported, tmp_path):
    """What was measured once isn't measured again: another measurement may choose otherwise."""
    path = tmp_path / "a.tflite"
    stored = dict(exported.reports["sparse_fc"].provenance["encodings"])
    csr = next(name for name, way in stored.items() if way == "csr")
    forced = to_tflite(exported.model, path, format="sparse_fc", encodings={csr: "csr"})
    first = path.read_bytes()
    assert forced.provenance["encodings"] == {csr: "csr"}
    again = to_tflite(exported.model, path, format="sparse_fc")
    assert (again.provenance["encodings"], path.read_bytes()) == ({csr: "csr"}, first)
    elsewhere = to_tflite(
        exported.model, tmp_path / "b.tflite", format="sparse_fc", encodings={csr: "csr"}
    )
    assert elsewhere.path.read_bytes() == first


def test_sparse_where_nothing_is_sparse_is_refused(tmp_path):
    with pytest.raises(ExportError, match="must have a dense layer that is better stored sparsely"):
        to_tflite(mlp(), tmp_path / "a.tflite", format="sparse_fc")
    assert list(tmp_path.iterdir()) == []


def test_sparse_convolutions_come_with_their_warnings(tmp_path):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(32, 1, activation="relu", name="pointwise")(x)
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    kernel = model.get_layer("pointwise").kernel
    kernel.assign(kernel.numpy() * (np.random.default_rng(0).random(kernel.shape) > 0.9))
    report = to_tflite(model, tmp_path / "a.tflite", format="sparse_conv")
    assert any("No gain on x86 with AVX" in warning for warning in report.warnings)
    assert any("Not verified on ARM" in warning for warning in report.warnings)
    told = json.loads(report.report_path.read_text())
    assert told["warnings"] == list(report.warnings)


def test_sparse_convolutions_that_are_wrong_elsewhere_are_refused(tmp_path):
    x = inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(32, 1, name="a")(x)
    x = layers.Conv2D(32, 1, name="b")(layers.MaxPooling2D()(x))
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    for name in "ab":
        kernel = model.get_layer(name).kernel
        kernel.assign(kernel.numpy() * (np.random.default_rng(0).random(kernel.shape) > 0.9))
    with pytest.raises(ExportError, match="MAX_POOL_2D"):
        to_tflite(model, tmp_path / "a.tflite", format="sparse_conv")
    assert list(tmp_path.iterdir()) == []
