from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import Subclassed, mlp
from small_pair import softmax

from tfticket.errors import ModelError
from tfticket.noise.coteaching.outputs import (
    class_count,
    class_ids,
    disagreement,
    kind_of_outputs,
    log_probabilities,
    mean_outputs,
    symmetric_divergence,
)

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 6, 3)).astype("float32")


def test_the_logits_of_two_give_the_mean_of_their_probabilities():
    together = np.array(mean_outputs(tf.constant(A), tf.constant(B), "logits"))
    np.testing.assert_allclose(softmax(together), (softmax(A) + softmax(B)) / 2, rtol=1e-5)


def test_a_single_logit_too():
    together = mean_outputs(tf.constant(A[:, :1]), tf.constant(B[:, :1]), "logits")
    expected = (1 / (1 + np.exp(-A[:, :1])) + 1 / (1 + np.exp(-B[:, :1]))) / 2
    np.testing.assert_allclose(keras.ops.sigmoid(together), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["probabilities", "values"])
def test_probabilities_and_values_are_averaged(kind):
    together = mean_outputs(tf.constant(A), tf.constant(B), kind)
    np.testing.assert_allclose(together, (A + B) / 2, rtol=1e-6)


def test_probabilities_and_their_logits_have_the_same_logarithms():
    expected = np.log(softmax(A))
    np.testing.assert_allclose(log_probabilities(tf.constant(A), "logits"), expected, rtol=1e-4)
    found = log_probabilities(tf.constant(softmax(A)), "probabilities")
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    single = np.exp(log_probabilities(tf.constant([[0.25]]), "probabilities"))
    np.testing.assert_allclose(single, [[0.75, 0.25]], rtol=1e-6)


def test_networks_differ_where_they_predict_different_classes():
    expected = A.argmax(1) != B.argmax(1)
    assert disagreement(tf.constant(A), tf.constant(B), "logits").numpy().tolist() == list(expected)
    single = disagreement(tf.constant([[0.6], [0.6]]), tf.constant([[0.9], [0.2]]), "probabilities")
    assert single.numpy().tolist() == [False, True]
    positions = disagreement(tf.constant(A[None]), tf.constant(B[None]), "logits")
    assert positions.numpy().tolist() == [bool(expected.any())]


def test_divergence_in_both_directions():
    p, q = softmax(A), softmax(B)
    expected = (p * np.log(p / q)).sum(1) + (q * np.log(q / p)).sum(1)
    found = symmetric_divergence(tf.constant(A), tf.constant(B), "logits")
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert float(tf.reduce_max(symmetric_divergence(A, A, "logits"))) == 0


def test_kind_is_seen_at_the_last_layer():
    nested = keras.Sequential([keras.Input((6,)), mlp((6, 3), last="softmax")])
    assert kind_of_outputs(mlp()) == "logits"
    assert kind_of_outputs(mlp(last="softmax")) == "probabilities"
    assert kind_of_outputs(mlp((6, 1), last="sigmoid")) == "probabilities"
    assert kind_of_outputs(nested) == "probabilities"
    x = keras.Input((6,))
    assert kind_of_outputs(keras.Model(x, keras.layers.Softmax()(mlp()(x)))) == "probabilities"
    with pytest.raises(ModelError, match="outputs='logits'"):
        kind_of_outputs(Subclassed())


def test_classes_of_labels():
    assert class_count((None, 10), "logits") == 10
    assert class_count((None, 1), "logits") == 2
    assert class_count((None, 10), "values") is None
    for labels in ([0, 2], [[0], [2]], [[1, 0, 0], [0, 0, 1]]):
        assert class_ids(tf.constant(labels), 3).numpy().tolist() == [0, 2]
    assert class_ids(tf.zeros((2, 4, 4)), 3) is None
    assert class_ids(tf.zeros(2), None) is None
