from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_pair import softmax

from tfticket.errors import DataError, ModelError
from tfticket.noise.labels.transition import pair, symmetric
from tfticket.noise.losses import ForwardCorrection, GeneralizedCrossentropy, PerSampleLoss

pytestmark = pytest.mark.slow

Z = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
P = softmax(Z)
Y = np.array([0, 2, 1, 1, 0])


def test_gce_is_that_of_keras_where_keras_is_right():
    own = GeneralizedCrossentropy(0.6).call(tf.constant(Y), tf.constant(P))
    keras_own = keras.losses.CategoricalGeneralizedCrossEntropy(0.6, reduction=None)(Y, P)
    np.testing.assert_allclose(own, keras_own, rtol=1e-5)


def test_gce_takes_logits_columns_and_one_hot_rows():
    expected = (1 - P[range(5), Y] ** 0.7) / 0.7
    for labels in (Y, Y[:, None], np.eye(3)[Y]):
        for loss, outputs in ((GeneralizedCrossentropy(), P), (_logits_gce(), Z)):
            found = loss.call(tf.constant(labels), tf.constant(outputs))
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def _logits_gce():
    return GeneralizedCrossentropy(from_logits=True)


@pytest.mark.parametrize("loss", [GeneralizedCrossentropy(), ForwardCorrection(np.eye(3))])
def test_a_label_that_is_no_class_is_no_number(loss):
    # As Keras' own cross-entropy on a GPU; a constant would teach nothing and never be noticed.
    values = loss.call(np.array([0, 3, -1]), np.full((3, 3), 1 / 3, "float32"))
    np.testing.assert_array_equal(np.isnan(values), [False, True, True])


def test_gce_has_a_finite_gradient_where_the_probability_is_zero():
    logits = tf.constant([[200.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = _logits_gce()(tf.constant([1]), logits)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_forward_correction_with_no_noise_is_cross_entropy():
    found = ForwardCorrection(np.eye(3), from_logits=True).call(tf.constant(Y), tf.constant(Z))
    np.testing.assert_allclose(found, -np.log(P[range(5), Y]), rtol=1e-4)


def test_forward_correction_goes_from_the_true_to_the_given_label():
    noise = pair(3, 0.4)  # not symmetric: the other way around would show
    expected = -np.log((P @ np.asarray(noise))[range(5), Y])
    for labels in (Y, np.eye(3)[Y]):
        found = ForwardCorrection(noise).call(tf.constant(labels), tf.constant(P))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.allclose(expected, -np.log((P @ np.asarray(noise).T)[range(5), Y]))


@pytest.mark.parametrize(
    "loss", [GeneralizedCrossentropy(0.5), ForwardCorrection(symmetric(3, 0.2), from_logits=True)]
)
def test_losses_can_be_saved(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(Y, P)) == float(loss(Y, P))


def test_what_is_no_loss_or_matrix_is_refused():
    with pytest.raises(ModelError, match="q"):
        GeneralizedCrossentropy(0.0)
    with pytest.raises(DataError, match="Received"):
        ForwardCorrection([[0.9, 0.5], [0.1, 0.5]])
    with pytest.raises(ModelError, match="column for each class"):
        ForwardCorrection(np.eye(2)).call(tf.constant(Y), tf.constant(P))


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(reduction="none"),
    ],
)
def test_any_loss_has_its_values(loss):
    found = PerSampleLoss(loss).values(tf.constant(Y), tf.constant(P))
    np.testing.assert_allclose(found, -np.log(P[range(5), Y]), rtol=1e-4)


NO_LOSSES = ("Loss", "LossFunctionWrapper", "get", "serialize", "deserialize")
NO_LOSSES += ("categorical_generalized_cross_entropy",)  # asks for q; the class has it
SHORT = ("mse", "MAE", "bce", "mape", "msle", "kld", "crossentropy", "ce")
NAMES = {name for name in dir(keras.losses) if name[0] != "_"}.difference(NO_LOSSES).union(SHORT)
WHOLE = ("Dice", "dice", "Tversky", "tversky")  # of the batch, not of its samples
ROWS = ("categorical", "cosine", "kl_", "KL", "kld", "Categorical", "Cosine")


def outputs_and_labels(name):
    """Predictions, and labels that the loss is made for."""
    rng = np.random.default_rng(1)
    if name.lower() == "ctc":
        return rng.normal(size=(4, 5, 3)).astype("float32"), np.array([[1, 2], [2, 1]] * 2)
    if name in ("crossentropy", "ce") or name.lower().startswith(("sparse", "categoricalg")):
        return P, Y
    if name.lower() == "circle":
        return P / np.linalg.norm(P, axis=1, keepdims=True), np.array([0, 1, 1, 1, 0])
    if name.startswith(ROWS):
        return P, np.eye(3, dtype="float32")[Y]
    return rng.uniform(0.1, 0.9, (5, 1)).astype("float32"), np.array([0, 1, 1, 0, 1.0])


@pytest.mark.parametrize("name", sorted(NAMES.difference(WHOLE)))
def test_every_loss_of_keras_by_its_name_has_the_values_that_keras_takes_the_mean_of(name):
    outputs, labels = outputs_and_labels(name)
    # Keras itself doesn't know this one by its name.
    loss = getattr(keras.losses, name) if name == "CategoricalGeneralizedCrossEntropy" else name
    loss = loss() if isinstance(loss, type) else loss
    plain = keras.Sequential([keras.Input(outputs.shape[1:]), keras.layers.Identity()])
    plain.compile("sgd", loss, run_eagerly=True)
    forms = (labels, labels[:, None]) if labels.ndim == 1 else (labels,)
    for given in forms:
        want = plain.evaluate(outputs, given, batch_size=len(outputs), verbose=0)
        values = PerSampleLoss(loss).values(tf.constant(given), tf.constant(outputs))
        assert values.shape == (len(outputs),)
        np.testing.assert_allclose(np.mean(values), want, rtol=1e-5)


@pytest.mark.parametrize("name", WHOLE)
def test_a_loss_of_the_whole_batch_is_refused(name):
    with pytest.raises(ModelError, match="a value for each"):
        PerSampleLoss(name).values(tf.constant(np.eye(3)[Y]), tf.constant(P))


def test_a_function_is_given_labels_and_predictions_of_one_rank():
    seen = []

    def loss(y_true, y_pred):
        seen.append((y_true.shape, y_pred.shape))
        return keras.ops.square(y_true - y_pred)[:, 0]

    for labels in (np.arange(4.0), np.arange(4.0)[:, None]):
        values = PerSampleLoss(loss).values(tf.constant(labels), tf.zeros((4, 1)))
        np.testing.assert_allclose(values, [0, 1, 4, 9])
    assert seen == [((4, 1), (4, 1))] * 2


def test_a_sample_of_many_positions_has_the_mean_of_their_losses():
    outputs = tf.constant(np.stack([P, P[::-1]]))
    labels = tf.constant(np.stack([Y, Y]))
    found = PerSampleLoss("sparse_categorical_crossentropy").values(labels, outputs)
    expected = [-np.log(p[range(5), Y]).mean() for p in (P, P[::-1])]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_mean_is_over_the_kept_and_divided_once():
    loss = PerSampleLoss("mse")
    values, kept = tf.constant([1.0, 2.0, 30.0, np.nan]), tf.constant([True, True, False, False])
    assert float(loss.mean(values, kept)) == 1.5
    assert float(loss.mean(values, kept, tf.constant([3.0, 1.0, 1.0, 1.0]))) == 2.5
    assert float(loss.mean(values, tf.zeros(4, tf.bool))) == 0.0
    by_weight = PerSampleLoss(keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    assert float(by_weight.mean(values, kept, tf.constant([3.0, 1.0, 1.0, 1.0]))) == 1.25


@pytest.mark.parametrize(
    "loss",
    [
        None,
        ["mse", "mae"],
        {"a": "mse"},
        keras.losses.MeanSquaredError(reduction="sum"),
        "no_such_loss",
        3,
    ],
)
def test_what_has_no_values_to_select_by_is_refused(loss):
    with pytest.raises(ModelError, match="Received"):
        PerSampleLoss(loss)


def test_a_loss_that_sums_over_the_batch_is_refused():
    loss = PerSampleLoss(lambda y, p: keras.ops.mean(p))
    with pytest.raises(ModelError, match="a value for each"):
        loss.values(tf.constant(Y), tf.constant(P))
