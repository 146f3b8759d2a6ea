"""Benchmarks of convolutional networks against tf_keras and PyTorch, in the shape of CIFAR-10.

Ours is plain `fit` with `ChunkedFit` and 80 % of the weights masked. PyTorch's masks are the same;
tf_keras has none, which spares it work. All train the same layers with Adam and the same batches,
in a new process each round: where it has its memory moves such a training by some percent. Each
process trains a few runs before it is timed, since its first ones ask the system for memory.
"""

from __future__ import annotations

from tfticket.bench.lenet import pytorch
from tfticket.bench.paired import Benchmark
from tfticket.bench.tasks import FreshChildTask
from tfticket.bench.workloads import WORKLOADS


def benchmark(network: str, title: str, *, rounds: int) -> Benchmark:
    """Ours against both."""
    workload = WORKLOADS[network]
    legacy, torch = "tf_keras fit, no masks", "PyTorch loop, tensors, masks"
    return Benchmark(
        network,
        f"{workload.steps} steps of {title}, 32x32x3, batches of {workload.batch_size}",
        {
            "fit with ChunkedFit, masks": lambda: FreshChildTask(
                "tfticket.bench.chunked_training", network
            ),
            legacy: lambda: FreshChildTask("tfticket.bench.peers.legacy_fit", network),
            torch: lambda: pytorch(network, fresh=True),
        },
        rounds=rounds,
        warm_up=False,
        goals={legacy: 1.0, torch: 1 / 1.1},
    )


BENCHMARKS = (
    benchmark("conv2", "Conv-2", rounds=5),
    benchmark("resnet20", "ResNet-20", rounds=7),
)
