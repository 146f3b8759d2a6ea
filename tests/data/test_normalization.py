"""A network sees the numbers of the file, or what is told of."""

import numpy as np
import pytest

from tfticket import data
from tfticket.data import Feed, batches
from tfticket.data.checks import checked
from tfticket.data.dataset import Source, Split
from tfticket.data.normalization import normalization
from tfticket.errors import DataError

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 20_000, (200, 9))
PADDED = np.where(np.arange(40) < RNG.integers(2, 40, (200, 1)), RNG.integers(1, 500, (200, 40)), 0)
ADULT = np.stack(  # age, years of school, hours a week, a gain
    [RNG.integers(low, high, 200) for low, high in ((17, 90), (1, 16), (1, 99), (0, 99_999))], 1
)
PIXELS = RNG.integers(0, 256, (200, 4, 4, 3))
PIXELS.flat[:2] = 0, 255
FEATURES = RNG.normal(0, (0.001, 40.0, 1e5), (200, 3))


def loaded(tmp_path, x, normalize="auto", **options):
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(len(x)) % 2)
    return data.load(f"npz:{tmp_path / 'a.npz'}", normalize=normalize, **options)


@pytest.mark.parametrize(
    "x",
    [
        TOKENS,
        TOKENS.astype(np.int32),
        TOKENS.astype(float),  # as np.loadtxt reads them
        PADDED,
        RNG.integers(0, 2, (200, 30)),  # flags
        RNG.integers(0, 2, (200, 30)).astype(np.uint8),
        RNG.integers(0, 2, (200, 5, 5)).astype(np.uint8),  # black and white
        RNG.uniform(0, 1, (200, 4, 4, 3)),
        RNG.uniform(-1, 1, (200, 4, 4, 3)),
        RNG.uniform(-1, 1, (200, 7)),
    ],
)
def test_taken_as_they_are(tmp_path, x):
    found = loaded(tmp_path, x)
    assert (found.normalize, found.as_it_is) == ("none", True)
    np.testing.assert_array_equal(
        found.inputs(found.train).reshape(-1, *x.shape[1:]), x[found.train_ids].astype(np.float32)
    )
    assert "taken as they are" in found.feeding


@pytest.mark.parametrize(
    ("x", "factor"),
    [
        (PIXELS.astype(np.uint8), 1 / 255),
        (PIXELS, 1 / 255),
        (PIXELS.astype(np.float32), 1 / 255),
        (PIXELS.reshape(200, -1), 1 / 255),  # images in rows, as fetch_openml has them
        (PIXELS.reshape(200, -1).astype(np.uint8), 1 / 255),
        (RNG.integers(0, 100, (200, 9)).astype(np.uint8), 1 / 255),
        (np.minimum(PIXELS[..., 0], 16).astype(float), 1 / 31),  # digits of scikit-learn
        (PIXELS.astype(np.uint16) * 16, 1 / 4095),
        (PIXELS.astype(np.uint16) * 257, 1 / 65535),
    ],
)
def test_images_of_whole_numbers_are_scaled_by_the_range_of_their_bits(tmp_path, x, factor):
    found = loaded(tmp_path, x)
    assert found.normalize == "unit"
    assert float(found.scale) == pytest.approx(factor)
    assert float(found.offset) == 0


@pytest.mark.parametrize("x", [FEATURES, ADULT, ADULT - 50, np.c_[TOKENS, TOKENS[:, 0] * 1e7]])
def test_features_are_standardized_by_column(tmp_path, x):
    found = loaded(tmp_path, x)
    assert found.normalize == "standard"
    fed = found.inputs(found.train)
    np.testing.assert_allclose(fed.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(fed.std(0), 1, atol=1e-4)
    assert "each column less its mean" in found.feeding


@pytest.mark.parametrize("x", [PIXELS - 128.0, PIXELS * 5.5 - 1000, RNG.normal(0, 1, (200, 8, 2))])
def test_images_without_a_known_range_are_standardized_by_channel(tmp_path, x):
    found = loaded(tmp_path, x)
    assert found.normalize == "standard"
    fed = found.inputs(found.train)
    np.testing.assert_allclose(fed.mean((0, 1, 2)), 0, atol=1e-4)
    assert "each channel less its mean" in found.feeding


def test_what_inputs_are_depends_on_no_split_and_no_limit(tmp_path):
    x = PIXELS.reshape(200, -1)
    for options in ({"limit": 3}, {"seed": 5}, {"validation": 0.5}):
        assert float(loaded(tmp_path, x, **options).scale) == np.float32(1 / 255)


@pytest.mark.parametrize("name", ["digits", "mnist1d", "linear", "friedman1", "shapes"])
def test_built_in_data_is_scaled_as_ever(name):
    found, asked = data.load(name), data.load(name, normalize="unit")
    np.testing.assert_array_equal(found.scale, asked.scale)
    assert found.fingerprint == asked.fingerprint


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_unit(tmp_path, dtype):
    found = loaded(tmp_path, PIXELS.astype(dtype) // 2, "unit")
    fed = found.inputs(found.train)
    assert fed.min() == 0
    assert fed.max() == pytest.approx(127 / 255 if dtype == np.uint8 else 1)
    shifted = loaded(tmp_path, PIXELS - 100.0, "unit")
    fed = shifted.inputs(shifted.train)
    assert (fed.min(), fed.max()) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_standard_is_measured_on_what_is_trained_on(tmp_path, dtype):
    found = loaded(tmp_path, PIXELS.astype(dtype), "standard")
    fed = found.inputs(found.train)
    np.testing.assert_allclose(fed.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(fed.std((0, 1, 2)), 1, atol=1e-5)
    assert abs(found.inputs(found.test).mean()) > 1e-3


def test_constant_and_extreme_columns_stay_finite(tmp_path):
    x = np.stack([np.full(200, 7.0), RNG.normal(0, 1e30, 200), RNG.normal(0, 1e-42, 200)], 1)
    found = loaded(tmp_path, x)
    assert (found.scale[0], found.offset[0]) == (1, -7)
    fed = found.inputs(found.train)
    assert np.isfinite(fed).all()
    assert fed[:, 1].std() == pytest.approx(1, abs=1e-4)


def test_whole_numbers_that_float32_cannot_hold_arrive_as_they_are(tmp_path):
    x = 2**50 + np.arange(600).reshape(200, 3)
    found = loaded(tmp_path, x)
    assert (found.inputs(found.test) == found.test.x).all()
    np.testing.assert_array_equal(found.test.x[:, 1], found.test.x[:, 0] + 1)
    feed = Feed(
        found.train, batch_size=5, seed=0, chunk_steps=1, scale=found.scale, offset=found.offset
    )
    given, _ = feed.batch(0)
    np.testing.assert_array_equal(given, found.train.x[feed.indices(0, 1)[0]])
    held_out = batches(found.test, scale=found.scale, offset=found.offset)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in held_out]), found.test.x)
    scaled = loaded(tmp_path, x, "standard")
    assert scaled.inputs(scaled.train).dtype == np.float32


def test_a_part_with_small_numbers_has_the_type_of_the_other():
    y = np.array([0, 1])
    made = checked(
        "a", Source(Split(np.array([[1], [2]]), y), Split(np.array([[2**40], [1]]), y), "made up")
    )
    assert made.train.x.dtype == made.test.x.dtype == np.int64
    with pytest.raises(DataError, match="below 2"):
        checked("a", Source(Split(np.array([[1], [2**63]], np.uint64), y), None, "made up"))


def test_the_first_fraction_is_found(tmp_path):
    assert loaded(tmp_path, TOKENS).fraction() is None
    assert loaded(tmp_path, TOKENS, "unit").fraction() not in (None, 0, 1)
    x = TOKENS + np.where(np.arange(200) == 150, 0.5, 0)[:, np.newaxis]
    found = loaded(tmp_path, x, "none")
    assert (found.fraction() is None) == (150 not in found.train_ids)


def test_unknown():
    x = np.zeros((2, 2), np.float32)
    with pytest.raises(DataError, match=r"auto, none, unit, standard\. Received: 'minmax'"):
        normalization("minmax", x, x, None)
