"""Benchmarks of a training step of LeNet-300-100 against those of others.

All train 1000 steps a run, of 60 images each, with Adam at a rate of 0.0012. Ours is plain `fit`
with `ChunkedFit`, and measures the accuracy too. It, PyTorch, tensorflow-model-optimization and
open_lth keep 80 % of the weights at zero; the others have no masks, which spares them work. What
exactly the peers do is written in `tfticket.bench.peers`.

Two copies of the same training differ by 2 to 5 % here, so that ratios nearer to each other than
that say nothing.
"""

from __future__ import annotations

import os

from tfticket.bench.fits import ChunkedTraining, keras_defaults
from tfticket.bench.handwritten import HandwrittenLenet
from tfticket.bench.paired import Benchmark
from tfticket.bench.tasks import ChildTask, FreshChildTask, UnavailableError, need
from tfticket.bench.workloads import WORKLOADS

WORKLOAD = WORKLOADS["lenet_300_100"]


def pytorch(network: str, *, fresh: bool = False) -> ChildTask | FreshChildTask:
    """The best plain PyTorch loop, in a process of its own, or in a new one each time."""
    need("torch", "pip install 'tfticket[bench]'")
    return (FreshChildTask if fresh else ChildTask)("tfticket.bench.peers.pytorch", network)


def open_lth(module: str, *arguments: str) -> ChildTask:
    """A module that runs a checkout of open_lth, in a process of its own."""
    need_open_lth()
    return ChildTask(module, *arguments)


def need_open_lth() -> None:
    """Raises an `UnavailableError` where there is no checkout of open_lth, or not what it needs."""
    need("torch", "pip install 'tfticket[bench]'")
    need("torchvision", "pip install 'tfticket[bench]'")
    if "OPEN_LTH" not in os.environ:
        raise UnavailableError(
            "OPEN_LTH must be the folder of a checkout of "
            "https://github.com/facebookresearch/open_lth."
        )


BENCHMARKS = (
    Benchmark(
        "lenet",
        "1000 steps of LeNet-300-100, 28x28, batches of 60, 80 % masked",
        {
            "fit with ChunkedFit, masks": lambda: ChunkedTraining(WORKLOAD, masked=True),
            "the same, no masks": lambda: ChunkedTraining(WORKLOAD, masked=False),
            "hand-written epoch, XLA, no masks": lambda: HandwrittenLenet(WORKLOAD),
            "PyTorch loop, tensors, masks": lambda: pytorch("lenet_300_100"),
            "tfmot, fit": lambda: ChildTask("tfticket.bench.peers.tfmot"),
            "Keras fit, defaults, no masks": lambda: keras_defaults(WORKLOAD),
            "open_lth, masks": lambda: open_lth("tfticket.bench.peers.open_lth_step"),
        },
        rounds=7,
        goals={
            "hand-written epoch, XLA, no masks": 1.15,
            "PyTorch loop, tensors, masks": 1 / 1.4,
            "tfmot, fit": 1 / 2.5,
            "Keras fit, defaults, no masks": 1 / 3,
            "open_lth, masks": 1 / 6,
        },
    ),
)
