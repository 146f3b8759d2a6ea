"""`PYTHON benchmarks/peers/torch_channels.py GIVEN.npz FOLDER`: channels removed by Torch-Pruning.

It runs in an environment of its own, which needs torch, torch-pruning and NumPy and not tfticket.
`GIVEN.npz` holds the weights of a network in the layout of Keras, a few images with the outputs of
Keras, and what to remove. The network is built anew; that it gives the same outputs is checked
first. Then `MetaPruner` removes channels by the L2 norm of groups over convolutions and dense
layers, and what is left is written, in the layout of Keras again: FOLDER/0.npz, 1.npz, ...
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch_pruning
from torch import nn

EPSILON = 1e-3  # of Keras' batch normalization
STRIDES = {"stage2_a": 2, "stage2_shortcut": 2, "stage3_a": 2, "stage3_shortcut": 2}
_TOLERANCE = 1e-3


class Network(nn.Module):
    """ResNet-8 or VGG-6, with the names of the layers in `benchmarks.structured`."""

    def __init__(self, kind: str, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.kind = kind
        for key, kernel in weights.items():
            name, _, part = key.partition("/")
            if part != "kernel":
                continue
            if kernel.ndim == 2:
                self.add_module(name, nn.Linear(*kernel.shape))
                continue
            side, _, inputs, outputs = kernel.shape
            stride = STRIDES.get(name, 1)
            convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
            self.add_module(name, convolution)
            self.add_module(f"{name}_norm", nn.BatchNorm2d(outputs, eps=EPSILON))
        for key, values in weights.items():
            _assign(self, key, values)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images to logits."""
        if self.kind == "vgg6":
            for number in range(1, 5):
                x = torch.relu(self._normal(f"conv{number}", x))
                x = nn.functional.max_pool2d(x, 2) if number % 2 == 0 else x
            hidden = torch.relu(self.get_submodule("hidden")(x.mean((2, 3))))
            return self.get_submodule("output")(hidden)
        x = torch.relu(self._normal("conv1", x))
        for stage in range(1, 4):
            y = torch.relu(self._normal(f"stage{stage}_a", x))
            y = self._normal(f"stage{stage}_b", y)
            x = torch.relu(y + (x if stage == 1 else self._normal(f"stage{stage}_shortcut", x)))
        return self.get_submodule("output")(x.mean((2, 3)))

    def _normal(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.get_submodule(f"{name}_norm")(self.get_submodule(name)(x))


_PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _assign(network: nn.Module, key: str, values: np.ndarray) -> None:
    name, _, part = key.partition("/")
    turned = values.transpose({2: (1, 0), 4: (3, 2, 0, 1)}.get(values.ndim, (0,)))
    tensor = getattr(network.get_submodule(name), _PARTS.get(part, part))
    tensor.data.copy_(torch.from_numpy(np.ascontiguousarray(turned)))


def _arrays(network: nn.Module, keys: list[str]) -> dict[str, np.ndarray]:
    found = {}
    for key in keys:
        name, _, part = key.partition("/")
        values = getattr(network.get_submodule(name), _PARTS.get(part, part)).detach().numpy()
        found[key] = values.transpose({2: (1, 0), 4: (2, 3, 1, 0)}.get(values.ndim, (0,)))
    return found


def remove(network: Network, x: torch.Tensor, share: float, scope: str) -> Network:
    """Return a copy without this share of its channels."""
    smaller = copy.deepcopy(network)
    importance = torch_pruning.importance.GroupMagnitudeImportance(
        p=2, target_types=[nn.modules.conv._ConvNd, nn.Linear]
    )
    pruner = torch_pruning.pruner.MetaPruner(
        smaller,
        x[:1],
        importance=importance,
        pruning_ratio=share,
        global_pruning=scope == "global",
        ignored_layers=[smaller.get_submodule("output")],
    )
    pruner.step()
    return smaller


def main(given: str, folder: str) -> None:
    """Do what a file asks for."""
    torch.set_num_threads(1)
    with np.load(given) as file:
        arrays = dict(file)
    told = json.loads(str(arrays.pop("told")))
    images, outputs = arrays.pop("images"), arrays.pop("outputs")
    network = Network(told["kind"], arrays).eval()
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        difference = np.abs(network(x).numpy() - outputs).max() / np.abs(outputs).max()
    if not difference < _TOLERANCE:
        raise SystemExit(f"The networks differ by {difference} of the largest output.")
    for number, (share, scope) in enumerate(told["jobs"]):
        smaller = remove(network, x, share, scope)
        left = _arrays(smaller, list(arrays))
        np.savez(Path(folder) / f"{number}.npz", **left)  # type: ignore[arg-type]
    print(json.dumps({"difference": float(difference), "version": torch_pruning.__version__}))


if __name__ == "__main__":
    main(*sys.argv[1:])
