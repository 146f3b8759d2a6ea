"""A few hundred damaged files, in seconds; `fuzz` tries thousands, of all formats."""

import json
import shutil
import zipfile
from pathlib import Path
from random import Random

import h5py
import hostile
import numpy as np
import pytest
import synthetic_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from tfticket.interop.compatibility import check_importable
from tfticket.interop.legacy_file import read_legacy_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NUMBERS = st.integers(0, 10**9)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Real files of the formats that need no training."""
    folder = tmp_path_factory.mktemp("samples")
    synthetic_runs.write_lottery(folder / "runs" / "lottery", seeds=(0,), levels=2)
    synthetic_runs.write_norms(folder / "runs" / "norms")
    synthetic_runs.write_noisy(folder / "runs" / "noisy")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    hostile.write_labels(folder / "labels")
    hostile.write_tables(folder / "tables")
    hostile.SAMPLES[:] = [folder]
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model as tf_keras describes it, in both formats."""
    folder = tmp_path_factory.mktemp("models")
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 2]}},
        {"class_name": "Dense", "config": {"name": "a", "units": 3, "activation": "relu"}},
    ]
    model = {"class_name": "Functional", "config": {"name": "m", "layers": layers}}
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        file["model_weights/a/kernel"] = np.ones((2, 3))
    with zipfile.ZipFile(folder / "model.keras", "w") as made:
        made.writestr("config.json", json.dumps(model))
        made.writestr("metadata.json", '{"keras_version": "2.15.0"}')
    return folder


@pytest.mark.parametrize(
    ("name", "examples"),
    [("ticket", 100), ("run", 40), ("recipe", 60), ("--set", 60), ("labels", 60), ("table", 60)],
)
def test_whatever_is_in_a_file_is_read_or_refused_in_a_short_error(
    samples, tmp_path_factory, name, examples
):
    chosen = hostile.FORMATS[name]

    @settings(max_examples=examples)
    @given(NUMBERS)
    def attempt(number):
        work = tmp_path_factory.mktemp("work")
        path = chosen.damage(Random(number), samples, work)
        hostile.told(lambda: chosen.read(path))

    attempt()


@pytest.mark.parametrize(("name", "examples"), [("model.h5", 15), ("model.keras", 60)])
def test_whatever_is_in_a_model_file_is_described_or_refused(
    models, tmp_path_factory, name, examples
):
    @settings(max_examples=examples)
    @given(NUMBERS)
    def attempt(number):
        path = tmp_path_factory.mktemp("work") / name
        path.write_bytes(hostile.damaged_model(Random(number), models / name))
        hostile.told(lambda: check_importable(read_legacy_file(path).model, source="it"))

    attempt()
