"""`python -m benchmarks.peers.torch_coteaching STYLE EXAMPLES BATCH_SIZE STEPS`: co-teaching.

Two conv4 of half width with batch norm on images of 32x32 pixels, in the way of the authors'
program, written anew from Han et al. (2018, arXiv:1804.06872), algorithm 1: both networks go
forward, losses are sorted by NumPy outside of PyTorch, the loss of each network is taken again on
the small-loss examples of the other, and each has its own backward pass and its own Adam. The
forget rate ramps to 0.4 over 10 epochs, and the accuracy of both networks is counted.

Where that program has a `DataLoader`, data are tensors in memory and batches gathered by index,
which is faster: the algorithm is measured, not how it was fed. All else is as there, the layout of
images and the implementation of Adam too, in the style `official`. In the style `tuned`,
convolutions run channels last and Adam is the fused one.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.pytorch import prepare
from benchmarks.tasks import serve
from benchmarks.workloads import CLASSES, Workload

FORGET_RATE = 0.4
LAYOUTS = {"official": torch.contiguous_format, "tuned": torch.channels_last}
GRADUAL_EPOCHS = 10


class Conv4(nn.Sequential):
    """Conv-4 of half width with batch norm, for images of 32x32 pixels."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        before = 3
        for channels in (32, 64):
            for _ in range(2):
                layers += [
                    nn.Conv2d(before, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
                before = channels
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.Flatten())
        for inputs in (64 * 8 * 8, 128):
            layers += [nn.Linear(inputs, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()]
        super().__init__(*layers, nn.Linear(128, CLASSES))


def loss_coteaching(
    first: torch.Tensor, second: torch.Tensor, labels: torch.Tensor, forget_rate: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss of each network on its peer's small-loss examples: algorithm 1, 4 to 7.

    Args:
        first: Logits of the first network, shape (batch, classes).
        second: Logits of the second network.
        labels: Given labels, shape (batch,).
        forget_rate: Share to drop, in [0, 1).
    """
    kept = int((1 - forget_rate) * len(labels) + 1e-4)
    kept_by = [
        torch.from_numpy(
            np.argsort(functional.cross_entropy(logits, labels, reduction="none").detach().numpy())
        )[:kept]
        for logits in (first, second)
    ]
    return (
        functional.cross_entropy(first[kept_by[1]], labels[kept_by[1]]),
        functional.cross_entropy(second[kept_by[0]], labels[kept_by[0]]),
    )


class Training:
    """Two networks that are trained further at each call.

    Args:
        workload: What to train, and how long a run is.
        style: `official` or `tuned`.
    """

    def __init__(self, workload: Workload, style: str) -> None:
        torch.manual_seed(0)
        self._workload = workload
        self._rng = np.random.default_rng(0)
        images, labels = workload.arrays()
        x = torch.from_numpy(images).permute(0, 3, 1, 2)
        self._x = x.contiguous(memory_format=LAYOUTS[style])
        self._y = torch.from_numpy(labels).long()
        self.networks = [Conv4().to(memory_format=LAYOUTS[style]) for _ in range(2)]
        self._optimizers = [
            torch.optim.Adam(each.parameters(), workload.learning_rate, fused=style == "tuned")
            for each in self.networks
        ]
        self._steps = 0
        self.right = [0, 0]

    @property
    def forget_rate(self) -> float:
        """Forget rate of the epoch that the next step belongs to."""
        epoch = self._steps * self._workload.batch_size // self._workload.examples
        return FORGET_RATE * min(epoch / GRADUAL_EPOCHS, 1.0)

    def __call__(self) -> None:
        """Train the steps of a run."""
        for batch in torch.from_numpy(self._workload.batches(self._rng)):
            self._step(self._x[batch].float().div_(255), self._y[batch])

    def _step(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        logits = [network(x) for network in self.networks]
        for number, each in enumerate(logits):
            self.right[number] += int((each.argmax(1) == labels).sum())
        losses = loss_coteaching(logits[0], logits[1], labels, self.forget_rate)
        for optimizer, loss in zip(self._optimizers, losses, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        self._steps += 1


if __name__ == "__main__":
    prepare()
    examples, batch_size, steps = (int(number) for number in sys.argv[2:])
    measured = Workload("conv4", (32, 32, 3), examples, batch_size, steps, steps, 1e-3)
    serve(Training(measured, sys.argv[1]))
