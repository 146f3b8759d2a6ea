import numpy as np
import pytest

from tfticket.noise.evidence import ClassMeans


def test_a_column_speaks_by_its_standardized_distances():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    x = rng.normal(size=(400, 3)) + 3 * np.outer(labels, [1, 0, 0])
    row = np.array([3.0, 0.5, -9.0])
    means = [x[labels == each].mean(axis=0) for each in (0, 1)]
    deviation = np.sqrt(np.mean([x[labels == each].var(axis=0) for each in (0, 1)], axis=0))
    unlike = [((row - mean) / deviation) ** 2 for mean in means]
    found = ClassMeans(x, labels).against(row, given=0, suggested=1)
    expected = {c: w for c, w in enumerate(unlike[0] - unlike[1]) if w > 0}
    assert {each.column: each.weight for each in found} == pytest.approx(expected)
    assert found[0].column == 0
    assert (found[0].value, found[0].given) == pytest.approx((3, means[0][0]))
    assert [each.column for each in found] == sorted(expected, key=lambda c: -expected[c])


def test_nothing_speaks_where_nothing_differs_or_is_known():
    x, labels = np.array([[1.0, 2], [1, 3], [1, 4], [9, 9]]), np.array([0, 0, 2, -1])
    means = ClassMeans(x, labels)
    assert [each.column for each in means.against(x[2], given=0, suggested=2)] == [1]
    assert means.against(x[0], given=0, suggested=2) == []
    assert means.against(x[0], given=0, suggested=1) == []
    assert means.against(x[0], given=3, suggested=0) == []
    assert len(means.against(x[2], given=0, suggested=2, most=0)) == 0
