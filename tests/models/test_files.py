import io
import json
import re
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import conv2, lenet_300_100, load_file, save_file
from tfticket.sparsity import sparsify

pytestmark = pytest.mark.slow


@pytest.fixture
def saved(tmp_path):
    model = lenet_300_100((6,), 3, width=0.05)
    model.compile("sgd", "mse")
    model.save(tmp_path / "a.keras")
    return tmp_path / "a.keras", model


def test_the_weights_come_with_it_and_it_is_not_compiled(saved):
    path, model = saved
    loaded = load_file(str(path), (6,), 3)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not loaded.compiled
    assert load_file(path).output_shape == (None, 3)


def test_layers_of_ours_are_found_in_a_fresh_process(tmp_path):
    made = sparsify(conv2((8, 8, 1), 3, norm="batch", width=0.05))
    path = save_file(made, tmp_path / "a.keras")
    script = "from tfticket.models import load_file as f; print(f(__import__('sys').argv[1]).name)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == made.name, done.stderr


def test_an_open_size_takes_any(tmp_path):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(3)(x)).save(tmp_path / "a.keras")
    assert load_file(tmp_path / "a.keras", (9, 7, 1), 3).input_shape == (None, None, None, 1)
    with pytest.raises(ModelError, match=r"takes .*\(None, None, 1\)"):
        load_file(tmp_path / "a.keras", (9, 7, 3), 3)


@pytest.mark.parametrize(
    ("shape", "classes", "words"),
    [
        ((7,), 3, r"takes examples of shape \(6,\), not \(7,\) as in the data"),
        ((6, 1), 3, r"takes .* not \(6, 1\) as in the data"),
        ((6,), 4, r"gives \(3,\), but must give 4 numbers an example"),
    ],
)
def test_shapes_that_do_not_fit_the_data(saved, shape, classes, words):
    with pytest.raises(ModelError, match=words):
        load_file(saved[0], shape, classes)


@pytest.mark.parametrize("part", [0, 10, 0.5, 0.99])
def test_damaged(saved, part):
    content = saved[0].read_bytes()
    keep = part if isinstance(part, int) else int(len(content) * part)
    saved[0].write_bytes(content[:keep])
    with pytest.raises(ModelError, match=r"a\.keras` can't be loaded: .+Save it again"):
        load_file(saved[0])


def test_not_there_or_something_else(tmp_path):
    with pytest.raises(ModelError, match=r"b\.keras, no such file"):
        load_file(tmp_path / "b.keras")
    (tmp_path / "b.h5").touch()
    with pytest.raises(ModelError, match="another kind of file"):
        load_file(tmp_path / "b.h5")


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x * 2


def test_a_layer_that_is_not_known(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, Unregistered()(inputs)).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="register_keras_serializable"):
        load_file(tmp_path / "a.keras")


def test_a_layer_that_is_known_by_its_name_alone(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, Unregistered()(inputs)).save(tmp_path / "a.keras")
    with keras.saving.custom_object_scope({"Unregistered": Unregistered}):
        assert load_file(tmp_path / "a.keras").output_shape == (None, 3)


def renamed(path, change):
    """The file with another configuration, and all else as it was."""
    with zipfile.ZipFile(path) as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    config = json.loads(entries["config.json"])
    change(config["config"]["layers"][-1]["config"])
    with zipfile.ZipFile(path, "w") as made:
        for name, content in {**entries, "config.json": json.dumps(config)}.items():
            made.writestr(name, content)
    return path


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("activation", function("keras.utils", "get_file"), "keras.utils.get_file"),
        ("activation", function("os", "system"), "os.system"),
        ("activation", function("snapped", "relu"), "snapped.relu"),
        (
            "kernel_initializer",
            {"module": "keras.layers", "class_name": "Dense", "registered_name": None,
             "config": {"deep": [{"deeper": {"module": "snapped", "class_name": "A"}}]}},
            "snapped.A",
        ),
        ("bias_initializer", {"class_name": "__lambda__", "config": {"value": "4wA="}}, "a lambda"),
        ("unknown", {"class_name": "A", "module": "keras.src.utils.file_utils"}, "file_utils.A"),
    ],
)  # fmt: skip
def test_a_file_that_names_code_is_refused_before_anything_is_imported(
    saved, tmp_path, monkeypatch, key, value, named
):
    (tmp_path / "snapped.py").write_text("raise SystemExit('code of a model file ran')")
    monkeypatch.syspath_prepend(tmp_path)
    path = renamed(saved[0], lambda config: config.update({key: value}))
    with pytest.raises(ModelError, match=rf"needs code that isn't in it: .*{re.escape(named)}"):
        load_file(path)
    assert "snapped" not in sys.modules


def test_a_layer_that_asks_for_more_units_than_there_are_weights(saved):
    path = renamed(saved[0], lambda config: config.update(units=10**9))
    with pytest.raises(ModelError, match=r"a Dense in it has units = 1,000,000,000, but all weigh"):
        load_file(path)


def test_weights_that_would_crash_or_fill_the_memory(saved):
    def with_weights(content):
        with zipfile.ZipFile(saved[0]) as whole:
            config = whole.read("config.json")
        with zipfile.ZipFile(saved[0], "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("config.json", config)
            made.writestr("model.weights.h5", content)
        return saved[0]

    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made.create_dataset("w", (2**40,), "f4", chunks=True)  # only its shape is stored
    with pytest.raises(ModelError, match="unpacks to more than 1,073,741,824 bytes"):
        load_file(with_weights(file.getvalue()))
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ModelError, match="refers to other files"):
        load_file(with_weights(file.getvalue()))
    with pytest.raises(ModelError, match=r"unpack to 1,0\d\d,\d{3},\d{3}, more than 100 times"):
        load_file(with_weights(bytes(2**30 + 1)))


def test_two_outputs(tmp_path):
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)]
    keras.Model(inputs, outputs).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        load_file(tmp_path / "a.keras", (3,), 2)
    assert len(load_file(tmp_path / "a.keras").outputs) == 2


def test_saving_under_another_ending_is_refused(saved, tmp_path):
    with pytest.raises(ModelError, match=r"end in \.keras"):
        save_file(load_file(saved[0]), tmp_path / "a.h5")


def test_a_vocabulary_that_takes_all_memory_is_refused(saved):
    with zipfile.ZipFile(saved[0], "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("assets/layers/words/vocabulary.txt", b"word\n" * 4_000_000)
        made.writestr("padding", np.random.default_rng(0).bytes(300_000))
    with pytest.raises(ModelError, match=r"vocabulary\.txt has 20,000,000 bytes; .* 16,777,216"):
        load_file(saved[0])
