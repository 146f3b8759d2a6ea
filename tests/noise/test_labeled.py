import numpy as np
import pytest
from tiny_labels import CLASSES, write_images

from tfticket.errors import DataError
from tfticket.noise import LabeledData, pair

pytestmark = pytest.mark.slow


@pytest.fixture
def name(tmp_path):
    return write_images(tmp_path / "images.npz")


def test_ids_are_places_in_the_source(name, tmp_path):
    labeled = LabeledData.load(name)
    arrays = np.load(tmp_path / "images.npz")
    np.testing.assert_array_equal(labeled.given, arrays["y_train"])
    np.testing.assert_array_equal(labeled.data.train.x[..., 0], arrays["x_train"])
    assert labeled.corruption is None
    assert len(LabeledData.load(name, limit=7)) == 7


def test_inputs_are_what_a_network_sees(name):
    labeled = LabeledData.load(name)
    inputs = labeled.inputs()
    assert (inputs.dtype, inputs.min() >= 0, inputs.max() <= 1) == (np.float32, True, True)
    assert labeled.data.train.x.dtype == np.uint8


def test_a_label_file_makes_the_own_labels_the_true_ones(name, tmp_path):
    own = LabeledData.load(name).given
    np.save(tmp_path / "given.npy", (own + 1) % CLASSES)
    labeled = LabeledData.load(name, labels=tmp_path / "given.npy")
    assert labeled.corruption.realized_rate == 1.0
    np.testing.assert_array_equal(labeled.corruption.true, own)
    assert len(LabeledData.load(name, labels=tmp_path / "given.npy", limit=5).given) == 5


def test_labels_made_wrong_keep_the_true_ones(name):
    labeled = LabeledData.load(name)
    noisy = labeled.corrupted(pair(CLASSES, 0.4), seed=1, exact=True)
    assert int(noisy.corruption.changed.sum()) == 120
    np.testing.assert_array_equal(noisy.corruption.true, labeled.given)


def test_what_is_refused(name, tmp_path):
    np.save(tmp_path / "short.npy", np.zeros(4, int))
    with pytest.raises(DataError, match="each of the 300 training examples"):
        LabeledData.load(name, labels=tmp_path / "short.npy")
    with pytest.raises(DataError, match="must be classes"):
        LabeledData.load("linear")
    with pytest.raises(DataError, match="about the 3 classes"):
        LabeledData.load(name).corrupted(pair(5, 0.1), seed=0)
