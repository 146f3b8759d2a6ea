import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from tfticket.norms.landscape import SmoothnessRecord
from tfticket.studies.norms.median_ratios import median_ratios


def record(widths):
    """A record whose bands have these widths, everything else 1."""
    ones, widths = np.ones(len(widths)), np.asarray(widths, float)
    values = {field.name: ones for field in dataclasses.fields(SmoothnessRecord)}
    tables = {name: np.ones((len(widths), 2)) for name in SmoothnessRecord.TABLES}
    change = widths[:, None] * [1.0, 2.0]  # so that beta is the width
    own = {"step": np.arange(1, len(widths) + 1), "multipliers": np.array([1.0, 2.0])}
    tables |= {"losses": 1 + change, "gradient_change": change}
    return SmoothnessRecord(**{**values, **tables, **own})


@pytest.fixture
def records():
    rng = np.random.default_rng(0)
    smooth = {seed: record(np.exp(rng.normal(size=60))) for seed in range(8)}
    rough = {seed: record(10 * np.exp(rng.normal(size=60))) for seed in range(8)}
    return smooth, rough


def test_the_ratio_is_found_and_a_few_moments_do_not_rule_it(records):
    smooth, rough = records
    found = median_ratios(smooth, rough, until=60)
    assert set(found) == {"loss_width", "predictiveness", "beta"}
    for each in found.values():
        assert each.lower < 10 < each.upper
        assert each.upper / each.lower < 3
        assert each.seeds == 8
    widths = np.exp(np.random.default_rng(1).normal(size=60))
    widths[:3] = 1e12
    wild = median_ratios({**smooth, 0: record(widths)}, rough, until=60)
    assert wild["beta"].lower < 10 < wild["beta"].upper
    assert wild["beta"].upper / wild["beta"].lower < 3


def test_only_what_is_shared_and_finite_counts(records):
    smooth, rough = records
    assert median_ratios(smooth, {}, until=60) == {}
    assert median_ratios(smooth, rough, until=4) == {}
    dead = replace(smooth[0], gradient_change=np.full((60, 2), np.nan))
    assert "beta" not in median_ratios({0: dead}, rough, until=60)
    assert median_ratios({0: dead}, rough, until=60)["loss_width"].seeds == 1


def test_equal_networks_are_not_told_apart(records):
    smooth, _ = records
    for each in median_ratios(smooth, smooth, until=60).values():
        assert (each.median, each.lower, each.upper) == (1.0, 1.0, 1.0)
