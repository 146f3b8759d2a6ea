import io

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tfticket.errors import DataError, ModelError
from tfticket.noise import (
    features_of,
    find_duplicates,
    find_outliers,
    read_features,
    read_pred_probs,
)

pytestmark = pytest.mark.slow

ROWS = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])


def photo(seed, side=24):
    """A smooth image, as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def as_jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=85)
    return np.asarray(Image.open(file))


def write(path, rows=ROWS):
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".npz":
        np.savez(path, pred_probs=rows, features=rows, ids=np.arange(len(rows)))
    elif path.suffix == ".parquet":
        pd.DataFrame(rows, columns=["a", "b"]).to_parquet(path)
    else:
        header = "cat,dog" if "named" in path.name else ""
        np.savetxt(path, rows, delimiter=",", header=header, comments="")
    return path


@pytest.mark.parametrize("read", [read_pred_probs, read_features])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "named.csv", "a.parquet"])
def test_rows_are_read_from_any_format(tmp_path, read, name):
    np.testing.assert_allclose(read(write(tmp_path / name), count=3), ROWS)


def test_files_that_hold_something_else(tmp_path):
    path = write(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"a.npy.*shape \(4, classes\).*Received"):
        read_pred_probs(path, count=4)
    with pytest.raises(DataError, match="each of the 4 labels"):
        read_features(path, count=4)
    with pytest.raises(DataError, match=r"must sum to 1"):
        read_pred_probs(write(tmp_path / "b.npy", 2 * ROWS))
    with pytest.raises(DataError, match="finite"):
        read_features(write(tmp_path / "c.npy", ROWS * np.nan))
    with pytest.raises(DataError, match=r"\.parquet.*Received: a.txt"):
        read_features(tmp_path / "a.txt")
    for name in ("d.npy", "d.npz", "d.csv", "d.parquet"):
        (tmp_path / name).write_bytes(b"\x93no rows at all\x00\xff")
        with pytest.raises(DataError, match=name):
            read_features(tmp_path / name)


def test_equal_and_nearly_equal_images_are_duplicates():
    images = np.stack([photo(seed) for seed in range(30)])
    images[7] = images[3]
    images[12] = as_jpeg(images[5])
    images[20] = as_jpeg(images[3])
    assert (images[20] != images[3]).any()
    found = find_duplicates(images)
    assert found[3] == (7, 20)
    assert found[20] == (3, 7)
    assert found[5] == (12,)
    assert {place for place, others in enumerate(found) if others} == {3, 5, 7, 12, 20}


def test_nearly_equal_features_are_duplicates():
    rows = np.random.default_rng(0).normal(size=(100, 8))
    rows[9] = rows[4] + 1e-4
    assert not any(find_duplicates(rows))
    found = find_duplicates(rows, features=rows)
    assert found[9] == (4,)
    assert sum(map(bool, found)) == 2


def test_duplicates_only():
    found = find_duplicates(np.ones((500, 3)))
    assert all(len(others) == 20 for others in found)
    assert found[0] == tuple(range(1, 21))
    assert not find_outliers(np.ones((500, 3))).any()


def test_outliers_are_far_from_all_others():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 100)) + 6 * rng.normal(size=(4, 100))[np.arange(400) % 4]
    rows[5] = 60 * rng.normal(size=100)
    assert np.flatnonzero(find_outliers(rows)).tolist() == [5]
    assert find_outliers(rows[:1]).tolist() == [False]


def backbone(channels=3):
    inputs = keras.Input((8, 8, channels))
    outputs = keras.layers.Conv2D(5, 3, name="last")(inputs)
    return keras.Model(inputs, outputs)


def test_features_are_the_last_output_pooled_over_places(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3)).astype(np.uint8)
    model = backbone()
    expected = model.predict(images.astype("float32"), verbose=0).mean(axis=(1, 2))
    model.save(tmp_path / "net.keras")
    np.testing.assert_allclose(features_of(images, model, batch_size=4), expected, rtol=1e-5)
    found = features_of(images, tmp_path / "net.keras")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32
    gray = features_of(images[..., :1], model)
    np.testing.assert_allclose(gray, features_of(images[..., :1].repeat(3, 3), model), rtol=1e-5)
    assert features_of(photo(0)[None], model).shape == (1, 5)  # resized


def test_what_has_no_features():
    with pytest.raises(DataError, match="Features are of images"):
        features_of(np.ones((3, 4)), backbone())
    with pytest.raises(ModelError, match=r"such as MobileNetV2. Received: 'MobileNetV9'"):
        features_of(np.ones((1, 8, 8, 3)), "MobileNetV9")
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ModelError, match="must take images"):
        features_of(np.ones((1, 8, 8, 3)), flat)
