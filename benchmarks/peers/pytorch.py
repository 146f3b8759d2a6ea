"""`python -m benchmarks.peers.pytorch NETWORK`: the best plain PyTorch loop, with masks.

Data are tensors in memory and batches are gathered by index, without a `DataLoader`. Adam is the
fused one, and all weights are masked after each step in one call; both were the fastest of the ways
there are. Convolutions run channels last. Only the loss is computed, and it isn't read.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

from benchmarks.tasks import serve
from benchmarks.workloads import CLASSES, WORKLOADS, Workload, random_masks
from tfticket.machine import usable_cores


class Lenet(nn.Sequential):
    """LeNet-300-100."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(inputs, 300),
            nn.ReLU(),
            nn.Linear(300, 100),
            nn.ReLU(),
            nn.Linear(100, CLASSES),
        )


class Conv2(nn.Sequential):
    """Conv-2 for images of 32x32 pixels."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 16 * 16, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, CLASSES),
        )


class Block(nn.Module):
    """Two convolutions and a shortcut; one of 1x1 where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images to images."""
        return torch.relu(self.body(x) + self.shortcut(x))


class Resnet20(nn.Sequential):
    """ResNet-20 for CIFAR."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        ]
        before = 16
        for channels in (16, 32, 64):
            for block in range(3):
                layers.append(Block(before, channels, 2 if block == 0 and channels > 16 else 1))
                before = channels
        pool = nn.AdaptiveAvgPool2d(1)
        super().__init__(*layers, pool, nn.Flatten(), nn.Linear(64, CLASSES))


class Training:
    """A network that is trained further at each call.

    Args:
        workload: What to train, and how long a run is.
    """

    def __init__(self, workload: Workload) -> None:
        torch.manual_seed(0)
        self._workload = workload
        self._rng = np.random.default_rng(0)
        images, labels = workload.arrays()
        self._x = torch.from_numpy(images).permute(0, 3, 1, 2)
        self._y = torch.from_numpy(labels).long()
        if workload.network == "lenet_300_100":
            self.network: nn.Module = Lenet(images[0].size)
            self._x = self._x.contiguous()
        else:
            self.network = Conv2() if workload.network == "conv2" else Resnet20()
            self.network.to(memory_format=torch.channels_last)
        self._loss = nn.CrossEntropyLoss()
        self._optimizer = torch.optim.Adam(
            self.network.parameters(), workload.learning_rate, fused=True
        )
        kernels = {name: p for name, p in self.network.named_parameters() if p.ndim > 1}
        masks = random_masks({name: tuple(p.shape) for name, p in kernels.items()})
        self.kernels = [p.data for p in kernels.values()]
        self.masks = [
            torch.from_numpy(masks[name]).to(p.dtype, memory_format=torch.preserve_format)
            for name, p in kernels.items()
        ]
        self._mask()

    def __call__(self) -> None:
        """Train the steps of a run."""
        for batch in torch.from_numpy(self._workload.batches(self._rng)):
            x = self._x[batch].float().div_(255)
            loss = self._loss(self.network(x), self._y[batch])
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            self._mask()

    def _mask(self) -> None:
        with torch.no_grad():
            torch._foreach_mul_(self.kernels, self.masks)


def prepare() -> None:
    """Set one thread for each usable CPU core, and flush denormal numbers to zero.

    Means of Adam for dead units become denormal, and a step takes three times as long then;
    TensorFlow flushes such numbers by itself.
    """
    torch.set_flush_denormal(True)
    torch.set_num_threads(usable_cores())
    torch.set_num_interop_threads(1)


if __name__ == "__main__":
    prepare()
    serve(Training(WORKLOADS[sys.argv[1]]), warm_up=3)
