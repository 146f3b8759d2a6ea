"""Half of the multiply-adds of networks trained on CIFAR-10: accuracy, and time of int8 files.

    python -m benchmarks.half_compute RUNS/half --network resnet20

A dense network is trained, then channels are removed by the Taylor score in rounds, all units
competing, to multiples of 8, with a training behind each round that learns from the labels and
from the dense network's outputs, by the dense network's schedule and as long (learning-rate
rewinding, Renda et al. 2020, arXiv:2003.02389). Dense layers keep their units: they do few of the
multiply-adds.

The control is what came of it with new weights, trained for as many steps as the dense network and
all rounds together (Liu et al. 2019, arXiv:1810.05270). That rounds are as long, and that all units
compete, was settled after test results of shorter rounds had been seen; within a run nothing is
chosen by test data. Networks are kept in the folder, and a second call goes on with the next.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.__main__ import use_cores
from tfticket.cli.common import data_dir_option, print_columns
from tfticket.files import write_json

if TYPE_CHECKING:
    import keras

    from tfticket.channels.remove import Scope
    from tfticket.export import Comparison

WIDTHS = {"resnet20": 1.0, "conv4": 0.5}
_BATCH = 64
_RATE = 2e-3
_SCORED = 16  # batches


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", type=click.Choice(list(WIDTHS)), required=True, help="What to train.")
@click.option("--data", default="cifar10", show_default=True, help="A data set of images.")
@click.option("--limit", type=click.IntRange(min=1), help="Number of images.")
@click.option("--dense-steps", default=16_800, show_default=True, help="Of the dense training.")
@click.option("--round-steps", default=16_800, show_default=True, help="After each round.")
@click.option("--rounds", default=2, show_default=True, help="Rounds of removal.")
@click.option("--keep", default=0.5, show_default=True, help="Share of the multiply-adds.")
@click.option("--multiple-of", default=8, show_default=True, help="What widths are rounded to.")
@click.option(
    "--scope", type=click.Choice(["layerwise", "global"]), default="global", show_default=True
)
@click.option("--control/--no-control", default=True, help="Train the control too.")
@click.option("--cores", default=1, show_default=True, help="Number of CPU cores to use.")
@data_dir_option
def main(
    folder: Path,
    network: str,
    data: str,
    limit: int | None,
    dense_steps: int,
    round_steps: int,
    rounds: int,
    keep: float,
    multiple_of: int,
    scope: Scope,
    control: bool,
    cores: int,
    data_dir: Path | None,
) -> None:
    """Train, remove and measure; all is kept in FOLDER."""
    from tfticket.quiet import start_tensorflow

    use_cores(cores)
    start_tensorflow()
    import keras
    import numpy as np

    from tfticket import data as sources
    from tfticket import models
    from tfticket.export import Conditions, Network, Training, compare, remove_in_rounds
    from tfticket.export.fitting.narrowing import probabilities, train, uniformly_narrow
    from tfticket.seeds import generator

    folder.mkdir(parents=True, exist_ok=True)
    whole = sources.load(data, data_dir=data_dir, normalize="standard", limit=limit)
    parts = (whole.train, whole.validation, whole.test)
    (x, y), validation, test = ((whole.inputs(part), np.asarray(part.y)) for part in parts)

    settings = Training(x, y, batch_size=_BATCH, learning_rate=_RATE, augment="flip_crop")

    def kept(name: str, make: Callable[[], keras.Model], steps: int) -> keras.Model:
        path = folder / f"{network}_{name}.keras"
        if not path.exists():
            keras.utils.set_random_seed(0)
            model = make()
            train(model, settings, steps=steps, stream=name)
            model.save(path)
        return models.load_file(path)

    options: dict[str, Any] = {"width": WIDTHS[network], "norm": "batch", "seed": 0}
    shape = (whole.input_shape, whole.num_classes)
    dense = kept("dense", lambda: models.build(network, *shape, **options), dense_steps)
    dense.compile("adam", models.loss_for(dense))  # whose gradients the score takes
    teacher = probabilities(dense, x)
    order = generator(0, "half").permutation(len(x))[: _SCORED * _BATCH]
    half = remove_in_rounds(
        dense,
        keep,
        training=lambda model: train(
            model, settings, steps=round_steps, stream="removed", teacher=teacher
        ),
        rounds=rounds,
        of="multiply_adds",
        score="taylor",
        batches=[(x[some], y[some]) for some in np.array_split(order, _SCORED)],
        scope=scope,
        multiple_of=multiple_of,
        skip=["dense*/*"],
        folder=folder / f"{network}_rounds",
        tell=lambda line: click.echo(line, err=True),
    )
    found = {"dense": dense, "half": half}
    if control:
        steps = dense_steps + rounds * round_steps
        found["control"] = kept("control", lambda: uniformly_narrow(half, 1.0, seed=0), steps)
    networks = [Network(name, model) for name, model in found.items()]
    conditions = Conditions(x[:500], validation, test, min_agreement=0.0)
    compared = compare(
        networks, ["fp32", "int8"], baseline=networks[0], folder=folder, conditions=conditions
    )
    write_json(folder / f"{network}.json", _show(compared))


def _show(compared: Comparison) -> list[dict[str, object]]:
    """Print a line for each file, and return them."""
    from tfticket.channels import size_of

    rows: list[dict[str, object]] = []
    for attempt in compared.attempts:
        assert attempt.draft is not None
        assert attempt.latency is not None
        size = size_of(attempt.network.model)
        rows.append(
            {
                "file": attempt.name,
                "parameters": size.parameters,
                "multiply-adds": size.multiply_adds,
                "bytes": attempt.draft.report.size_bytes,
                "validation": attempt.accuracy,
                "test": attempt.test_accuracy,
                "microseconds": round(attempt.latency.microseconds, 1),
            }
        )
    print_columns([tuple(rows[0]), *(tuple(map(str, row.values())) for row in rows)])
    return rows


if __name__ == "__main__":
    main()
