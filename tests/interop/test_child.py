import importlib.util
import json
import sys
import zipfile

import numpy as np
import pytest
from helpers import layers, mlp

from tfticket.errors import ModelError
from tfticket.interop import import_tfmot
from tfticket.interop.child import read_in_child, watched
from tfticket.interop.legacy_file import read_legacy_file

pytestmark = pytest.mark.slow


def changed(source, path, change):
    """A file of tf_keras whose layers were changed, and nothing else."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(path, "w") as made:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "config.json":
                described = json.loads(content)
                change(described["config"]["layers"])
                content = json.dumps(described)
            made.writestr(name, content)
    return path


def test_weights_of_another_model_are_told_in_one_line(legacy, tmp_path):
    def widen(layers):
        layers[-1]["config"]["layer"]["config"]["units"] += 1

    path = changed(legacy / "sequence.keras", tmp_path / "sequence.keras", widen)
    with pytest.raises(ModelError, match="can't be loaded by tf_keras: ValueError: ") as caught:
        read_in_child(path, read_legacy_file(path), timeout=300)
    assert "\n" not in str(caught.value)


def test_a_child_that_takes_too_long_is_ended(legacy):
    path = legacy / "dense.h5"
    with pytest.raises(ModelError, match=r"within 0 s. .* took longer"):
        read_in_child(path, read_legacy_file(path), timeout=0)


def test_what_is_not_installed_is_named(legacy, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tf_keras" else find(name)
    )
    path = legacy / "dense.h5"
    with pytest.raises(ModelError, match=r"needs tf_keras .* pip install tf_keras"):
        read_in_child(path, read_legacy_file(path), timeout=300)


@pytest.fixture(scope="module")
def read(legacy):
    """What a child read of a file while it was imported."""
    contents = []

    def watched(path, file, *, timeout):
        contents.append(read_in_child(path, file, timeout=timeout))
        return contents[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfticket.interop.tfmot.read_in_child", watched)
        import_tfmot(legacy / "sequence.keras")
    (content,) = contents
    return content


def test_the_child_reads_what_the_process_read_that_made_the_file(read, legacy, reader):
    expected = reader(legacy / "sequence.keras", None, timeout=0)
    assert (read.model, read.versions) == (expected.model, expected.versions)
    assert_same([*read.inputs, *read.outputs], [*expected.inputs, *expected.outputs])
    for ours, theirs in zip(read.layers, expected.layers, strict=True):
        for name in ("path", "names", "step", "pruning"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert_same(ours.weights, theirs.weights)
        assert_same(ours.samples, theirs.samples)
        assert ours.masks.keys() == theirs.masks.keys()
        assert_same(ours.masks.values(), theirs.masks.values())


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_this_process_never_sees_tf_keras(read):
    assert not {"tf_keras", "tensorflow_model_optimization"} & sys.modules.keys()


def test_outputs_are_noted_and_nothing_stays(seeded):
    model = mlp()
    x = np.ones((4, 6), "float32")
    of = {layer.name: layer for layer in model.layers}
    with watched(of) as seen:
        y = model(x)
    assert seen.keys() == {"hidden_0", "hidden_1", "output"}
    np.testing.assert_array_equal(seen["output"][0], np.ravel(y))
    assert not any("call" in vars(layer) for layer in model.layers)


def test_several_outputs_and_several_calls():
    recurrent, dense = layers.GRU(2, return_state=True), layers.Dense(5)
    with watched({"gru": recurrent, "twice": dense}) as seen:
        dense(dense(recurrent(np.ones((3, 4, 5), "float32"))[0]) @ np.ones((5, 2), "float32"))
    assert seen.keys() == {"gru"}
    assert [each.size for each in seen["gru"]] == [6, 6]


def test_large_outputs_are_sampled_everywhere():
    columns = np.tile(np.arange(64, dtype="float32"), (1000, 1))
    identity = layers.Identity()
    with watched({"x": identity}) as seen:
        identity(columns)
    (sample,) = seen["x"]
    assert 3000 < sample.size <= 4096
    assert set(sample) == set(range(64))
