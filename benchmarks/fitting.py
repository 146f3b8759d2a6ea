"""Networks fitted into 16, 12 and 8 kB, each against a small dense network of as many bytes.

    python -m benchmarks.fitting --out runs/fitting --seeds 3

`digits` is a convolutional network on 10,000 images of MNIST, `keywords` a depthwise-separable one
on made-up features that look like those of spoken words (`spoken`). For each seed a dense network
is trained, and `tfticket fit` brings it into each size for a microcontroller. The control has the
bytes of what came of it and as many steps as the dense network and all rounds together; its
training is a part of the time. Each result
is a file in the folder, so that a run that was stopped goes on; `fitting.json` holds them all with
their intervals.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket import data
from tfticket.export.fitting.budget import Budget
from tfticket.export.fitting.fitted import Fitted
from tfticket.export.fitting.narrowing import Training, train
from tfticket.export.fitting.search import fit
from tfticket.files import write_json
from tfticket.quiet import start_tensorflow
from tfticket.report.estimate import Estimate
from tfticket.seeds import generator

FLASH = (16_384, 12_288, 8_192)
_WORDS, _FRAMES, _BANDS = 10, 49, 10
_NOISE = 2.0

Arrays = tuple[np.ndarray, np.ndarray]
Splits = tuple[Arrays, Arrays, Arrays]
"""Training, validation and test data."""


def digits() -> Splits:
    """Return 10,000 training images of MNIST, 2,000 for validation, and its test images."""
    found = data.load("mnist", normalize="unit")
    parts = (found.train.first(10_000), found.validation.first(2_000), found.test)
    first, second, third = ((found.inputs(part), part.y) for part in parts)
    return first, second, third


def spoken(counts: tuple[int, int, int] = (3_000, 1_000, 4_000), noise: float = _NOISE) -> Splits:
    """Make features that look like cepstral coefficients of ten spoken words.

    A word is four sounds one after the other, of six that all words share; each sound is a smooth
    shape over ten bands. Each time it is spoken it begins elsewhere, is faster or slower, sound by
    sound, louder or softer, in a voice that tilts the bands, with noise over it.

    Args:
        counts: Examples of the three parts.
        noise: Standard deviation of the noise, where that of the sounds is 1.

    Returns:
        Examples of shape (n, 49, 10, 1), float32, and the words.
    """
    rng = generator(0, "benchmarks", "spoken")
    bands = np.arange(_BANDS)
    sounds = rng.normal(size=(6, 4)) @ np.cos(np.outer(np.arange(1, 5), bands) * np.pi / _BANDS)
    words = np.stack([rng.choice(6, 4, replace=False) for _ in range(_WORDS)])

    def part(count: int) -> Arrays:
        y = rng.integers(0, _WORDS, count)
        lengths = rng.uniform(5, 11, (count, 4))
        ends = rng.uniform(0, 6, (count, 1)) + np.cumsum(lengths, axis=1)
        starts = ends - lengths
        frames = np.arange(_FRAMES)
        x = noise * rng.normal(size=(count, _FRAMES, _BANDS))
        x += rng.normal(scale=0.5, size=(count, 1, 1)) * np.linspace(-1, 1, _BANDS)
        loud = rng.uniform(0.5, 1.5, (count, 1, 1))
        for place in range(4):
            rising = 1 / (1 + np.exp(starts[:, place, None] - frames))
            falling = 1 / (1 + np.exp(frames - ends[:, place, None]))
            x += loud * (rising * falling)[:, :, None] * sounds[words[y, place]][:, None, :]
        return x[..., None].astype(np.float32), y

    first, second, third = (part(count) for count in counts)
    return first, second, third


def digits_network(seed: int) -> keras.Model:
    """Build a network of two convolutions and two dense layers, 55,338 parameters."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10),
        ]
    )


def keywords_network(seed: int) -> keras.Model:
    """Build a depthwise-separable network after DS-CNN (Zhang et al. 2017, arXiv:1711.07128)."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers

    def block(x: Any, convolve: keras.layers.Layer) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(convolve(x)))

    inputs = keras.Input((_FRAMES, _BANDS, 1))
    x = block(inputs, layers.Conv2D(64, (10, 4), strides=2, padding="same", use_bias=False))
    for strides in (2, 1, 1, 1):
        own = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)
        x = block(block(x, own), layers.Conv2D(64, 1, use_bias=False))
    return keras.Model(inputs, layers.Dense(_WORDS)(layers.GlobalAveragePooling2D()(x)))


TASKS: Mapping[str, tuple[Callable[[], Splits], Callable[[int], keras.Model], int]] = {
    "digits": (digits, digits_network, 10),
    "keywords": (spoken, keywords_network, 20),
}
"""Data, network, and passes over the training data of the dense network. Rounds are the default."""


def run(folder: Path, task: str, seed: int) -> dict[str, Any]:
    """Fit one seed's network into all sizes, or read what was found before."""
    done = folder / f"{task}_{seed}.json"
    if done.is_file():
        found: dict[str, Any] = json.loads(done.read_text())
        return found
    load, build, epochs = TASKS[task]
    (x, y), validation, test = load()
    training = Training(x, y, seed=seed)
    steps = epochs * len(x) // training.batch_size
    path = folder / f"{task}_{seed}.keras"
    if path.is_file():
        model = keras.models.load_model(path)
    else:
        model = build(seed)
        train(model, training, steps=steps, stream="dense")
        model.save(path)
    results: dict[str, Any] = {}
    for flash in FLASH:
        begun = time.process_time()
        fitted = fit(
            model,
            folder / f"{task}_{seed}_{flash // 1024}K.tflite",
            Budget(0.5, flash_bytes=flash),  # what accuracy is reached is the question
            training=training,
            validation=validation,
            test=test,
            trained_steps=steps,
            folder=folder / f"{task}_{seed}_{flash // 1024}K",
            tell=lambda line: print(line, flush=True),
        )
        results[str(flash)] = told(fitted) | {"seconds": time.process_time() - begun}
    results["dense"] = _row(fitted.candidates[0]) | {"test_accuracy": _test_accuracy(model, test)}
    write_json(done, results)
    return results


def told(fitted: Fitted) -> dict[str, Any]:
    """Return what is kept of a search: the pruned network, its control, and what was written."""
    assert fitted.control is not None
    return {
        "pruned": _row(fitted.best),
        "control": _row(fitted.control),
        "chosen": "control" if fitted.chosen is fitted.control else "pruned",
        "tried": len(fitted.candidates),
    }


def _row(candidate: Any) -> dict[str, Any]:
    names = ("accuracy", "test_accuracy", "flash_bytes", "ram_bytes", "parameters")
    row = candidate.to_dict()
    return {name: row[name] for name in names}


def _test_accuracy(model: keras.Model, test: Arrays) -> float:
    answers = model.predict(test[0], batch_size=500, verbose=0).argmax(-1)
    return float((answers == test[1]).mean())


def table(results: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Gather the results of all seeds: a row for each task and size, with intervals.

    Args:
        results: Those of `run` by task and seed.
    """
    rows = []
    for task in dict.fromkeys(task for task, _ in results):
        seeds = {seed: found for (name, seed), found in results.items() if name == task}
        for flash in FLASH:
            ways = {
                way: {seed: found[str(flash)][way] for seed, found in seeds.items()}
                for way in ("pruned", "control")
            }
            accuracies = {
                way: {seed: row["test_accuracy"] for seed, row in of_seeds.items()}
                for way, of_seeds in ways.items()
            }
            gain = Estimate.of_difference(accuracies["pruned"], accuracies["control"])
            assert gain is not None
            rows.append(
                {
                    "task": task,
                    "flash": flash,
                    "dense": Estimate.of(
                        {seed: found["dense"]["test_accuracy"] for seed, found in seeds.items()}
                    ).to_dict(),
                    **{way: Estimate.of(found).to_dict() for way, found in accuracies.items()},
                    "gain": gain.to_dict(),
                    "bytes": {
                        way: [row["flash_bytes"] for row in of_seeds.values()]
                        for way, of_seeds in ways.items()
                    },
                    "chosen": [found[str(flash)]["chosen"] for found in seeds.values()],
                    "seconds": [found[str(flash)]["seconds"] for found in seeds.values()],
                }
            )
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """Write the table; accuracies in percent on test data, the gain in points."""
    lines = [
        "| task | flash | dense network | fitted | control | fitted less control, points | bytes, "
        "fitted; control | written | processor time, minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gain = row["gain"]
        bounds = "" if gain["lower"] is None else _interval(gain["lower"], gain["upper"])
        sizes = "; ".join(
            f"{min(row['bytes'][way]):,} to {max(row['bytes'][way]):,}"
            for way in ("pruned", "control")
        )
        written = " ".join(row["chosen"])
        lines.append(
            f"| {row['task']} | {row['flash'] // 1024}K | {_percent(row['dense'])} | "
            f"{_percent(row['pruned'])} | {_percent(row['control'])} | "
            f"{100 * gain['mean']:+.2f}{bounds} | {sizes} | {written} | "
            f"{min(row['seconds']) / 60:.1f} to {max(row['seconds']) / 60:.1f} |"
        )
    return "\n".join(lines)


def _percent(estimate: Mapping[str, Any]) -> str:
    bounds = ""
    if estimate["lower"] is not None:
        bounds = f" ({100 * estimate['lower']:.2f} to {100 * estimate['upper']:.2f})"
    return f"{100 * estimate['mean']:.2f}{bounds}"


def _interval(lower: float, upper: float) -> str:
    return f" ({100 * lower:+.2f} to {100 * upper:+.2f})"


def main(arguments: list[str] | None = None) -> None:
    """Run all searches that aren't done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one")
    asked = parser.parse_args(arguments)
    start_tensorflow()
    asked.out.mkdir(parents=True, exist_ok=True)
    results = {
        (task, seed): run(asked.out, task, seed)
        for task in asked.task or TASKS
        for seed in range(asked.seeds)
    }
    rows = table(results)
    write_json(asked.out / "fitting.json", rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
