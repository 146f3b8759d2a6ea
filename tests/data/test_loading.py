import numpy as np
import pytest

from tfticket import data
from tfticket.errors import DataError

OTHERS = ("none", "standard")


@pytest.fixture
def archive(tmp_path):
    """An .npz of 200 examples whose first value is their number; labels follow from it."""

    def write(dtype=np.uint8, low=0, high=256, **extra):
        rng = np.random.default_rng(0)
        x = rng.uniform(low, high, (200, 3, 3, 2)).astype(dtype)
        x[:, 0, 0, 0] = np.arange(200) if dtype == np.uint8 else x[:, 0, 0, 0]
        y = np.arange(200) % 4
        arrays = {"x_train": x[:150], "y_train": y[:150], "x_test": x[150:], "y_test": y[150:]}
        np.savez(tmp_path / "a.npz", **(arrays | extra))
        return f"npz:{tmp_path / 'a.npz'}"

    return write


def numbers(split):
    return split.x[:, 0, 0, 0].tolist()


def test_splits_are_disjoint_and_complete(archive):
    loaded = data.load(archive(), validation=30)
    assert sorted(numbers(loaded.train) + numbers(loaded.validation)) == list(range(150))
    assert numbers(loaded.test) == list(range(150, 200))
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (120, 30, 50)
    for split in (loaded.train, loaded.validation, loaded.test):
        np.testing.assert_array_equal(split.x[:, 0, 0, 0] % 4, split.y)
    assert (loaded.num_classes, loaded.input_shape) == (4, (3, 3, 2))
    assert loaded.train.x.dtype == np.uint8


def test_the_seed_draws_the_validation_data_and_nothing_else(archive):
    name = archive()
    one, same, other = (data.load(name, validation=30, seed=seed) for seed in (0, 0, 1))
    assert numbers(one.validation) == numbers(same.validation)
    assert one.fingerprint == same.fingerprint
    assert numbers(one.validation) != numbers(other.validation)
    assert numbers(one.test) == numbers(other.test)
    assert one.fingerprint != other.fingerprint


def test_fingerprint_follows_content_and_options(archive):
    name = archive()
    before = data.load(name).fingerprint
    assert before == data.load(name).fingerprint
    assert before == data.load(name, normalize="unit").fingerprint  # equal numbers
    assert len({data.load(name, normalize=each).fingerprint for each in OTHERS} | {before}) == 3
    assert before != data.load(name, limit=10).fingerprint
    archive(y_test=np.zeros(50, int))
    assert before != data.load(name).fingerprint


@pytest.mark.parametrize(("validation", "count"), [(1, 1), (149, 149), (0.1, 15), (0.5, 75)])
def test_validation_by_count_or_share(archive, validation, count):
    assert len(data.load(archive(), validation=validation).validation) == count


@pytest.mark.parametrize("validation", [0, -1, 150, 5000, 0.0, 1.0, 1.5, 0.001, 0.999])
def test_validation_out_of_range(archive, validation):
    with pytest.raises(DataError, match=rf"`validation`.*Received: {validation:,} of the 150|"
                       rf"`validation`.*Received: {validation} of 150"):  # fmt: skip
        data.load(archive(), validation=validation)


def test_limit_takes_a_part_of_the_same_splits(archive):
    whole, part = data.load(archive()), data.load(archive(), limit=10)
    for name in ("train", "validation", "test"):
        few, many = numbers(getattr(part, name)), numbers(getattr(whole, name))
        assert len(few) == 10
        assert set(few) <= set(many)
    with pytest.raises(DataError, match="limit=0"):
        data.load(archive(), limit=0)


def apply(loaded, split):
    return split.x * loaded.scale + loaded.offset


def test_digits_hold_out_their_test_data_by_no_seed():
    one, other = (data.load("digits", validation=237, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(one.test.x, other.test.x)
    assert (len(one.train), len(one.validation), len(one.test)) == (1201, 237, 359)
    assert "359 examples were held out" in one.description
    assert apply(one, one.train).max() == 1
    assert one.input_shape == (8, 8, 1)


def test_too_few_to_hold_out(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4)), y=np.array([0, 1]))
    with pytest.raises(DataError, match="examples to train and to test on"):
        data.load("npz:a.npz", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar", "Did you mean 'cifar10'"),
        ("MNIST", "Did you mean 'mnist'"),
        ("xyz", r"No data set named 'xyz'\. It must"),
        ("tfds:", "tfds:NAME"),
    ],
)
def test_unknown_names(name, words):
    with pytest.raises(DataError, match=words):
        data.load(name)


def test_the_whole_source_in_its_order(archive):
    whole = data.load_whole(archive())
    assert numbers(whole.train) == list(range(150))
    assert numbers(whole.test) == list(range(150, 200))
    assert (len(whole.validation), whole.num_classes) == (0, 4)
    first = data.load_whole(archive(), limit=9)
    assert numbers(first.train) == list(range(9))
    assert first.fingerprint != whole.fingerprint
    assert len(data.load_whole("digits").test) == 0
    with pytest.raises(DataError, match="limit=0"):
        data.load_whole("digits", limit=0)


def test_series_and_images_without_a_channel_axis_keep_the_form_that_a_model_takes(tmp_path):
    x = np.arange(480.0).reshape(20, 6, 4)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    name = f"npz:{tmp_path / 'a.npz'}"
    assert data.load(name).input_shape == (6, 4, 1)
    assert data.load(name, input_shape=(6, 4, 1)).input_shape == (6, 4, 1)
    series = data.load(name, input_shape=(None, 4), normalize="standard")
    assert series.input_shape == (6, 4)
    assert series.scale.shape == (4,)
    digits = data.load("digits", input_shape=(8, 8))
    assert digits.train.x.shape[1:] == (8, 8)
    np.testing.assert_array_equal(
        digits.inputs(digits.train)[..., np.newaxis], LENET_DIGITS.inputs(LENET_DIGITS.train)
    )


LENET_DIGITS = data.load("digits")
