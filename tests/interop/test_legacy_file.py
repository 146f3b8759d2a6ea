import json
import zipfile

import h5py
import pytest

from tfticket.errors import ModelError
from tfticket.interop.legacy_file import read_legacy_file

pytestmark = pytest.mark.slow


def archive(path, **files):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(f"{name}.json", json.dumps(content))
    return path


def test_both_formats_describe_the_model_and_tell_what_stays_behind(legacy):
    wrapped = read_legacy_file(legacy / "wrapped.h5")
    assert (wrapped.suffix, wrapped.model["class_name"]) == (".h5", "Functional")
    assert wrapped.left_behind == ("the optimizer SGD and its state", "the loss", "the metrics")
    sequence = read_legacy_file(legacy / "sequence.keras")
    assert (sequence.suffix, sequence.model["class_name"]) == (".keras", "Sequential")
    assert sequence.left_behind == ("the optimizer adam and its state", "the loss", "the metrics")
    assert read_legacy_file(legacy / "stripped.h5").left_behind == ()


def test_the_format_is_what_is_in_the_file_and_not_its_name(legacy, tmp_path):
    named = tmp_path / "old.keras"  # as TensorFlow 2.11 and before wrote it
    named.write_bytes((legacy / "dense.h5").read_bytes())
    assert read_legacy_file(named).suffix == ".h5"


def test_weights_alone_are_no_model(legacy):
    with pytest.raises(ModelError, match=r"holds weights alone.*model\.save"):
        read_legacy_file(legacy / "weights.h5")


@pytest.mark.parametrize("name", ["wrapped.h5", "sequence.keras"])
def test_a_truncated_file_is_damaged(legacy, tmp_path, name):
    content = (legacy / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="not a model of tf_keras, or it is damaged"):
        read_legacy_file(tmp_path / name)


def test_what_is_no_file_of_keras(tmp_path):
    (tmp_path / "text.h5").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.h5, which is neither"):
        read_legacy_file(tmp_path / "text.h5")
    with pytest.raises(ModelError, match=r"Is a directory\. Of a SavedModel, load it in tf_keras"):
        read_legacy_file(tmp_path)
    with pytest.raises(ModelError, match="No such file or directory"):
        read_legacy_file(tmp_path / "none.h5")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(ModelError, match="holds no model"):
        read_legacy_file(tmp_path / "data.h5")
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        read_legacy_file(archive(tmp_path / "a.keras", other={}))


@pytest.mark.parametrize(
    "config", [[], {}, {"class_name": "Functional"}, {"class_name": 1, "config": {}}, "text"]
)
def test_a_description_of_nothing_is_damaged(tmp_path, config):
    with pytest.raises(ModelError, match="or it is damaged"):
        read_legacy_file(archive(tmp_path / "a.keras", config=config))


def test_a_file_of_keras_3_is_told_to_be_one(tmp_path):
    described = {"class_name": "Functional", "config": {}}
    metadata = {"keras_version": "3.15.1"}
    path = archive(tmp_path / "new.keras", config=described, metadata=metadata)
    with pytest.raises(ModelError, match=r"saved by Keras 3\.15\.1: `keras.saving.load_model`"):
        read_legacy_file(path)
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file.attrs["keras_version"] = "3.0.0"
        file.attrs["model_config"] = json.dumps(described)
    with pytest.raises(ModelError, match=r"saved by Keras 3\.0\.0"):
        read_legacy_file(tmp_path / "new.h5")
