"""`PYTHON benchmarks/peers/torch_curvature.py GIVEN.npz`: eigenvalues and traces by PyTorch.

It runs in an environment of its own, which needs torch, curvlinops-for-pytorch and
hessian-eigenthings, and not tfticket. `GIVEN.npz` holds the weights of a network of
`benchmarks.curvature` in the layout of Keras, a batch, and Keras' outputs in training mode. The
network is built anew; that it gives the same outputs is checked first. The last line of stdout is
the result as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import curvlinops
import hessian_eigenthings
import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import nn

EPSILON = 1e-3  # of Keras' normalizations
_TOLERANCE = 1e-5


class GroupNorm(nn.GroupNorm):
    """Group normalization by operations that torch.func differentiates twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize images."""
        grouped = x.reshape(len(x), self.num_groups, -1)
        centered = grouped - grouped.mean(-1, keepdim=True)
        variance = centered.square().mean(-1, keepdim=True)
        normal = (centered / (variance + self.eps).sqrt()).reshape(x.shape)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


def network(kind: str, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """Return a network in training mode, with the weights of Keras."""
    if kind == "dense":
        layers = {"first": nn.Linear(8, 12), "tanh": nn.Tanh(), "last": nn.Linear(12, 4)}
    else:
        norm: nn.Module = GroupNorm(2, 6, eps=EPSILON)
        if kind == "batch":  # without moving statistics, which torch.func can't have written
            norm = nn.BatchNorm2d(6, eps=EPSILON, track_running_stats=False)
        layers = {
            "first": nn.Conv2d(3, 6, 3, padding=1, bias=False),
            "norm": norm,
            "softplus1": nn.Softplus(),
            "pool": nn.MaxPool2d(2),
            "second": nn.Conv2d(6, 8, 3, padding=1),
            "softplus2": nn.Softplus(),
            "mean": nn.AdaptiveAvgPool2d(1),
            "flat": nn.Flatten(),
            "last": nn.Linear(8, 4),
        }
    made = nn.Sequential()
    for name, layer in layers.items():
        made.add_module(name, layer)
    parts = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}
    for key, values in weights.items():
        name, _, part = key.partition("/")
        if part in parts:
            turned = values.transpose({2: (1, 0), 4: (3, 2, 0, 1)}.get(values.ndim, (0,)))
            tensor = getattr(made.get_submodule(name), parts[part])
            tensor.data.copy_(torch.from_numpy(np.ascontiguousarray(turned)))
    return made.train()


def by_curvlinops(model: nn.Module, x: torch.Tensor, y: torch.Tensor, k: int) -> dict[str, object]:
    """Return eigenvalues by SciPy's Lanczos on its operator, and both traces."""
    parameters = list(model.parameters())
    operator = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [(x, y)])
    size = sum(parameter.numel() for parameter in parameters)
    options = {"which": "LA", "tol": 1e-7, "v0": np.ones(size), "return_eigenvectors": False}
    values = eigsh(operator.to_scipy(), k=k, **options)
    dense = operator @ torch.eye(size)
    return {
        "eigenvalues": sorted((float(value) for value in values), reverse=True),
        "trace": float(curvlinops.hutchpp_trace(operator, num_matvecs=90)),
        "exact_trace": float(torch.trace(dense)),
    }


def by_eigenthings(model: nn.Module, x: torch.Tensor, y: torch.Tensor, k: int) -> dict[str, object]:
    """Return eigenvalues by its own Lanczos."""
    operator = hessian_eigenthings.HessianOperator(
        model, [(x, y)], hessian_eigenthings.supervised_loss(nn.CrossEntropyLoss())
    )
    # Without reorthogonalization it returns the largest eigenvalue several times.
    found = hessian_eigenthings.lanczos(
        operator, k=k, which="LA", max_iter=60, tol=1e-6, reorthogonalize=True, seed=0
    )
    return {"eigenvalues": sorted(found.eigenvalues.tolist(), reverse=True)}


def main(given: str) -> None:
    """Compute what a file asks for."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(given) as file:
        arrays = dict(file)
    kind, k = str(arrays.pop("kind")), int(arrays.pop("k"))
    x, y, outputs = (arrays.pop(name) for name in ("x", "y", "outputs"))
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x)
    model, labels = network(kind, arrays), torch.from_numpy(y)
    with torch.no_grad():
        difference = np.abs(model(images).numpy() - outputs).max() / np.abs(outputs).max()
    if not difference < _TOLERANCE:
        raise SystemExit(f"The networks differ by {difference} of the largest output.")
    found = {
        "curvlinops": by_curvlinops(model, images, labels, k),
        "hessian-eigenthings": by_eigenthings(model, images, labels, k),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
