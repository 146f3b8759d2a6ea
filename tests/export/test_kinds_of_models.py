"""Models of the kinds that people have: what becomes a file, and what is said where none can."""

import warnings

import keras
import numpy as np
import pytest
from edge_nets import sequential
from exports import layers
from tflite_files import parsed

from tfticket.errors import ExportError
from tfticket.export import choice, comparison, export, to_tflite
from tfticket.export.contents import check_types
from tfticket.export.flatbuffer import operators
from tfticket.export.preparation import recurrent_steps

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(300, 6)).astype("float32")
SERIES = RNG.normal(size=(64, 7, 3)).astype("float32")
WORDS = RNG.integers(0, 9, (64, 7)).astype("int32")


def dense(*stack):
    return keras.Sequential([keras.Input((6,)), *stack])


def recurrent(*stacks):
    """A network that computes several stacks of layers of the same series, side by side."""
    given = keras.Input((7, 3))
    outputs = []
    for stack in stacks:
        x = given
        for layer in stack:
            x = layer(x)
        outputs.append(layers.Flatten()(x))
    return keras.Model(given, layers.Concatenate()(outputs))


def masked(*stack):
    """The same of words, the first of which mean nothing."""
    given = keras.Input((7,), dtype="int32")
    words = layers.Embedding(9, 4, mask_zero=True)(given)
    last = [layers.GlobalAveragePooling1D() if each.return_sequences else layers.Identity()
            for each in stack]  # fmt: skip
    outputs = [pooled(layer(words)) for layer, pooled in zip(stack, last, strict=True)]
    return keras.Model(given, layers.Concatenate()(outputs))


def exported(model, tmp_path, x, y=None, format="fp32", **options):
    path = tmp_path / "m.tflite"
    return to_tflite(model, path, format=format, check_on=(x, y), **options)


def test_recurrent_layers_are_exported(tmp_path):
    model = recurrent(
        [layers.LSTM(4, return_sequences=True)],
        [layers.GRU(4, return_sequences=True)],
        [layers.SimpleRNN(4, return_sequences=True)],
        [layers.LSTM(4, return_sequences=True, go_backwards=True)],
        [layers.Bidirectional(layers.GRU(3, return_sequences=True))],
        [layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])],
        [layers.TimeDistributed(layers.Dense(4)), layers.LSTM(3)],
        [layers.Masking(), layers.LSTM(4)],
    )
    seen = exported(model, tmp_path, SERIES)
    assert seen.verification.relative_difference < 1e-5
    assert seen.operators["WHILE"] == 9  # one a layer, two where it goes both ways


def test_steps_that_are_masked_are_exported(tmp_path):
    model = masked(
        layers.LSTM(4),
        layers.Bidirectional(layers.LSTM(4)),
        layers.Bidirectional(layers.GRU(4, return_sequences=True)),
    )
    assert exported(model, tmp_path, WORDS).verification.relative_difference < 1e-5


def test_int8_takes_the_steps_one_after_the_other(tmp_path):
    model = recurrent(
        [layers.LSTM(4, return_sequences=True)],
        [layers.Bidirectional(layers.GRU(3, return_sequences=True))],
        [layers.Masking(), layers.LSTM(4)],
    )
    seen = exported(model, tmp_path, SERIES, format="int8", calibration=SERIES, min_agreement=0.5)
    assert "WHILE" not in seen.operators
    assert {seen.input.dtype, seen.output.dtype} == {"int8"}
    assert not any(getattr(layer, "unroll", False) for layer in model.layers)


def test_too_many_steps_are_refused_with_what_works(tmp_path):
    model = keras.Sequential([keras.Input((200, 3)), layers.LSTM(4), layers.Dense(2)])
    x = np.zeros((20, 200, 3), np.float32)
    assert recurrent_steps(model) == 200
    assert recurrent_steps(model, unrolled=True) == 0
    with pytest.raises(ExportError, match=r"200 steps .* Choose dynamic"):
        exported(model, tmp_path, x, format="int8", calibration=x)
    assert exported(model, tmp_path, x, format="dynamic").format == "dynamic"


def test_text_is_refused_with_where_to_cut(tmp_path):
    lookup = layers.StringLookup(vocabulary=["a", "b"])
    model = keras.Sequential([keras.Input((), dtype="string"), lookup, layers.Embedding(4, 2)])
    with pytest.raises(ExportError, match="takes text"):
        exported(model, tmp_path, np.array(["a"]))


def test_layers_that_keras_quantized_are_a_sentence(tmp_path):
    model = dense(layers.Dense(8, name="rounded"), layers.Dense(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the input layer can't be quantized, says Keras
        model.quantize("int8")
    with pytest.raises(ExportError, match=r"^The layer 'rounded' was quantized by Keras \(int8\)"):
        exported(model, tmp_path, TABLE)


def test_operators_that_it_lacks_are_a_sentence(tmp_path):
    model = sequential(layers.Conv2D(1, 1), layers.UpSampling2D(interpolation="bicubic"))
    with pytest.raises(ExportError) as caught:
        exported(model, tmp_path, np.zeros((20, 8, 8, 1)))
    assert str(caught.value).startswith("The model needs ResizeBicubic, which TensorFlow Lite")
    assert "loc(" not in str(caught.value)


def test_functions_and_layers_of_one_name_are_exported(tmp_path):
    given = keras.Input((6,))
    inner = given + layers.Dense(6)(given)
    nested = keras.Model(given, layers.Dense(6, name="add_99")(inner * 2), name="add_77")
    outer = layers.Add()([nested(inner), layers.Dense(6, name="add_88")(inner)]) + given
    seen = exported(keras.Model(given, layers.Dense(2)(outer)), tmp_path, TABLE)
    assert seen.verification.relative_difference < 1e-5


def test_a_classifier_of_one_output_has_an_accuracy(tmp_path):
    model = dense(layers.Dense(1, activation="sigmoid"))
    y = model(TABLE).numpy()[:, 0] > 0.5
    seen = exported(model, tmp_path, TABLE, y.astype(int)).verification
    assert (seen.accuracy, seen.keras_accuracy, seen.agreement) == (1.0, 1.0, 1.0)
    logits = dense(layers.Dense(1))
    logits.set_weights(model.get_weights())
    assert exported(logits, tmp_path, TABLE, y).verification.accuracy == 1.0


def test_a_label_a_pixel_can_be_checked(tmp_path):
    model = sequential(layers.Conv2D(3, 3, padding="same"))
    x = RNG.normal(size=(30, 8, 8, 1)).astype("float32")
    y = model(x).numpy().argmax(-1)
    y[:, 0] = 255
    seen = exported(model, tmp_path, x, y[..., None], format="int8", calibration=x)
    assert seen.verification.keras_accuracy == 1.0
    assert 0.9 < seen.verification.accuracy <= 1.0
    assert seen.verification.agreement > 0.9


def test_numbers_are_checked_in_their_unit_and_chosen_by(tmp_path):
    model = dense(layers.Dense(32, activation="relu"), layers.Dense(1))
    y = 100 * model(TABLE).numpy()[:, 0] + RNG.normal(size=300)
    model.layers[-1].set_weights([100 * w for w in model.layers[-1].get_weights()])
    made = export(
        model, tmp_path / "m.tflite", formats=["fp32", "int8"], calibration=TABLE,
        check_on=(TABLE, y), margin=0.01,
    )  # fmt: skip
    seen = made.report.verification
    assert seen.accuracy is None
    assert seen.keras_error == pytest.approx(1.0, abs=0.2)
    assert seen.error == pytest.approx(1.0, abs=1.5)
    assert "at most 1 points of share of explained variance lost" in made.reason
    assert f"Its error is {seen.error:.4g} (root mean square) on 300 examples." in made.reason
    refused = export(
        model, tmp_path / "n.tflite", formats=["fp32"], check_on=(TABLE, -y), margin=0.01
    ).report
    assert any("always answering their mean" in warning for warning in refused.warnings)


def test_other_labels_are_refused_with_both_shapes(tmp_path):
    with pytest.raises(ExportError, match=r"the shape \(300, 4\), but .* \(300, 2\)"):
        exported(dense(layers.Dense(2)), tmp_path, TABLE, np.zeros((300, 4)))
    with pytest.raises(ExportError, match="300 examples and 10 labels"):
        exported(dense(layers.Dense(2)), tmp_path, TABLE, np.zeros(10, int))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("where", ["calibration", "check_on"])
def test_data_that_is_not_finite_is_refused_by_name(bad, where, tmp_path):
    data = TABLE.astype(np.float64)
    data[5, 3] = bad
    given = {"calibration": TABLE, "check_on": (TABLE, None)}
    given[where] = data if where == "calibration" else (data, None)
    with pytest.raises(ExportError, match=rf"`{where}.* in 1 of 300 examples: 5\."):
        export(dense(layers.Dense(2)), tmp_path / "m.tflite", formats=["int8"], **given)
    assert list(tmp_path.iterdir()) == []


def test_what_gets_infinite_inside_is_named_by_its_layer(tmp_path):
    model = dense(layers.Dense(8, name="wide"), layers.Dense(8, activation="sigmoid"))
    far = TABLE.copy()
    far[7] *= 1e38
    model.layers[0].kernel.assign(np.abs(model.layers[0].kernel.numpy()) * 1e3)
    with pytest.raises(ExportError, match="layer 'wide' gives NaN or infinite numbers"):
        exported(model, tmp_path, TABLE, format="int8", calibration=np.abs(far))


def test_a_file_of_another_type_than_was_asked_for_is_refused(tmp_path):
    floats = parsed(exported(dense(layers.Dense(2)), tmp_path, TABLE).path.read_bytes())
    with pytest.raises(ExportError, match="came out with FLOAT32 where int8 was asked for"):
        check_types(floats, "int8", "it")
    assert check_types(floats, "fp32", "it") == ()
    small = exported(dense(layers.Dense(2)), tmp_path, TABLE, format="dynamic")
    assert any("None of its weights is stored as INT8" in said for said in small.warnings)


def test_a_network_that_gives_one_answer_is_told_without_labels(tmp_path):
    model = dense(layers.Dense(3))
    model.layers[0].bias.assign([0.0, 100.0, 0.0])
    heard = []
    compared = comparison.compare(
        [network := comparison.Network("it", model)], ["fp16"], baseline=network, folder=tmp_path,
        conditions=comparison.Conditions(check_on=(TABLE, None)), tell=heard.append,
    )  # fmt: skip
    assert any("gives the same class, 1, to all 300 examples" in line for line in heard)
    assert choice.choose(compared, objective="bytes", margin=0.0).attempt.format == "fp16"


def test_operators_are_counted_of_what_was_made(tmp_path):
    report = exported(dense(layers.Dense(2)), tmp_path, TABLE)
    assert operators(parsed(report.path.read_bytes())) == dict(report.operators)
