import numpy as np
import pytest
from PIL import Image

from tfticket.data import folder
from tfticket.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    return path


def write(path, value, size=(4, 3), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def test_one_folder_a_class(tmp_path):
    for value, name in enumerate(["cat/a.png", "cat/deep/b.bmp", "dog/a.PNG"]):
        write(tmp_path / name, value)
    (tmp_path / "cat/notes.txt").write_text("no image")
    (tmp_path / ".git").mkdir()
    read = folder.read(str(tmp_path), None)
    assert read.class_names == ("cat", "dog")
    assert read.train.x.shape == (3, 3, 4, 3)
    assert read.train.x[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert read.train.y.tolist() == [0, 0, 1]
    assert read.test is None
    assert "3x4 pixels, 0 of 3 resized" in read.description


def test_train_and_test(tmp_path):
    for name in ["train/cat/a.png", "train/dog/a.png", "test/dog/b.png"]:
        write(tmp_path / name, 5)
    read = folder.read(tmp_path.name, tmp_path.parent)
    assert read.train.y.tolist() == [0, 1]
    assert read.test.y.tolist() == [1]


def test_most_frequent_size_and_gray(tmp_path):
    for index, size in enumerate([(4, 3), (4, 3), (8, 6)]):
        write(tmp_path / f"a/{index}.png", 100, size, mode="L")
    read = folder.read(str(tmp_path), None)
    assert read.train.x.shape == (3, 3, 4, 1)
    assert (read.train.x == 100).all()
    assert "1 of 3 resized" in read.description


def test_a_size_can_be_asked_for(tmp_path):
    write(tmp_path / "a/1.png", 100)
    write(tmp_path / "b/1.png", 50, mode="L")
    read = folder.read(f"{tmp_path}@5x2", None)
    assert read.train.x.shape == (2, 5, 2, 3)
    assert read.train.x[1].tolist() == [[[50] * 3] * 2] * 5


def test_cached_until_an_image_changes(tmp_path, cache):
    write(tmp_path / "a/1.png", 100)
    for _ in range(2):
        read = folder.read(str(tmp_path), None)
        assert isinstance(read.train.x, np.memmap)
        assert read.train.x.max() == 100
    assert len(list((cache / "tfticket/data").iterdir())) == 1
    write(tmp_path / "a/1.png", 101, size=(5, 5))
    assert folder.read(str(tmp_path), None).train.x.max() == 101


def broken(root):
    (root / "a").mkdir()
    (root / "a/1.png").write_bytes(b"not a picture")


def truncated(root):
    rng = np.random.default_rng(0)
    (root / "a").mkdir()
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(root / "a/1.png")
    (root / "a/1.png").write_bytes((root / "a/1.png").read_bytes()[:2000])


def no_images(root):
    (root / "a").mkdir()


def strange_test_class(root):
    for name in ["train/a/1.png", "test/b/1.png"]:
        write(root / name, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "without folders"),
        (no_images, "no image in them"),
        (broken, r"1\.png` can't be read as an image"),
        (truncated, r"1\.png` can't be read as an image"),
        (strange_test_class, "Received: b in"),
    ],
)
def test_bad_folders(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        folder.read(str(tmp_path), None)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"must name a folder that exists. Received: .*nowhere"):
        folder.read("nowhere", tmp_path)
