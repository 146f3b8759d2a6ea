"""Networks of keras.applications; `tests/support/all_applications.py` exports all, in full size."""

import keras
import numpy as np
import pytest

from tfticket.channels import channel_groups
from tfticket.export import prepare, to_tflite
from tfticket.sparsity import Channels, LayerwisePruner, Mask
from tfticket.state import prunable_variables

pytestmark = pytest.mark.slow

PIXELS = 32


def network(name):
    keras.utils.set_random_seed(0)
    options = {"weights": None, "classes": 10, "classifier_activation": None}
    make = getattr(keras.applications, name)
    alpha = {"MobileNetV2": 0.35, "MobileNetV3Small": 0.75}[name]
    return make(input_shape=(PIXELS, PIXELS, 3), alpha=alpha, **options)


def examples():
    return np.random.default_rng(0).random((4, PIXELS, PIXELS, 3)).astype("float32")


@pytest.mark.parametrize(
    ("name", "structure"),
    [("MobileNetV2", "unstructured"), ("MobileNetV3Small", "channel")],
)
def test_it_is_exported_pruned_and_smaller(name, structure, tmp_path):
    model, x = network(name), examples()
    kernels = prunable_variables(model)
    weights = {key: variable.numpy() for key, variable in kernels.items()}
    pruner = LayerwisePruner()
    if structure == "channel":
        pruner = LayerwisePruner(structure=Channels(channel_groups(model)))
    mask = pruner.prune(
        {key: np.abs(array) for key, array in weights.items()},
        Mask.ones({key: array.shape for key, array in weights.items()}),
        0.6,
    )
    for key, variable in kernels.items():
        variable.assign(np.where(mask[key], weights[key], 0.0))
    prepared = prepare(model, mask)
    report = to_tflite(prepared.model, tmp_path / "net.tflite", check_on=(x, None))
    assert report.verification.relative_difference < 1e-4
    assert len(prepared.folded) >= 30
    if structure == "channel":
        assert prepared.units_removed > 500
        assert prepared.parameters_after < 0.6 * prepared.parameters_before
