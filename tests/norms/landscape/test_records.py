import dataclasses

import numpy as np
import pytest

from tfticket.errors import TicketError
from tfticket.norms import SmoothnessRecord


def record(*, losses, change, loss=1.0, gradient=2.0, weights=10.0, rate=0.1, multipliers=None):
    """A record of one moment along the gradient: the distances are k * rate * gradient."""
    k = np.array(multipliers or range(1, len(losses) + 1), float)
    length = rate * gradient
    return SmoothnessRecord(
        step=np.array([7]),
        learning_rate=np.array([rate]),
        multipliers=k,
        loss=np.array([loss]),
        losses=np.array([losses], float),
        weight_norm=np.array([weights]),
        gradient_norm=np.array([gradient]),
        direction_norm=np.array([length]),
        slope=np.array([-rate * gradient**2]),
        gradient_norms=np.array([[gradient] * len(k)]),
        gradient_change=np.array([change], float),
        curvature=np.array([np.array(change) / (k * (length or 1.0))]),
    )


def test_bands_reach_from_the_smallest_to_the_largest():
    r = record(losses=[3.0, 1.0, 2.0], change=[0.5, 0.25, 4.0])
    np.testing.assert_array_equal(r.loss_band, [[1.0, 3.0]])
    np.testing.assert_array_equal(r.gradient_predictiveness, [[0.25, 4.0]])


def test_beta_divides_by_the_distance_moved():
    r = record(losses=[1, 1, 1], change=[0.1, 0.6, 0.3], rate=0.1, gradient=2.0)
    np.testing.assert_allclose(r.beta_curve, [[0.1 / 0.2, 0.6 / 0.4, 0.3 / 0.6]])
    assert (r.effective_beta, r.beta_at) == (pytest.approx(1.5), 2.0)


def test_beta_of_a_parabola_is_the_same_everywhere_and_not_saturated():
    # g_k = (1 - k rate a) g_0 with a curvature so high that the gradient turns round at once
    curvature, rate, gradient = 400.0, 0.1, 2.0
    k = np.array([0.5, 1, 2, 4])
    r = record(losses=[1] * 4, change=k * rate * curvature * gradient, multipliers=[0.5, 1, 2, 4])
    np.testing.assert_allclose(r.beta_curve, curvature)
    assert not r.saturated[0]


@pytest.mark.parametrize(("left", "beta"), [(0.0, 1 / 0.05), (-1.0, 2 / 0.05)])
def test_beta_that_tells_only_the_grid_is_flagged(left, beta):
    # Wherever one looks the gradient is 0 (behind a cliff) or has turned round (|x| about 0).
    gradient = 2.0
    change = [(1 - left) * gradient] * 4
    r = record(losses=[1] * 4, change=change, multipliers=[0.5, 1, 2, 4], gradient=gradient)
    assert r.effective_beta == pytest.approx(beta)
    assert r.saturated[0]
    assert r.beta_at == 0.5


def test_one_multiplier_cannot_tell_saturation():
    assert not record(losses=[1.0], change=[2.0]).saturated[0]


def test_relative_forms_do_not_depend_on_the_scale_of_the_weights():
    """L(c W) = L(W): gradients scale by 1 / c; the same relative step needs a rate c^2 as large."""
    c = 5.0
    some = record(losses=[1, 2], change=[0.3, 0.5])
    scaled = record(
        losses=[1, 2], change=[0.3 / c, 0.5 / c], gradient=2 / c, weights=10 * c, rate=0.1 * c**2
    )
    np.testing.assert_allclose(scaled.relative_distance, some.relative_distance)
    np.testing.assert_allclose(scaled.relative_change, some.relative_change)
    np.testing.assert_allclose(scaled.relative_beta, some.relative_beta)
    np.testing.assert_allclose(scaled.gauge, some.gauge)
    assert scaled.effective_beta == pytest.approx(some.effective_beta / c**2)


def test_relative_beta_is_the_largest_relative_change_over_relative_distance():
    r = record(losses=[1, 1, 1], change=[0.1, 0.6, 0.3])
    expected = np.max(r.relative_change / r.relative_distance)
    assert r.relative_beta == pytest.approx(expected)


def test_the_gauge_is_half_of_learning_rate_times_sharpness():
    r = record(losses=[1, 1], change=[0.4, 0.9], rate=0.1, gradient=2.0)
    assert r.sharpness == pytest.approx(0.4 / 0.2)
    assert r.gauge == pytest.approx(0.1 * r.sharpness / 2)


@pytest.mark.parametrize(
    ("losses", "usable"),
    [([0.5, 0.7, 1.0, 1.2], 3.0), ([1.1, 0.5, 0.5, 0.5], 0.0), ([0.9, 2.0, 0.1, 0.1], 1.0)],
)
def test_usable_ends_at_the_first_point_with_more_loss(losses, usable):
    assert record(losses=losses, change=[1] * 4).usable == usable


def test_no_gradient_gives_no_number():
    r = record(losses=[1, 1], change=[0, 0], gradient=0.0)
    assert np.isnan([r.effective_beta, r.relative_beta, r.gauge]).all()
    assert not r.saturated[0]


def test_what_float32_weights_cannot_resolve_gives_no_beta():
    assert np.isnan(record(losses=[1, 1], change=[1, 1], weights=1e8).effective_beta[0])


def test_rows_hold_every_derived_measure():
    r = record(losses=[3.0, 1.0, 2.0], change=[0.5, 0.25, 4.0])
    rows = r.rows(seed=3, branch="batch", steps_per_epoch=2)
    assert {(row.seed, row.branch, row.level, row.step, row.epoch) for row in rows} == {
        (3, "batch", 0, 7, 3.5)
    }
    assert {row.split for row in rows} == {"landscape"}
    values = {row.name: row.value for row in rows}
    assert (values["loss_min"], values["loss_max"]) == (1.0, 3.0)
    assert (values["predictiveness_min"], values["predictiveness_max"]) == (0.25, 4.0)
    assert values["beta"] == r.effective_beta[0]
    assert values["saturated"] == 0.0


def test_a_file_gives_the_record_back(tmp_path):
    r = record(losses=[3.0, 1.0], change=[0.5, 0.25])
    again = SmoothnessRecord.load(r.save(tmp_path / "record.npz"))
    for name, array in r.to_arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)


def test_a_record_that_lacks_a_field_is_refused():
    arrays = record(losses=[3.0], change=[0.5]).to_arrays()
    del arrays["slope"]
    with pytest.raises(TicketError, match=r"Missing: \['slope'\]"):
        SmoothnessRecord.from_arrays(arrays)


def test_shapes_that_do_not_fit_are_refused():
    r = record(losses=[3.0, 1.0], change=[0.5, 0.25])
    with pytest.raises(ValueError, match="`losses` must have the shape"):
        dataclasses.replace(r, losses=np.ones((1, 3)))
