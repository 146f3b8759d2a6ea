"""Methods of training on wrong labels, on 10,000 digits of MNIST of which 40 % are wrong.

    python -m benchmarks.early_learning results.json [--cores 1] [--network conv2] [--data cifar10]

Cross-entropy, co-teaching, early-learning regularization, and that with MixUp train the same
network from the same initial weights, on the same batches, for the same steps, under three kinds of
noise: symmetric, instance-dependent, and human-like. Co-teaching is told the noise rate and trains
two networks, of which the first is tested; the others are told nothing. Settings are those of the
papers; none was tuned, and nothing is chosen by test data: what is reported is the test accuracy at
the end, and the share of the wrong labels that are predicted by then. Finished trainings are kept
in the file, and a second call goes on with the next.
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.__main__ import use_cores
from tfticket.cli.common import data_dir_option, print_columns
from tfticket.files import write_json

METHODS = ("cross_entropy", "coteaching", "early_learning", "early_learning_mixup")
NOISES = ("symmetric", "instance_dependent", "human_like")
RATE = 0.4


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--data", default="mnist", show_default=True, help="A data set of images.")
@click.option("--network", default="lenet_300_100", show_default=True, help="A name of the zoo.")
@click.option("--examples", default=10_000, show_default=True, help="Training examples.")
@click.option("--epochs", default=60, show_default=True, help="Passes over them.")
@click.option("--seeds", default=3, show_default=True, help="Number of seeds.")
@click.option("--cores", default=1, show_default=True, help="Number of CPU cores to use.")
@data_dir_option
def main(
    output: Path,
    data: str,
    network: str,
    examples: int,
    epochs: int,
    seeds: int,
    cores: int,
    data_dir: Path | None,
) -> None:
    """Train all methods under all kinds of noise, and write what came of it to OUTPUT."""
    from tfticket.quiet import start_tensorflow

    use_cores(cores)
    start_tensorflow()
    setting: dict[str, Any] = {"data": data, "network": network}
    setting |= {"examples": examples, "epochs": epochs}
    rows = json.loads(output.read_text())["trainings"] if output.exists() else []
    done = {(row["noise"], row["method"], row["seed"]) for row in rows}
    for seed, noise, method in itertools.product(range(seeds), NOISES, METHODS):
        if (noise, method, seed) in done:
            continue
        begun = time.process_time()
        found = train(method, noise, seed, data_dir=data_dir, **setting)
        rows.append({"noise": noise, "method": method, "seed": seed, **found})
        rows[-1]["cpu_seconds"] = time.process_time() - begun
        click.echo(json.dumps(rows[-1]), err=True)
        write_json(output, {**setting, "trainings": rows})
    _print(rows)


def train(
    method: str,
    noise: str,
    seed: int,
    *,
    data: str,
    network: str,
    examples: int,
    epochs: int,
    data_dir: Path | None,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
) -> dict[str, float]:
    """Train a network by one method under one noise.

    Returns:
        `noise_rate`, the realized share of wrong labels; `test_accuracy` at the end;
        `wrong_predicted`, the share of wrong training labels that are predicted; `right_predicted`,
        that of the true labels of the same examples.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from tfticket import data as sources
    from tfticket import models
    from tfticket.data.dataset import Split
    from tfticket.noise import CoTeaching, EarlyLearning, corrupt, human_like, instance_dependent
    from tfticket.noise import symmetric as symmetric_matrix

    whole = sources.load(data, data_dir=data_dir)
    x, true = whole.train.x[:examples], whole.train.y[:examples].astype(np.int64)
    classes = whole.num_classes
    if noise == "symmetric":
        made = corrupt(true, symmetric_matrix(classes, RATE), seed=seed)
    else:
        maker = instance_dependent if noise == "instance_dependent" else human_like
        made = maker(x, true, num_classes=classes, rate=RATE, seed=seed)
    given = tf.constant(made.given, tf.int32)
    carries = method.startswith("early_learning")
    chunk = examples // batch_size
    feed = sources.Feed(
        Split(x, np.arange(examples, dtype=np.int32)),
        batch_size=batch_size,
        seed=seed,
        chunk_steps=chunk,
        scale=whole.scale,
        offset=whole.offset,
        labels=lambda ids: (
            {"given": tf.gather(given, ids), "id": ids} if carries else tf.gather(given, ids)
        ),
    )
    keras.utils.set_random_seed(seed)
    first, second = (
        models.build(network, whole.input_shape, classes, seed=2 * seed + n) for n in (0, 1)
    )
    model: Any = first
    if method == "coteaching":
        model = CoTeaching(first, second, forget_rate=made.realized_rate, steps_per_epoch=chunk)
    elif carries:
        mixup = 1.0 if method == "early_learning_mixup" else 0.0
        model = EarlyLearning(first, examples=examples, mixup=mixup, seed=seed)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        models.loss_for(first),
        steps_per_execution=chunk,
        jit_compile=models.jit_choice(first),
    )
    model.fit(
        **feed.fit_arguments(), epochs=epochs, verbose=0, callbacks=[sources.ChunkedFit(feed)]
    )

    def predicted(images: Any) -> Any:
        inputs = images.astype(np.float32) * whole.scale + whole.offset
        return first.predict(inputs, batch_size=500, verbose=0).argmax(axis=1)

    wrong = made.given != true
    guesses = predicted(x)[wrong]
    return {
        "noise_rate": float(made.realized_rate),
        "test_accuracy": float((predicted(whole.test.x) == whole.test.y).mean()),
        "wrong_predicted": float((guesses == made.given[wrong]).mean()),
        "right_predicted": float((guesses == true[wrong]).mean()),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    """A line for each noise and method: means over the seeds, and the range of the accuracy."""
    import numpy as np

    lines = [("noise", "method", "test accuracy", "(range)", "wrong labels predicted")]
    for noise, method in itertools.product(NOISES, METHODS):
        own = [row for row in rows if (row["noise"], row["method"]) == (noise, method)]
        if own:
            accuracy = [100 * row["test_accuracy"] for row in own]
            wrong = 100 * np.mean([row["wrong_predicted"] for row in own])
            spread = f"({min(accuracy):.1f} to {max(accuracy):.1f})"
            lines.append((noise, method, f"{np.mean(accuracy):.1f} %", spread, f"{wrong:.1f} %"))
    print_columns(lines)


if __name__ == "__main__":
    main()
