"""`python -m tfticket.bench.peers.open_lth_step`: LeNet-300-100 trained by open_lth.

All of it is its own: `training.train.train` of a `PrunedModel`, and its data loader, which makes
each example from an image of PIL, in the process that trains, as it does by default.
"""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from tfticket.bench.peers.open_lth_checkout import make_importable
from tfticket.bench.peers.pytorch import prepare
from tfticket.bench.tasks import serve
from tfticket.bench.workloads import WORKLOADS, Workload, random_masks


class Training:
    """A pruned network that is trained on and on, each time with a new optimizer.

    Args:
        workload: What is trained, and how long a run is.
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
        """Trains the steps of a run."""
        with tempfile.TemporaryDirectory() as folder:  # it goes on from a checkpoint that it finds
            self._train(self._settings, self.model, self._loader, str(Path(folder) / "run"))


if __name__ == "__main__":
    prepare()
    serve(Training(WORKLOADS["lenet_300_100"]))
