import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from tfticket.data import Feed, load, load_whole, sources
from tfticket.errors import DataError


def test_digits():
    digits = sources.read_digits()
    assert digits.train.x.shape == (1797, 8, 8)
    assert digits.train.x.dtype == np.uint8
    assert (digits.train.x.min(), digits.train.x.max()) == (0, digits.max_value)
    assert digits.test is None


def test_mnist1d_is_the_same_data_each_time_and_leaves_no_trace():
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    source = sources.read_mnist1d()
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # noqa: NPY002
    assert source.train.x.shape == (4000, 40)
    assert source.test.x.shape == (1000, 40)
    assert np.bincount(source.train.y).min() > 350
    assert float(source.train.x.mean()) == pytest.approx(0, abs=0.02)
    assert float(source.train.x.std()) == pytest.approx(1, abs=0.02)
    # To four decimals, since the last bits are up to the machine.
    sha = hashlib.sha256()
    for split in (source.train, source.test):
        sha.update(np.round(split.x * 1e4).astype("<i4").tobytes())
        sha.update(split.y.astype("<i4").tobytes())
    assert sha.hexdigest() == "9f46c29db3de8beab1d5053e375773b9c8849347eaf85f0c1ee3164de0c438ba"


def test_mnist1d_is_never_downloaded(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("MNIST-1D is generated, not fetched")

    monkeypatch.setattr("mnist1d.data.get_dataset", refuse)
    monkeypatch.setattr("requests.get", refuse)
    data = load("mnist1d", validation=500)
    assert (len(data.train), len(data.validation), len(data.test)) == (3500, 500, 1000)
    assert (float(data.scale), float(data.offset)) == (1.0, 0.0), "taken as they are"
    assert data.num_classes == 10


X, Y = np.arange(24.0).reshape(6, 4), np.array([0, 1] * 3)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_npz_with_test_data(tmp_path, compress):
    compress(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    read = sources.read_npz("a.npz", tmp_path)
    np.testing.assert_array_equal(read.train.x, X)
    np.testing.assert_array_equal(read.train.y, Y)
    np.testing.assert_array_equal(read.test.x, X[:2])
    assert read.class_names == ()


def test_npz_without_test_data_and_with_names(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, class_names=np.array(["cat", "dog"]))
    read = sources.read_npz(str(tmp_path / "a.npz"), None)
    assert read.test is None
    assert read.class_names == ("cat", "dog")


def test_npz_with_names_in_place_of_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=np.array(["dog", "cat", ""] * 2))
    name = f"npz:{tmp_path / 'a.npz'}"
    whole = load_whole(name, missing_labels="keep")
    assert whole.class_names == ("cat", "dog")
    assert whole.train.y.tolist() == [1, 0, -1] * 2
    with pytest.raises(DataError, match="2 of 6 training examples"):
        load(name)


def test_npz_with_wrong_keys(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, y=Y)
    with pytest.raises(DataError, match=r"x_train.*Received: .*with images, y"):
        sources.read_npz("a.npz", tmp_path)


def test_npz_missing(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.npz, no such file"):
        sources.read_npz("nowhere.npz", tmp_path)


def truncated(path):
    np.savez(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:200])


def pickled(path):
    np.savez(path, x=np.array([object()] * 6), y=Y)


def text(path):
    path.write_text("not an archive")


def single_array(path):
    with path.open("wb") as file:
        np.save(file, X)


@pytest.mark.parametrize("write", [truncated, pickled, text, single_array])
def test_npz_that_is_none(tmp_path, write):
    path = tmp_path / "a.npz"
    write(path)
    with pytest.raises(DataError, match=r"a\.npz` can't be read"):
        sources.read_npz("a.npz", tmp_path)


def test_where_a_path_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sources.resolved("~/a", None) == tmp_path / "a"
    assert sources.resolved("a", "~/b") == tmp_path / "b/a"
    assert sources.resolved("/a", "b") == Path("/a")
    for kind in ("npz", "csv", "parquet", "folder"):
        with pytest.raises(DataError, match="can't be looked for: File name too long"):
            load(f"{kind}:{'a' * 5000}")
    with pytest.raises(DataError, match="can't be looked for: Could not determine home"):
        load("csv:~nobody_of_this_name/a.csv")


def test_linear_targets_are_one_matrix_times_the_inputs():
    source = sources.read_linear()
    x, y = source.train.x.astype(np.float64), source.train.y.astype(np.float64)
    matrix, residuals, *_ = np.linalg.lstsq(x, y, rcond=None)
    assert (x.shape, y.shape, matrix.shape) == ((2000, 10), (2000, 10), (10, 10))
    assert residuals.max() < 1e-8
    np.testing.assert_allclose(source.test.x @ matrix, source.test.y, atol=1e-4)
    assert 0.7 < matrix.std() < 1.3
    np.testing.assert_array_equal(sources.read_linear().train.x, source.train.x)


def test_linear_data_are_taken_as_they_are_and_know_no_classes():
    data = load("linear", validation=1000)
    assert (len(data.train), len(data.validation), len(data.test)) == (1000, 1000, 1000)
    assert (data.num_classes, data.outputs, data.regression) == (0, 10, True)
    assert (float(data.scale), float(data.offset)) == (1.0, 0.0)
    x, y = next(iter(Feed(data.train, batch_size=1000, seed=0, chunk_steps=1).dataset()))
    assert x.shape == y.shape == (1000, 10)
    assert y.dtype == "float32"


def test_friedman1_depends_on_five_of_its_inputs():
    source = sources.read_friedman1()
    x, y = source.train.x.astype(float), source.train.y[:, 0]
    formula = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    formula += 10 * x[:, 3] + 5 * x[:, 4]
    noise = y - formula
    assert noise.mean() == pytest.approx(0, abs=3 / np.sqrt(len(y)))
    assert noise.std() == pytest.approx(1, abs=3 / np.sqrt(2 * len(y)))
    np.testing.assert_array_equal(sources.read_friedman1().test.y, source.test.y)


def test_targets_are_scaled_by_what_is_trained_on_alone():
    data, source = load("friedman1", validation=500), sources.read_friedman1()
    assert data.train.y.mean() == pytest.approx(0, abs=1e-5)
    assert data.train.y.std() == pytest.approx(1, abs=1e-5)
    given = source.train.y[data.train_ids]
    scaled = (source.test.y - given.mean()) / given.std()
    np.testing.assert_allclose(data.test.y, scaled, rtol=1e-5, atol=1e-6)
    assert data.regression
    assert not data.segmentation
    assert f"less {given.mean():.4g}, divided by {given.std():.4g}" in data.description


def test_shapes_are_brighter_than_what_is_behind_them():
    data = load("shapes", validation=200)
    assert (len(data.train), len(data.validation), len(data.test)) == (800, 200, 300)
    assert (data.input_shape, data.outputs) == ((16, 16, 1), 4)
    assert data.segmentation
    assert not data.regression
    y, x = data.test.y, data.test.x[..., 0]
    assert y.shape == x.shape == (300, 16, 16)
    assert set(np.unique(y)) == {0, 1, 2, 3}
    # 0.1 to 0.3 behind, 0.5 to 0.9 in shapes, each with noise of 0.08.
    inside, outside = x[y > 0] / 255, x[y == 0] / 255
    assert inside.mean() == pytest.approx(0.7, abs=0.02)
    assert outside.mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(sources.read_shapes().test.x[..., None], data.test.x)
