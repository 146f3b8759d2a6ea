import numpy as np
import pytest

from tfticket.errors import MaskError
from tfticket.sparsity.scores import (
    WEIGHT_SCORES,
    magnitude,
    magnitude_increase,
    movement,
    random_scores,
    score_weights,
)

INITIAL = np.array([[1.0, -2.0], [0.5, 0.0]])
FINAL = np.array([[-1.5, -1.0], [0.5, -0.25]])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (magnitude, [[1.5, 1.0], [0.5, 0.25]]),
        (magnitude_increase, [[0.5, -1.0], [0.0, 0.25]]),
        (movement, [[2.5, 1.0], [0.0, 0.25]]),
    ],
)
def test_the_definitions(score, expected):
    np.testing.assert_array_equal(score(INITIAL, FINAL), expected)
    assert WEIGHT_SCORES[score.__name__] is score


def test_each_variable_is_scored_for_itself():
    scores = score_weights(
        movement,
        {"a/kernel": INITIAL, "b/kernel": FINAL, "a/bias": np.ones(2)},
        {"a/kernel": FINAL, "b/kernel": FINAL},
    )
    assert list(scores) == ["a/kernel", "b/kernel"]
    np.testing.assert_array_equal(scores["a/kernel"], movement(INITIAL, FINAL))
    assert not scores["b/kernel"].any()


def test_a_score_of_another_shape_is_refused():
    with pytest.raises(MaskError, match=r"Received: \(2,\) for `a/kernel` of shape \(2, 2\)"):
        score_weights(lambda i, f: f.sum(0), {"a/kernel": INITIAL}, {"a/kernel": FINAL})


def test_random_scores_come_from_the_generator_alone():
    shapes = {"a/kernel": (3, 4), "b/kernel": (5, 2)}
    one, same, other = (random_scores(shapes, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert {key: array.shape for key, array in one.items()} == shapes
    for key in shapes:
        np.testing.assert_array_equal(one[key], same[key])
        assert (one[key] != other[key]).all()
        assert ((one[key] >= 0) & (one[key] < 1)).all()
