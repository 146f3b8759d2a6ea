import numpy as np
import pytest
from PIL import Image

from tfticket import data
from tfticket.data import folder
from tfticket.data.storage import share, shared
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
    read = folder.read(str(tmp_path), None)
    assert read.class_names == ("cat", "dog")
    assert read.train.x.shape == (3, 3, 4, 3)
    assert read.train.x[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert read.train.y.tolist() == [0, 0, 1]
    assert read.test is None
    assert read.description.endswith("3x4 pixels, 0 of 3 resized.")
    assert read.train.files.tolist() == ["cat/a.png", "cat/deep/b.bmp", "dog/a.PNG"]


def test_train_and_test(tmp_path):
    for name in ["train/cat/a.png", "train/dog/a.png", "test/dog/b.png"]:
        write(tmp_path / name, 5)
    read = folder.read(tmp_path.name, tmp_path.parent)
    assert read.train.y.tolist() == [0, 1]
    assert read.test.y.tolist() == [1]
    assert read.test.files.tolist() == ["test/dog/b.png"]


def test_validation_data_are_test_data_where_there_are_no_others(tmp_path):
    for name in ["train/cat/a.png", "train/dog/a.png", "val/dog/b.png"]:
        write(tmp_path / name, 5)
    assert folder.read(str(tmp_path), None).test.files.tolist() == ["val/dog/b.png"]
    write(tmp_path / "test/cat/c.png", 5)
    read = folder.read(str(tmp_path), None)
    assert read.test.files.tolist() == ["test/cat/c.png"]
    assert read.description.endswith("; not read: folders (val).")


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


def test_what_is_not_read_is_counted_and_told(tmp_path):
    for name in ["cat/a.png", "dog/a.png", "dog/.b.png", "dog/.ipynb_checkpoints/a.png", "c.png"]:
        write(tmp_path / name, 5)
    for name in ["cat/notes.txt", "cat/b.tiff", "cat/c.heic", "dog/d.HEIC", "README", ".DS_Store"]:
        (tmp_path / name).write_bytes(b"")
    for name in [".git", "__MACOSX", "empty", "emptied/deep"]:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    read = folder.read(str(tmp_path), None)
    assert read.class_names == ("cat", "dog")
    assert read.train.files.tolist() == ["cat/a.png", "dog/a.png"]
    assert read.description.endswith(
        "; not read: 10 files (.heic: 2, .tiff: 1, .txt: 1, broken links: 1, dot files: 3, images "
        "outside of class folders: 1, without a suffix: 1); folders (.git, __MACOSX); folders "
        "without images (emptied, empty)."
    )
    (tmp_path / "cat/e.tiff").write_bytes(b"")
    assert (
        ".tiff: 2" in folder.read(str(tmp_path), None).description
    )  # though the images are cached


def deep(path, values, dtype=np.uint16):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype)).save(path)


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32)]
)
def test_gray_images_of_16_bits_keep_their_values(tmp_path, suffix, dtype):
    for index, name in enumerate("ab"):
        deep(tmp_path / f"{name}/1.{suffix}", [[0, 1, 256], [5000, 40000, 45000 + index]], dtype)
    read = folder.read(str(tmp_path), None)
    assert read.train.x[..., 0].tolist() == [
        [[0, 1, 256], [5000, 40000, 45000 + index]] for index in range(2)
    ]
    assert read.max_value == 65535
    assert "2 of more than 8 bits" in read.description


def test_the_range_of_gray_images_is_that_of_their_bits(tmp_path):
    for name in "abcdefghij":
        deep(tmp_path / name / "1.png", [[0, 1023], [7, 3000]])
    name = f"folder:{tmp_path}"
    assert float(data.load(name).scale) == np.float32(1 / 4095)
    assert data.load(name).fingerprint == data.load(name, normalize="unit").fingerprint
    assert data.load(name, normalize="none").inputs(data.load(name).train).max() == 3000


def test_gray_images_of_floats_keep_their_values(tmp_path):
    for name in "ab":
        deep(tmp_path / f"{name}/1.tif", [[-0.25, 0.5], [3.75, 1]], np.float32)
    read = folder.read(str(tmp_path), None)
    assert read.train.x[0, ..., 0].tolist() == [[-0.25, 0.5], [3.75, 1]]
    assert read.max_value is None


def test_gray_images_of_8_and_16_bits_are_alike(tmp_path):
    deep(tmp_path / "a/1.png", [[0, 65535, 257 * 7]])
    deep(tmp_path / "b/1.png", [[0, 255, 7]], np.uint8)
    read = folder.read(str(tmp_path), None)
    assert read.train.x[:, 0, :, 0].tolist() == [[0, 65535, 257 * 7]] * 2
    assert "1 of 8 bits brought to 16" in read.description
    write(tmp_path / "b/2.png", 9, size=(3, 1))  # with colors
    read = folder.read(str(tmp_path), None)
    assert read.train.x[:2, 0].tolist() == [[[0] * 3, [255] * 3, [7] * 3]] * 2
    assert read.train.x.dtype == np.uint8
    assert "1 gray ones of 16 bits brought to 8 bits" in read.description


def test_gray_images_of_16_bits_are_resized_in_their_range(tmp_path):
    deep(tmp_path / "a/1.png", np.full((4, 6), 30000))
    deep(tmp_path / "b/1.png", np.full((8, 12), 30001))
    read = folder.read(f"{tmp_path}@2x3", None)
    assert read.train.x.shape == (2, 2, 3, 1)
    assert [np.unique(x).tolist() for x in read.train.x] == [[30000], [30001]]


def test_frames_that_are_not_read_are_told(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}/1.png", 5)
    frames = [Image.new("RGB", (4, 3), (value, 0, 0)) for value in (10, 200)]
    frames[0].save(tmp_path / "a/2.gif", save_all=True, append_images=frames[1:])
    read = folder.read(str(tmp_path), None)
    assert "only the first frame of 1 with several" in read.description
    assert read.train.x[1, 0, 0, 0] == 10


def test_names_stay_with_the_examples(tmp_path):
    for value in range(40):
        write(tmp_path / f"{'ab'[value % 2]}/{value}.png", value)
    loaded = data.load(f"folder:{tmp_path}", validation=8, limit=10)
    whole = data.load_whole(f"folder:{tmp_path}", limit=30)
    for split in (loaded.train, loaded.validation, loaded.test, whole.train):
        expected = [f"{'ab'[v % 2]}/{v}.png" for v in split.x[:, 0, 0, 0]]
        assert split.files.tolist() == expected
    with (tmp_path / "shared").open("wb") as file:
        layout = share(loaded, file)
    again = shared(layout, tmp_path / "shared")
    assert again.validation.files.tolist() == loaded.validation.files.tolist()
    assert data.load("digits").train.files is None


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


def test_all_that_cannot_be_read_is_named_at_once(tmp_path):
    for index in range(6):
        rng = np.random.default_rng(index)
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(
            tmp_path / f"a/{index}.png"
        )
    (tmp_path / "a/1.png").write_bytes(b"not a picture")
    (tmp_path / "a/3.png").write_bytes((tmp_path / "a/3.png").read_bytes()[:2000])
    (tmp_path / "a/4.png").write_bytes(b"")
    with pytest.raises(DataError) as told:
        folder.read(str(tmp_path), None)
    lines = str(told.value).splitlines()
    assert [line.partition("`:")[0].rpartition("/")[2][:5] for line in lines[:-1]] == [
        "1.png",
        "3.png",
        "4.png",
    ]
    assert "truncated" in lines[1]
    assert lines[-1] == "Repair or remove them."


def test_what_cannot_be_read_is_left_out_and_listed_when_asked_for(tmp_path, cache):
    for index in range(4):
        write(tmp_path / f"{'ab'[index % 2]}/{index}.png", index)
    (tmp_path / "a/1.png").write_bytes(b"not a picture")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "b/9.png")
    (tmp_path / "b/9.png").write_bytes((tmp_path / "b/9.png").read_bytes()[:2000])
    name = f"folder:{tmp_path}"
    for _ in range(2):  # the second time from the cache
        whole = data.load_whole(name, unreadable="skip")
        assert whole.train.files.tolist() == ["a/0.png", "a/2.png", "b/1.png", "b/3.png"]
        assert whole.train.x[:, 0, 0, 0].tolist() == [0, 2, 1, 3]
        assert whole.train.y.tolist() == [0, 0, 1, 1]
        first, second = whole.unreadable
        assert (first.file, first.class_name) == ("a/1.png", "a")
        assert first.reason == "it is damaged, or no image"
        assert (second.file, second.class_name) == ("b/9.png", "b")
        assert "truncated" in second.reason
        assert "; 2 can't be read" in whole.description
        with pytest.raises(DataError, match=r"a/1\.png` can't be read as an image: it is damaged"):
            data.load_whole(name)
    assert len(list((cache / "tfticket/data").iterdir())) == 1
    with pytest.raises(DataError, match="refuse or skip"):
        data.load_whole(name, unreadable="drop")
    for file in ("a/0.png", "a/2.png", "b/1.png", "b/3.png"):
        (tmp_path / file).write_bytes(b"")
    with pytest.raises(DataError, match="Repair or remove them"):
        data.load_whole(name, unreadable="skip")


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"must name a folder that exists. Received: .*nowhere"):
        folder.read("nowhere", tmp_path)
