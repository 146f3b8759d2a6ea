"""Benchmarks of what masks cost: the same `fit` with 80 % of the weights pruned, and without masks.

Two copies of one training differ by 2 to 5 % on most machines: by where their arrays lie, and by
what else the machine does. So the training without masks takes part twice. How far the two ratios
are apart is what chance does here; a goal within that distance can be neither met nor missed for
sure.
"""

from __future__ import annotations

from tfticket.bench.fits import ChunkedTraining
from tfticket.bench.paired import Benchmark
from tfticket.bench.workloads import WORKLOADS

PLAIN = ("no masks", "no masks, a copy")


def benchmark(network: str, title: str, *, rounds: int, goal: float) -> Benchmark:
    """Masks against none; the goal is for both ratios."""
    workload = WORKLOADS[network]
    plain = dict.fromkeys(PLAIN, lambda: ChunkedTraining(workload, masked=False))
    return Benchmark(
        f"masks_{network.partition('_')[0]}",
        f"{workload.steps} steps of {title}, batches of {workload.batch_size}, with and without "
        "masks",
        {"80 % masked": lambda: ChunkedTraining(workload, masked=True), **plain},
        rounds=rounds,
        goals=dict.fromkeys(PLAIN, goal),
    )


BENCHMARKS = (
    benchmark("lenet_300_100", "LeNet-300-100, 28x28", rounds=21, goal=1.03),
    benchmark("conv2", "Conv-2, 32x32x3", rounds=11, goal=1.01),
    benchmark("resnet20", "ResNet-20, 32x32x3", rounds=11, goal=1.01),
)
