"""One-shot pruning of a trained model without training it again: test accuracy by method.

    python -m benchmarks.one_shot MODEL.keras --data cifar10

`magnitude`, `wanda` and `surgeon` of `prune_one_shot`, at the same densities of each layer, from
the same examples. Statistics of batch normalization are measured again for all, the dense model's
too, by the same examples. Each method runs for several draws of the examples; of magnitude only the
statistics depend on them.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import click

from benchmarks.__main__ import use_cores
from tfticket.cli.common import data_dir_option, print_columns

METHODS = ("magnitude", "wanda", "surgeon")
SPARSITIES = (0.5, 0.7, 0.9)
_BATCH = 128


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, help="The data set that it was trained on.")
@click.option("--normalize", default="auto", show_default=True, help="How it was scaled.")
@click.option("--examples", default=1_024, show_default=True, help="Examples of a draw.")
@click.option("--seeds", default=3, show_default=True, help="Number of draws.")
@click.option("--cores", default=1, show_default=True, help="Number of CPU cores to use.")
@data_dir_option
def main(
    model: Path,
    data: str,
    normalize: str,
    examples: int,
    seeds: int,
    cores: int,
    data_dir: Path | None,
) -> None:
    """Prune MODEL at several sparsities, and print its test accuracies."""
    from tfticket.quiet import start_tensorflow

    use_cores(cores)
    start_tensorflow()
    import keras
    import numpy as np

    from tfticket import data as sources
    from tfticket.models.files import load_file
    from tfticket.report.estimate import Estimate
    from tfticket.seeds import generator
    from tfticket.sparsity import prune_one_shot
    from tfticket.statistics import recalibrate

    whole = sources.load(data, data_dir=data_dir, normalize=normalize)
    network = load_file(model)
    test = whole.inputs(whole.test)

    def accuracy(pruned: keras.Model, x: np.ndarray) -> float:
        recalibrate(pruned, [x[start : start + _BATCH] for start in range(0, len(x), _BATCH)])
        guesses = pruned.predict(test, batch_size=500, verbose=0).argmax(axis=1)
        return 100 * float((guesses == whole.test.y).mean())

    draws = {}
    for seed in range(seeds):
        rows = generator(seed, "one shot").permutation(len(whole.train.y))[:examples]
        draws[seed] = whole.inputs(whole.train.take(np.sort(rows)))
    dense = {seed: accuracy(load_file(model), x) for seed, x in draws.items()}
    lines = [("sparsity", "method", "test accuracy, %", "seconds of processor time")]
    lines.append(("0 %", "dense", _text(Estimate.of(dense)), ""))
    for sparsity, method in itertools.product(SPARSITIES, METHODS):
        found, seconds = {}, []
        for seed, x in draws.items():
            begun = time.process_time()
            pruned = prune_one_shot(network, x, sparsity, method=method)  # type: ignore[arg-type]
            seconds.append(time.process_time() - begun)
            found[seed] = accuracy(pruned, x)
        estimate = Estimate.of(found)
        lines.append(
            (f"{100 * sparsity:.0f} %", method, _text(estimate), f"{np.median(seconds):.1f}")
        )
    print_columns(lines)


def _text(estimate: object) -> str:
    mean, lower, upper = (getattr(estimate, name) for name in ("mean", "lower", "upper"))
    return f"{mean:.2f} ({lower:.2f} to {upper:.2f})"


if __name__ == "__main__":
    main()
