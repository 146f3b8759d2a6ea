import keras
import pytest

from tfticket.noisy.means import Means


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
