"""`python -m tfticket.bench.peers.open_lth_search NETWORKS`: the same search, in open_lth.

This is its command `lottery` with its own defaults for LeNet-300-100, but for the batch size, the
optimizer and one epoch a network. `HOME` says where it finds its data and leaves its files. It
tests each network before and after training, as often as it can be asked to do.
"""

from __future__ import annotations

import sys
from importlib import import_module

from tfticket.bench.peers.open_lth_checkout import make_importable
from tfticket.bench.peers.pytorch import prepare
from tfticket.bench.workloads import RATE, WORKLOADS


def main(networks: int) -> None:
    """Searches; accuracies are in what it prints."""
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
    main(int(sys.argv[1]))
