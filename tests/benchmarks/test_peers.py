"""Peers live in other processes; what they train is looked at there."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from benchmarks import steps
from benchmarks.tasks import UnavailableError, environment
from benchmarks.workloads import DENSITY, WORKLOADS
from tfticket import models

pytestmark = pytest.mark.slow

LOOK_AT_PYTORCH = """
import json
from dataclasses import replace
from benchmarks.peers.pytorch import Training
from benchmarks.workloads import WORKLOADS
found = {}
for name, workload in WORKLOADS.items():
    training = Training(replace(workload, examples=4, batch_size=2, steps=2))
    before = [p.detach().clone() for p in training.network.parameters()]
    training()
    after = list(training.network.parameters())
    zeros = sum(int((kernel == 0).sum()) for kernel in training.kernels)
    found[name] = {
        "weights": sum(p.numel() for p in after),
        "density": 1 - zeros / sum(kernel.numel() for kernel in training.kernels),
        "moved": all(bool((a != b).any()) for a, b in zip(before, after)),
    }
print(json.dumps(found))
"""
LOOK_AT_LEGACY = """
import json
from dataclasses import replace
from benchmarks.peers import legacy_keras
from benchmarks.workloads import WORKLOADS
found = {name: getattr(legacy_keras, name)(WORKLOADS[name].input_shape).count_params()
         for name in ("conv2", "resnet20")}
workload = replace(WORKLOADS["lenet_300_100"], examples=202, batch_size=2)
training = legacy_keras.PrunedTraining(workload)
training()
kernels = [v.numpy() for v in training.model.trainable_weights if "kernel" in v.name]
found["density"] = sum((k != 0).sum() for k in kernels) / sum(k.size for k in kernels)
print(json.dumps({name: float(value) for name, value in found.items()}))
"""


LOOK_AT_OPEN_LTH = """
import json
from dataclasses import replace
from benchmarks.peers.open_lth import Training
from benchmarks.workloads import WORKLOADS
training = Training(replace(WORKLOADS["lenet_300_100"], examples=8, batch_size=2, steps=4))
begun = {name: p.detach().clone() for name, p in training.model.model.named_parameters()}
training()
training.model._apply_mask()
found = dict(training.model.model.named_parameters())
kernels = [p for p in found.values() if p.ndim > 1]
print(json.dumps({
    "weights": sum(p.numel() for p in found.values()),
    "density": sum(int((p != 0).sum()) for p in kernels) / sum(p.numel() for p in kernels),
    "moved": all(bool((begun[name] != p).any()) for name, p in found.items()),
}))
"""


def look(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def ours(name, *, trainable):
    model = models.build(name, WORKLOADS[name].input_shape, 10)
    variables = model.trainable_weights if trainable else model.weights
    return sum(variable.numpy().size for variable in variables)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_pytorch_trains_the_networks_of_the_zoo_and_keeps_the_masks():
    for name, found in look(LOOK_AT_PYTORCH).items():
        assert found["weights"] == ours(name, trainable=True)
        assert found["density"] == pytest.approx(DENSITY, abs=0.01)
        assert found["moved"]


def test_legacy_keras_trains_the_networks_of_the_zoo_and_tfmot_prunes():
    found = look(LOOK_AT_LEGACY)
    assert found["conv2"] == ours("conv2", trainable=False)
    assert found["resnet20"] == ours("resnet20", trainable=False)
    assert found["density"] == pytest.approx(DENSITY, abs=0.01)


@pytest.mark.skipif("OPEN_LTH" not in os.environ, reason="needs a checkout of open_lth")
def test_open_lth_trains_the_network_of_the_zoo_and_keeps_the_masks():
    found = look(LOOK_AT_OPEN_LTH)
    assert found["weights"] == ours("lenet_300_100", trainable=True)
    assert found["density"] == pytest.approx(DENSITY, abs=0.01)
    assert found["moved"]


def test_without_a_checkout_open_lth_does_not_take_part(monkeypatch):
    monkeypatch.delenv("OPEN_LTH", raising=False)
    monkeypatch.setattr(steps, "need", lambda *_: None)
    with pytest.raises(UnavailableError, match="OPEN_LTH must be the folder"):
        steps.need_open_lth()
