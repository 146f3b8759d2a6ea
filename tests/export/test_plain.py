import zipfile

import keras
import numpy as np
import pytest
from exports import convnet, digits, pruned
from helpers import compiled

from tfticket.errors import ModelError, RunError
from tfticket.export import save_keras
from tfticket.models import build
from tfticket.norms.layers import GroupNorm
from tfticket.sparsity import get_mask

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def test_the_file_needs_only_keras(tmp_path):
    model, x = compiled(pruned(convnet()), "adam"), digits()[0][:3]
    path = save_keras(model, tmp_path / "models" / "a.keras")
    with zipfile.ZipFile(path) as archive:
        assert b"tfticket" not in archive.read("config.json")
    loaded = keras.saving.load_model(path)
    assert not loaded.compiled
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-5)


@pytest.mark.parametrize("norm", ["ws_group", "linf_batch"])
def test_norms_of_ours_become_those_of_keras(norm, tmp_path):
    model = build("conv2", (8, 8, 1), 3, width=0.1, norm=norm)
    model(digits()[0][:50], training=True)  # moves the statistics
    path = save_keras(model, tmp_path / "a.keras")
    with zipfile.ZipFile(path) as archive:
        assert b"tfticket" not in archive.read("config.json")
    x = digits()[0][50:60]
    np.testing.assert_allclose(keras.saving.load_model(path)(x), model(x), atol=1e-5)


def test_zeros_stay_and_the_model_is_as_it_was(tmp_path):
    model = compiled(pruned(convnet()), "adam")
    loaded = keras.saving.load_model(save_keras(model, tmp_path / "a.keras"))
    mask = get_mask(model)
    assert not np.any(loaded.get_layer("hidden").kernel.numpy()[~mask["hidden/kernel"]])
    assert model.compiled
    assert model.optimizer is not None


def test_the_optimizer_is_left_out(tmp_path):
    model = compiled(convnet(), "adam")
    model.fit(digits()[0][:8], digits()[1][:8], verbose=0)
    with zipfile.ZipFile(save_keras(model, tmp_path / "a.keras")) as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")
        assert b"Adam" not in archive.read("config.json")


def test_a_name_of_another_kind_and_a_place_without_room(tmp_path):
    with pytest.raises(ModelError, match=r"end in \.keras"):
        save_keras(convnet(), tmp_path / "a.h5")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match="could not be written"):
        save_keras(convnet(), tmp_path / "file" / "a.keras")


def test_a_group_norm_that_heeds_masks_becomes_one_that_does_not(tmp_path):
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(3)(GroupNorm(groups=2)(x)))
    loaded = keras.saving.load_model(save_keras(model, tmp_path / "a.keras"))
    whole, padded = np.array([[1, 2, 3, 4, 5]]), np.array([[1, 2, 0, 0, 0]])
    np.testing.assert_allclose(loaded(whole), model(whole), atol=1e-5)
    assert not np.allclose(loaded(padded), model(padded), atol=1e-5)  # as `plain_layer` says
