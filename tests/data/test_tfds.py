import os
import socket

import numpy as np
import pytest
import tensorflow_datasets

from tfticket.data import tfds
from tfticket.errors import DataError

pytestmark = pytest.mark.slow

FEATURES = tensorflow_datasets.features


class TinyPictures(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Thirty images for training and nine for testing, made on the spot."""

    VERSION = tensorflow_datasets.core.Version("1.2.0")

    def _info(self):
        return tensorflow_datasets.core.DatasetInfo(
            builder=self,
            features=FEATURES.FeaturesDict(
                {
                    "id": FEATURES.Text(),
                    "image": FEATURES.Image(shape=self.shape()),
                    "label": FEATURES.ClassLabel(names=["ant", "bee", "cow"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def shape(self):
        return (4, 5, 3)

    def _split_generators(self, manager):
        return {"train": self._generate_examples(30), "test": self._generate_examples(9)}

    def _generate_examples(self, count):
        for index in range(count):
            image = np.full((4, 5, 3), index, np.uint8)
            yield index, {"id": str(index), "image": image, "label": index % 3}


class UnevenPictures(TinyPictures):
    """As above, but of sizes that differ."""

    def shape(self):
        return (None, None, 3)


class TrainingOnly(TinyPictures):
    """As above, without test data."""

    def _split_generators(self, manager):
        return {"train": self._generate_examples(3)}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    place = tmp_path_factory.mktemp("prepared")
    for builder in (TinyPictures, UnevenPictures, TrainingOnly):
        builder(data_dir=place).download_and_prepare()
    return place


def no_network(monkeypatch):
    def fail(*args):
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for key in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)


def test_from_disk_in_order(prepared):
    read = tfds.read("tiny_pictures", prepared)
    assert read.class_names == ("ant", "bee", "cow")
    assert read.train.x.shape == (30, 4, 5, 3)
    assert read.train.x.dtype == np.uint8
    assert len(read.test) == 9
    for split in (read.train, read.test):
        np.testing.assert_array_equal(split.x[:, 0, 0, 0] % 3, split.y)
    assert "tiny_pictures/1.2.0" in read.description


def test_where_it_is_looked_for(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(tfds.read("tiny_pictures:1.2.0", None).train) == 30


def test_a_folder_that_can_only_be_read(prepared, monkeypatch):
    no_network(monkeypatch)
    before = sorted(prepared.rglob("*"))
    for path in (prepared, *before):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert len(tfds.read("tiny_pictures", prepared).test) == 9
        assert sorted(prepared.rglob("*")) == before
    finally:
        for path in (prepared, *before):
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_the_newest_version_is_taken(prepared, tmp_path):
    for version in ("1.2.0", "1.10.0", "1.9.9"):
        (tmp_path / "tiny" / version).mkdir(parents=True)
        (tmp_path / "tiny" / version / "dataset_info.json").touch()
    assert tfds._prepared("tiny", tmp_path).name == "1.10.0"
    assert tfds._prepared("tiny:1.2.0", tmp_path).name == "1.2.0"
    assert tfds._prepared("tiny:2.0.0", tmp_path) is None
    assert tfds._prepared("other", tmp_path) is None


def test_prepared_when_it_is_nowhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("https_proxy", "http://localhost:9")  # it needs no network: skip that check
    read = tfds.read("tiny_pictures", tmp_path / "new")
    assert len(read.train) == 30
    assert (tmp_path / "new/tiny_pictures/1.2.0/dataset_info.json").exists()
    assert capsys.readouterr().out == ""


def test_neither_data_nor_network(tmp_path, monkeypatch):
    no_network(monkeypatch)
    with pytest.raises(DataError) as caught:
        tfds.read("tiny_pictures", tmp_path / "empty")
    message = str(caught.value)
    assert f"tiny_pictures/VERSION/dataset_info.json in {tmp_path / 'empty'}" in message
    for words in ("isn't on disk, and there is no network", "--data-dir", "$TFDS_DATA_DIR"):
        assert words in message
    assert message.endswith(": tfticket recipe run lth_mnist1d")
    assert "\n" not in message
    assert not (tmp_path / "empty").exists()


def test_no_place_to_download_to(tmp_path, monkeypatch):
    for name in ("a", "home"):
        (tmp_path / name).write_text("a file where a folder should be")
    with pytest.raises(DataError, match="none of these folders can be written to"):
        tfds.read("tiny_pictures", tmp_path / "a")


def test_unknown_names(tmp_path):
    with pytest.raises(DataError, match=r"'fashion_mnits'. Did you mean fashion_mnist"):
        tfds.read("fashion_mnits", tmp_path)
    with pytest.raises(DataError, match="must be written NAME"):
        tfds.read("../secrets", tmp_path)
    with pytest.raises(DataError, match=r"can't make 'mnist:0\.0\.1'"):
        tfds.read("mnist:0.0.1", tmp_path)


def test_sets_that_do_not_fit(prepared):
    with pytest.raises(DataError, match="images of one size"):
        tfds.read("uneven_pictures", prepared)
    with pytest.raises(DataError, match=r"Received: train\."):
        tfds.read("training_only", prepared)


def test_damaged_files(tmp_path):
    TinyPictures(data_dir=tmp_path).download_and_prepare()
    (file,) = tmp_path.rglob("*train.tfrecord*")
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"can't be read: .*Copy it there again"):
        tfds.read("tiny_pictures", tmp_path)
