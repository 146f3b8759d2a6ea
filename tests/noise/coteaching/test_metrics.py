import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.noise.coteaching.metrics import Means, SelectionCounter
from tfticket.noise.coteaching.selection import LossMasks, Selection

pytestmark = pytest.mark.slow

GIVEN, TRUE = [0, 0, 1, 2], [0, 1, 1, 2]


def mask(*values):
    return tf.constant([bool(value) for value in values])


def selected(
    first,
    second,
    eligible=(1, 1, 1, 1),
    *,
    labels=GIVEN,
    losses=((1.0, 1.0, 1.0, 1.0),) * 2,
):
    losses = tuple(tf.constant(each) for each in losses)
    return Selection(
        masks=LossMasks(mask(*first), mask(*second), mask(*eligible)),
        losses=losses,
        minimized=losses,
        forget_rate=tf.constant(0.25),
        disagree=mask(0, 1, 0, 1),
        labels=None if labels is None else tf.constant(labels),
    )


def counted(*selections, true=None, classes=3):
    counter = SelectionCounter(classes)
    for each in selections:
        counter.update(each, None if true is None else tf.constant(true))
    return counter


def test_counts_of_two_steps_are_those_counted_by_hand():
    both = selected((1, 1, 0, 0), (1, 0, 1, 0)), selected((1, 1, 1, 0), (1, 1, 1, 1))
    found = counted(*both, true=TRUE).summary()
    assert (found.steps, found.forget_rate, found.disagreement) == (2, 0.25, 0.5)
    assert found.keep_rate == (2 + 3.5) / 8
    assert found.class_seen.tolist() == [4, 2, 2]
    np.testing.assert_allclose(found.class_keep_rate, [3.5 / 4, 1.5 / 2, 0.5 / 2])
    assert found.label_precision == pytest.approx((1.5 + 2.5) / (2 + 3.5))
    assert found.label_recall == pytest.approx((1.5 + 2.5) / 6)
    assert found.starved == 0


def test_the_scoreboard_gets_the_same_numbers_as_scalars():
    each = selected((1, 1, 0, 0), (1, 0, 0, 0), eligible=(1, 1, 1, 0))
    found = SelectionCounter(3).update(each, None)
    assert [float(x) for x in found] == [1.5, 3, 2, 0.25]
    assert found.kept.dtype == tf.float32


def test_a_network_with_one_of_several_eligible_samples_is_starved():
    one = (0, 1, 0, 0)
    assert counted(selected(one, (1, 1, 0, 0))).summary().starved == 1
    assert counted(selected(one, one, eligible=one)).summary().starved == 0


def test_losses_that_are_not_finite_are_counted_for_both_networks():
    nan, inf = float("nan"), float("inf")
    losses = (nan, 1.0, inf, 1.0), (1.0, nan, 1.0, 1.0)
    assert counted(selected((1,) * 4, (1,) * 4, losses=losses)).summary().not_finite == 3


def test_without_classes_nothing_is_counted_by_class():
    found = counted(selected((1,) * 4, (1,) * 4, labels=None), classes=None).summary()
    assert found.class_seen.shape == (0,)
    assert found.label_precision is None


def test_begins_anew():
    counter = counted(selected((1,) * 4, (1,) * 4), true=TRUE)
    counter.reset()
    assert counter.summary().steps == 0
    assert np.isnan(counter.summary().keep_rate)
    assert counter.summary().class_seen.sum() == 0


def test_says_what_as_many_metrics_of_keras_say():
    means, alone = Means(["a", "b"]), keras.metrics.Mean()
    for value, weight in ((1.0, 3), (5.0, 1)):
        means.update_state({"b": (value * weight, weight)})
        alone.update_state(value, sample_weight=weight)
    found = {name: float(value) for name, value in means.result().items()}
    assert found == {"a": 0.0, "b": float(alone.result())}
    assert list(found) == ["a", "b"]
    means.reset_state()
    assert float(means.result()["b"]) == 0


def test_one_variable_holds_them_all():
    assert len(Means(["a", "b", "c"]).variables) == 1


def test_each_is_weighted_by_itself():
    means = Means(["a", "b"])
    means.update_state({"a": (6.0, 2), "b": (1.0, 4)})
    assert [float(value) for value in means.result().values()] == pytest.approx([3.0, 0.25])
