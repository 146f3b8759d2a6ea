"""PyTorch lives in another process; what it trains is looked at there."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from small_loss import small_loss

from benchmarks import coteaching
from benchmarks.tasks import environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch"),
]

LOOK = """
import json, sys
import torch
from benchmarks.peers.torch_coteaching import Training, loss_coteaching
from benchmarks.workloads import Workload
training = Training(Workload("conv4", (32, 32, 3), 8, 4, 3, 3, 1e-3), sys.argv[1])
before = [[p.detach().clone() for p in net.parameters()] for net in training.networks]
rates = []
for _ in range(8):
    rates.append(training.forget_rate)
    training()
after = [list(net.parameters()) for net in training.networks]
given = json.loads(sys.stdin.read())
logits = [torch.tensor(each, requires_grad=True) for each in given["logits"]]
losses = loss_coteaching(*logits, torch.tensor(given["labels"]), 0.5)
sum(losses).backward()
print(json.dumps({
    "weights": [sum(p.numel() for p in net) for net in after],
    "moved": all(bool((a != b).any()) for x, y in zip(before, after) for a, b in zip(x, y)),
    "rates": rates,
    "losses": [loss.item() for loss in losses],
    "kept": [each.grad.abs().sum(1).gt(0).tolist() for each in logits],
}))
"""


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 10, 3)), rng.integers(0, 3, 10)


@pytest.fixture(scope="module", params=["official", "tuned"])
def found(request, case):
    logits, labels = case
    done = subprocess.run(
        [sys.executable, "-c", LOOK, request.param],
        input=json.dumps({"logits": logits.tolist(), "labels": labels.tolist()}),
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_it_selects_as_the_paper_says(found, case):
    logits, labels = case
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    losses = -np.log(p[:, np.arange(10), labels])
    believed = [small_loss(each, 0.5) for each in losses]
    assert found["kept"] == [believed[1].tolist(), believed[0].tolist()]
    wanted = [losses[0][believed[1]].mean(), losses[1][believed[0]].mean()]
    assert found["losses"] == pytest.approx(wanted)


def test_it_trains_both_networks_and_ramps(found):
    assert found["moved"]
    # Three steps of 4 a run, of 8 images: the ramp goes on by an epoch and a half.
    assert found["rates"] == pytest.approx([0.0, 0.04, 0.12, 0.16, 0.24, 0.28, 0.36, 0.4])


def test_the_networks_are_those_of_ours(found):
    network = coteaching._CONV4.build(0)
    assert found["weights"] == [sum(v.numpy().size for v in network.trainable_variables)] * 2


def test_it_takes_part():
    setting = replace(coteaching._CONV4, batch_size=16, chunk_steps=1, chunks=1)
    task = coteaching.pytorch_contenders(setting)["PyTorch, the official way"]()
    try:
        assert task().cpu > 0
    finally:
        task.close()
