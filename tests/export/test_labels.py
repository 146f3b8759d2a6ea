"""Labels of every kind that models are trained with, and how right answers to them are."""

import numpy as np
import pytest

from tfticket.errors import ExportError
from tfticket.export.labels import Labels, check_numbers

RNG = np.random.default_rng(0)
CLASSES = RNG.normal(size=(40, 3))
BEST = CLASSES.argmax(-1)
YES = RNG.random((40, 1))
MAP = RNG.normal(size=(4, 6, 5, 3))


def quality(y, outputs):
    labels = Labels.of(np.asarray(y), outputs, "y")
    return labels.kind, labels.quality(outputs)


@pytest.mark.parametrize(
    "y",
    [BEST, BEST[:, None], BEST.astype(float), BEST.astype(object), np.eye(3)[BEST]],
    ids=["integers", "column", "floats", "objects", "one-hot"],
)
def test_classes_in_every_form(y):
    kind, found = quality(y, CLASSES)
    assert (kind, found.accuracy, found.error) == ("classes", 1.0, None)
    turned = np.roll(CLASSES, 1, axis=1)
    assert quality(y, turned)[1].accuracy == 0.0


@pytest.mark.parametrize(
    "y",
    [YES > 0.5, (YES > 0.5)[:, 0].astype(int), (YES > 0.5).astype(np.float32)],
    ids=["booleans", "flat", "floats"],
)
def test_yes_or_no_of_probabilities_and_of_logits(y):
    for outputs in (YES, np.log(YES / (1 - YES)), np.where(YES > 0.5, 1.0, 0.0)):
        assert quality(y, outputs)[0] == "binary"
        assert quality(y, outputs)[1].accuracy == 1.0
    assert quality(y, YES[:, 0])[1].accuracy == 1.0
    assert quality(y, 1 - YES)[1].accuracy == 0.0


def test_yes_or_no_as_a_margin_and_of_several_labels():
    assert quality(np.where(YES > 0.5, 1, -1), YES - 0.5)[1].accuracy == 1.0
    several = RNG.random((20, 4))
    kind, found = quality(several > 0.5, several)
    assert (kind, found.accuracy) == ("binary", 1.0)


@pytest.mark.parametrize("last", [(), (1,)])
def test_a_label_a_pixel_without_those_of_which_nothing_is_said(last):
    y = MAP.argmax(-1)
    assert quality(y.reshape(*y.shape, *last), MAP)[1].accuracy == 1.0
    wrong = (y + 1) % 3
    y[0, 0], wrong[0, 0] = 255, -1
    assert quality(y.reshape(*y.shape, *last), MAP)[1].accuracy == 1.0
    assert quality(wrong, MAP)[1].accuracy == 0.0
    wrong[1] = MAP[1].argmax(-1)
    assert quality(wrong, MAP)[1].accuracy == pytest.approx(30 / (4 * 30 - 5))


def test_a_yes_or_no_a_pixel():
    mask = RNG.random((4, 6, 5, 1))
    assert quality(mask[..., 0] > 0.5, mask) == ("binary", quality(mask > 0.5, mask)[1])


@pytest.mark.parametrize("sides", [(), (1,), (2,), (3, 2)])
def test_numbers_have_an_error_in_their_unit(sides):
    y = 10 * RNG.normal(size=(50, *sides))
    outputs = y.reshape(50, *(sides or (1,))) + np.where(np.arange(50) % 2, 2.0, -2.0).reshape(
        50, *[1] * len(sides or (1,))
    )
    kind, found = quality(y, outputs)
    assert (kind, found.accuracy) == ("numbers", None)
    assert found.error == pytest.approx(2.0)
    assert found.explained == pytest.approx(1 - 4 / y.var(axis=0).mean())
    assert found.score == found.explained
    assert quality(np.full(50, 3.0), outputs[:, :1].reshape(50, -1)[:, :1])[1].explained is None


@pytest.mark.parametrize(
    ("y", "outputs", "message"),
    [
        (BEST[:, None, None], CLASSES, r"the shape \(40, 1, 1\)"),
        (np.zeros((40, 2)), CLASSES, r"the shape \(40, 2\)"),
        (MAP.argmax(-1)[:, :5], MAP, "Give labels that belong"),
        (["a"] * 40, CLASSES, "`y` holds text"),
        (np.where(YES > 0.5, np.nan, 0), YES, "NaN or infinite"),
    ],
)
def test_labels_that_fit_nothing_are_refused(y, outputs, message):
    with pytest.raises(ExportError, match=message):
        Labels.of(np.asarray(y), outputs, "y")


def told(y, outputs):
    labels = Labels.of(y, outputs, "y")
    return labels.chance_note(labels.quality(outputs), of="The model")


def test_answers_no_better_than_chance_are_told():
    y = np.arange(300) % 3
    right = np.eye(3)[y] + 0.1 * RNG.normal(size=(300, 3))
    assert told(y, right) is None
    assert "The model is right on 33.3 %" in told(y, np.ones((300, 3)))
    assert "chance" in told(y, RNG.normal(size=(300, 3)))
    assert "chance" in told(y % 2, np.full((300, 1), 0.7))


def test_numbers_no_better_than_their_mean_are_told():
    y = RNG.normal(size=200) + 5
    assert told(y, y[:, None] + 0.5) is None
    assert "always answering their mean has" in told(y, np.full((200, 1), 4.0))


@pytest.mark.parametrize("values", [[1, 2], np.ones((2, 3), np.float16), [True], [1, None][:1]])
def test_finite_numbers_pass(values):
    np.testing.assert_array_equal(check_numbers(values, "x"), np.asarray(values))


def test_numbers_of_python_in_a_table_are_numbers():
    table = np.array([[1, 2.5], [3, 4]], object)
    assert check_numbers(table, "x", np.float32).dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_places(bad):
    x = np.zeros((10, 4), np.float32)
    x[[3, 7], 2] = bad
    message = r"`x` holds 2 numbers that are NaN or infinite .* in 2 of 10 examples: 3, 7\."
    with pytest.raises(ExportError, match=message):
        check_numbers(x, "x")


def test_what_gets_infinite_in_the_type_of_the_model_is_named():
    x = np.array([[1.0], [1e300]])
    assert check_numbers(x, "x") is x
    with pytest.raises(ExportError, match=r"\(in float32\), in 1 of 2 examples: 1\."):
        check_numbers(x, "x", np.float32)


@pytest.mark.parametrize(
    ("values", "kind"), [(["a"], "text"), ([{}], "objects"), (np.zeros(1, complex), "complex128")]
)
def test_what_is_no_number_is_refused(values, kind):
    with pytest.raises(ExportError, match=f"`x` holds {kind}"):
        check_numbers(values, "x")
