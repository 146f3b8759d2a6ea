import json

import numpy as np
import pytest

from tfticket.errors import ExportError
from tfticket.export import Preprocessing
from tfticket.export.runtime import TensorSpec

pytestmark = pytest.mark.slow


def test_feeding_floats_is_the_preprocessing_itself():
    feeding = Preprocessing.of(np.float32(0.5), np.float32(-1)).feeding(TensorSpec((1,), "float32"))
    assert (feeding["scale"], feeding["offset"]) == ([0.5], [-1.0])


def test_feeding_bytes_is_one_step_from_raw_data():
    preprocessing = Preprocessing.of([1 / 255, 2 / 255], [0.0, -1.0])
    spec = TensorSpec((1, 4, 4, 2), "int8", 0.01, -5)
    feeding = preprocessing.feeding(spec)
    raw = np.random.default_rng(0).integers(0, 256, (4, 4, 2))
    two_steps = spec.quantize((raw * [1 / 255, 2 / 255] + [0.0, -1.0]).astype(np.float32))
    at_once = np.clip(np.round(raw * feeding["scale"] + feeding["offset"]), -128, 127)
    assert np.abs(two_steps - at_once).max() <= 1  # half a step may round either way
    assert "clip(round(raw * scale + offset), -128, 127)" in feeding["formula"]


def test_as_many_offsets_as_factors():
    with pytest.raises(ExportError, match="as many offsets"):
        Preprocessing.of([1.0, 2.0], 0.0)


def test_json_names_the_file_and_not_its_folder(exported):
    report = exported.reports["int8"]
    told = json.loads(report.to_json())
    assert told["path"] == "net.int8.tflite"
    assert told["verification"]["agreement"] == report.verification.agreement
    assert told["feeding"]["scale"] == report.feeding["scale"]
    assert report.report_path.name == "net.int8.report.json"
