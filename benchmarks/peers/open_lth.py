"""`python -m benchmarks.peers.open_lth train | search NETWORKS`: open_lth itself.

The environment variable `OPEN_LTH` names the folder of a checkout of
https://github.com/facebookresearch/open_lth. Its files stay as they are. Three things are fixed
while they are imported, so that it runs with today's libraries:

- `numpy.product` is gone from NumPy 2; it was `numpy.prod`.
- `models.base.Model` names its bases in an order that PyTorch no longer allows.
- torchvision from PyPI can't load its compiled operators under a PyTorch without CUDA, and then
  fails to describe two of them. They are declared; nothing calls them.

`train`: LeNet-300-100 by `training.train.train` of a `PrunedModel`, with its own data loader, which
makes each example from an image of PIL, in the process that trains, as it does by default.

`search`: its command `lottery` with its defaults for LeNet-300-100, except for the batch size, the
optimizer and one epoch a network. `HOME` is where it finds its data and leaves its files. It tests
each network before and after training, the fewest that it can be asked for.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.pytorch import prepare
from benchmarks.tasks import serve
from benchmarks.workloads import RATE, WORKLOADS, Workload, random_masks

_OLD_BASES = b"class Model(abc.ABC, torch.nn.Module):"
_NEW_BASES = b"class Model(torch.nn.Module, abc.ABC):"
_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def make_importable() -> None:
    """Let `import training`, `import models` and so on find the checkout."""
    vars(np)["product"] = np.prod
    try:
        import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", _BOXES)
        import_module("torchvision")
    sys.path.insert(0, os.environ["OPEN_LTH"])
    sys.meta_path.insert(0, _ModelBase())


class _ModelBase:
    """Finds `models.base` in the checkout, and compiles it with its bases in the new order."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name != "models.base":
            return None
        path = str(Path(os.environ["OPEN_LTH"]) / "models" / "base.py")
        return importlib.util.spec_from_file_location(name, path, loader=_Loader(name, path))


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> Any:
        text = self.get_data(self.path).replace(_OLD_BASES, _NEW_BASES)
        return self.source_to_code(text, self.path)


class Training:
    """A pruned network that is trained further at each call, each time with a new optimizer.

    Args:
        workload: What to train, and how long a run is.
    """

    def __init__(self, workload: Workload) -> None:
        make_importable()
        import_module("open_lth")  # its modules import one another, and not in any order
        self._train = import_module("training.train").train
        platform = import_module("platforms.local").Platform()
        vars(import_module("platforms.platform"))["_PLATFORM"] = platform
        defaults: Any = import_module("models.mnist_lenet").Model.default_hparams()
        self._settings = defaults.training_hparams
        self._settings.optimizer_name = "adam"
        self._settings.lr = workload.learning_rate
        self._settings.training_steps = f"{workload.steps}it"
        network = import_module("models.registry").get(defaults.model_hparams)
        weights = network.state_dict()
        shapes = {name: tuple(weights[name].shape) for name in network.prunable_layer_names}
        mask = import_module("pruning.mask").Mask(random_masks(shapes))
        self.model = import_module("pruning.pruned_model").PrunedModel(network, mask)
        x, y = workload.arrays()
        mnist = import_module("datasets.mnist")
        examples = mnist.Dataset(torch.from_numpy(x[..., 0]), torch.from_numpy(y).long())
        self._loader = mnist.DataLoader(examples, workload.batch_size, num_workers=0)

    def __call__(self) -> None:
        """Train the steps of a run."""
        with tempfile.TemporaryDirectory() as folder:  # it would resume from a checkpoint
            self._train(self._settings, self.model, self._loader, str(Path(folder) / "run"))


def search(networks: int) -> None:
    """Search for tickets; it prints the accuracies."""
    workload = WORKLOADS["lenet_300_100"]
    sys.argv[1:] = [
        "lottery",
        "--default_hparams=mnist_lenet_300_100",
        f"--levels={networks - 1}",
        "--training_steps=1ep",
        f"--batch_size={workload.batch_size}",
        "--optimizer_name=adam",
        f"--lr={workload.learning_rate}",
        f"--pruning_fraction={RATE}",
    ]
    make_importable()
    import_module("open_lth").main()


if __name__ == "__main__":
    prepare()
    if sys.argv[1] == "train":
        serve(Training(WORKLOADS["lenet_300_100"]))
    else:
        search(int(sys.argv[2]))
