"""Ways to a network with a tenth of the weights: test accuracy against the cost of training.

    python -m benchmarks.sparse_training results.json [--data mnist] [--network lenet_300_100]

- `dense`: all weights, for comparison.
- `ticket`: five rounds of training, pruning by magnitude and rewinding to the initial weights, then
  the training that counts.
- `early ticket`: dense until the mask of magnitude pruning has settled (`EarlyTicket`), then the
  training that counts from the initial weights.
- `rigl`, `set`, `static`: `SparseTraining` with densities by the ERK rule.
- `snip`, `synflow`: pruned before training.
- `gradual`: pruned along training (`GradualPruning`), from a tenth to half of its steps.
- `fine-tuned`: trained dense, pruned by magnitude, and trained as long again.

All train the same network from the same initial weights on the same batches, with Adam and a
learning rate that falls to zero; what counts is the test accuracy at the end. The sparsity is that
of all weights together; where no rule is named they compete in all layers together. Nothing was
tuned, and nothing is chosen by test data. The cost is in multiply-adds of training, a dense
training of as many steps being 1: at each place a kept weight takes part in three products
(forward, and backward to inputs and weights), and dense gradients that a method needs count too.
Finished trainings are kept in the file, and a second call goes on with the next.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.__main__ import use_cores
from tfticket.cli.common import data_dir_option, print_columns
from tfticket.files import write_json

if TYPE_CHECKING:
    import keras

    from tfticket.sparsity import Mask

METHODS = (
    "dense", "ticket", "early ticket", "rigl", "set", "static", "snip", "synflow", "gradual",
    "fine-tuned",
)  # fmt: skip
_EVERY = 100  # steps between two changes of a mask
_LOOK = 250  # steps between two looks of `EarlyTicket`; a training has a multiple of them
_ROUNDS = 5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--data", default="mnist", show_default=True, help="A data set.")
@click.option("--network", default="lenet_300_100", show_default=True, help="A name of the zoo.")
@click.option("--width", default=1.0, show_default=True, help="Factor on its widths.")
@click.option("--steps", default=3_000, show_default=True, help="Steps of a training.")
@click.option("--sparsity", default=0.9, show_default=True, help="Share of weights to prune.")
@click.option(
    "--method", "methods", type=click.Choice(METHODS), multiple=True, help="Default: all."
)
@click.option("--seeds", default=5, show_default=True, help="Number of seeds.")
@click.option("--cores", default=1, show_default=True, help="Number of CPU cores to use.")
@data_dir_option
def main(
    output: Path,
    data: str,
    network: str,
    width: float,
    steps: int,
    sparsity: float,
    methods: tuple[str, ...],
    seeds: int,
    cores: int,
    data_dir: Path | None,
) -> None:
    """Train by some methods, and write what came of it to OUTPUT."""
    from tfticket.quiet import start_tensorflow

    use_cores(cores)
    start_tensorflow()
    setting: dict[str, Any] = {"data": data, "network": network, "width": width, "steps": steps}
    setting["sparsity"] = sparsity
    rows = json.loads(output.read_text())["trainings"] if output.exists() else []
    done = {(row["method"], row["seed"]) for row in rows}
    for seed, method in itertools.product(range(seeds), methods or METHODS):
        if (method, seed) in done:
            continue
        begun = time.process_time()
        found = train(method, seed, data_dir=data_dir, **setting)
        rows.append({"method": method, "seed": seed, **found})
        rows[-1]["cpu_seconds"] = time.process_time() - begun
        click.echo(json.dumps(rows[-1]), err=True)
        write_json(output, {**setting, "trainings": rows})
    _print(rows)


def train(
    method: str,
    seed: int,
    *,
    data: str,
    network: str,
    width: float,
    steps: int,
    sparsity: float,
    data_dir: Path | None,
    batch_size: int = 100,
    learning_rate: float = 2e-3,
) -> dict[str, float]:
    """Train a network by one method.

    Returns:
        `test_accuracy` at the end, `density` of its weights, and `cost` in dense trainings.
    """
    import keras
    import numpy as np

    from tfticket import data as sources
    from tfticket import models
    from tfticket.schedules import PolynomialDecay
    from tfticket.sparsity import (
        EarlyTicket,
        GlobalPruner,
        GradualPruning,
        KeepMask,
        Mask,
        SaliencyScore,
        SparseTraining,
        magnitude,
    )
    from tfticket.sparsity.saliency import prune_by_saliency
    from tfticket.sparsity.scores import score_weights
    from tfticket.state import Snapshot, prunable_variables

    whole = sources.load(data, data_dir=data_dir)
    keras.utils.set_random_seed(seed)
    model = models.build(network, whole.input_shape, whole.num_classes, seed=seed, width=width)
    rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
    model.compile(
        keras.optimizers.Adam(rate),
        models.loss_for(model),
        steps_per_execution=math.gcd(_LOOK, _EVERY),
        jit_compile=models.jit_choice(model),
    )
    initial = Snapshot.capture(model, step=0)
    kernels = prunable_variables(model)
    dense = Mask.ones({key: tuple(kernel.shape) for key, kernel in kernels.items()})
    pruner = GlobalPruner()

    def fit(*callbacks: Any) -> int:
        feed = sources.Feed(
            whole.train,
            batch_size=batch_size,
            seed=seed,
            chunk_steps=_LOOK,
            scale=whole.scale,
            offset=whole.offset,
        )
        history = model.fit(
            **feed.fit_arguments(),
            epochs=steps // _LOOK,
            verbose=0,
            callbacks=[*callbacks, sources.ChunkedFit(feed)],
        )
        return len(history.epoch) * _LOOK

    def weights() -> dict[str, np.ndarray]:
        return {key: kernel.numpy() for key, kernel in kernels.items()}

    def by_magnitude(mask: Mask, share: float) -> Mask:
        return pruner.prune(score_weights(magnitude, weights(), weights()), mask, share)

    mask, cost = dense, 0.0
    if method == "dense":
        fit()
    elif method == "ticket":
        for number in range(1, _ROUNDS + 1):
            fit(KeepMask(mask))
            cost += training_cost(model, mask)
            share = 1 - (1 - sparsity) ** (number / _ROUNDS)
            mask = by_magnitude(mask, 1 - (1 - share) * mask.total / mask.kept)
            initial.restore(model)
        fit(KeepMask(mask))
    elif method == "early ticket":
        early = EarlyTicket(sparsity)
        cost += fit(early) / steps
        mask = early.mask or dense
        initial.restore(model)
        fit(KeepMask(mask))
    elif method in ("rigl", "set", "static"):
        training = SparseTraining(sparsity, method=method, every=_EVERY, seed=seed)  # type: ignore[arg-type]
        fit(training)
        mask = training.mask or dense
        if method == "rigl":  # a dense gradient of the weights at each change
            share = training.changes / steps / 3
            cost += share * (1 - training_cost(model, mask))
    elif method in ("snip", "synflow"):
        some = whole.train.first(100)
        score = SaliencyScore(method, whole.inputs(some), some.y)

        def apply(pruned: Mask) -> None:
            for key, weight in pruned.apply(weights()).items():
                kernels[key].assign(weight)

        mask = prune_by_saliency(model, score, pruner, dense, sparsity, apply)
        fit(KeepMask(mask))
    elif method == "gradual":
        levels = max(1, int(0.4 * steps) // _EVERY)
        gradual = GradualPruning(
            PolynomialDecay(sparsity, levels), every=_EVERY, begin=int(0.1 * steps)
        )
        costs: list[float] = []
        count = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda *_, **__: costs.append(
                training_cost(model, gradual.mask or dense)
            )
        )
        fit(gradual, count)
        mask = gradual.mask or dense
        cost = float(np.mean(costs)) - training_cost(model, mask)  # which is added below
    else:
        fit()
        cost, mask = 1.0, by_magnitude(dense, sparsity)
        model.optimizer.iterations.assign(0)
        fit(KeepMask(mask))
    images = whole.test.x.astype(np.float32) * whole.scale + whole.offset
    guesses = model.predict(images, batch_size=500, verbose=0).argmax(axis=1)
    return {
        "test_accuracy": float((guesses == whole.test.y).mean()),
        "density": mask.density,
        "cost": cost + training_cost(model, mask),
    }


def training_cost(model: keras.Model, mask: Mask) -> float:
    """Return the multiply-adds of a training under a mask, those of the dense one being 1."""
    places = _places(model)
    kept = sum(count * places[key] for key, count in mask.counts().items())
    return kept / sum(mask[key].size * places[key] for key in mask)


def _places(model: keras.Model) -> Mapping[str, int]:
    """Map the keys of kernels to the number of places at which an example meets them."""
    from tfticket.state import prunable_variables, variable_owners

    owners = variable_owners(model)
    return {key: math.prod(owners[key][0].output.shape[1:-1]) for key in prunable_variables(model)}


def _print(rows: list[dict[str, Any]]) -> None:
    """A line for each method: means over the seeds, with intervals."""
    import numpy as np

    from tfticket.report.estimate import Estimate

    def accuracies(method: str) -> dict[int, float]:
        return {row["seed"]: 100 * row["test_accuracy"] for row in rows if row["method"] == method}

    def text(estimate: Any) -> str:
        return f"{estimate.mean:.2f} ({estimate.lower:.2f} to {estimate.upper:.2f})"

    lines = [("method", "weights", "cost", "test accuracy, %", "minus ticket, points")]
    for method in METHODS:
        if own := accuracies(method):
            apart = Estimate.of_difference(own, accuracies("ticket"))
            density, cost = (
                np.mean([row[name] for row in rows if row["method"] == method])
                for name in ("density", "cost")
            )
            numbers = (f"{100 * density:.1f} %", f"{cost:.2f}", text(Estimate.of(own)))
            lines.append((method, *numbers, "" if apart is None else text(apart)))
    print_columns(lines)


if __name__ == "__main__":
    main()
