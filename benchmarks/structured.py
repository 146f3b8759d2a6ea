"""Structured pruning: real networks to half, against Torch-Pruning, and which widths are fast.

    python -m benchmarks.structured halve
    TORCH_PRUNING_PYTHON=TORCH/bin/python python -m benchmarks.structured peers
    python -m benchmarks.structured widths

`halve`: MobileNetV3Small and a small vision transformer of layers of Keras, untrained, to half of
their parameters; the smaller network is held against the one with zeros in place, exported and
verified.

`peers`: a ResNet-8 and a VGG-6 are trained once on 5,000 images of CIFAR-10 (JPEG copies). tfticket
and Torch-Pruning remove the same shares of the channels by the L2 norm of groups, of each layer and
globally; what is left is trained on in Keras, with the same steps in the same order. Accuracy is
that of 2,000 test images; nothing is chosen by it. Torch-Pruning runs in a process of its own, in
an environment with `pip install torch==2.13.0` and `pip install --no-deps torch-pruning numpy`.

`widths`: the time of a 3x3 convolution in LiteRT, float and int8, by its number of channels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import tempfile
import timeit
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from tfticket import data
from tfticket.channels import channel_groups, l2_norm, remove_units, size_of
from tfticket.export import Training, to_tflite
from tfticket.export.conversion import Convertible
from tfticket.export.fitting.narrowing import accuracy, train
from tfticket.export.preparation import prepare
from tfticket.export.result import Format
from tfticket.export.runtime import Session
from tfticket.export.tflite import draft
from tfticket.files import write_json
from tfticket.quiet import start_tensorflow
from tfticket.state import named_variables
from tfticket.statistics import recalibrate

layers = keras.layers

SHARES = (0.25, 0.5, 0.75)
SCOPES: tuple[Literal["layerwise", "global"], ...] = ("layerwise", "global")
_PEER = Path(__file__).parent / "peers" / "torch_channels.py"


# Networks to half.


def vision_transformer(
    size: int = 32, patch: int = 8, dim: int = 48, heads: int = 4, blocks: int = 3
) -> keras.Model:
    """Build a vision transformer (arXiv:2010.11929) of layers of Keras, with average pooling."""
    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = layers.Conv2D(dim, patch, strides=patch, name="patches")(x)
    x = layers.Reshape(((size // patch) ** 2, dim))(x)
    for block in range(blocks):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(heads, dim // heads, name=f"attention_{block}")(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(4 * dim, activation="gelu", name=f"hidden_{block}")(y)
        x = layers.Add()([x, layers.Dense(dim)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="vision_transformer")


def mobilenet(size: int = 64) -> keras.Model:
    """Build MobileNetV3Small with statistics of noise: with fresh ones its outputs are constant."""
    model = keras.applications.MobileNetV3Small(
        input_shape=(size, size, 3), weights=None, classes=10
    )
    recalibrate(model, [noise(model, 64)])
    return model


def noise(model: keras.Model, count: int) -> np.ndarray:
    """Draw images of noise, 0 to 255."""
    rng = np.random.default_rng(count)
    return rng.uniform(0, 255, (count, *model.input_shape[1:])).astype("float32")


HALVED: Mapping[str, Callable[[], keras.Model]] = {
    "MobileNetV3Small": mobilenet,
    "vision transformer": vision_transformer,
}


def with_zeros(model: keras.Model, smaller: keras.Model) -> keras.Model:
    """Return the model with zero weights for the units that `smaller`, made from it, lacks."""
    groups = channel_groups(model)
    scores = l2_norm(groups, arrays_of(model))
    best: dict[str, float] = {}
    for group, score in zip(groups, scores, strict=True):
        best[group.home] = max(best.get(group.home, 0.0), score)
    ranked = sorted(range(len(groups)), key=lambda place: scores[place])
    free = [place for place in ranked if scores[place] < best[groups[place].home]]
    masked = keras.models.clone_model(model)
    arrays = arrays_of(model)
    for place in free[: len(groups) - len(channel_groups(smaller))]:
        for slot in groups[place].slots:
            np.moveaxis(arrays[slot.key], slot.axis, 0)[list(slot.indices)] = 0
    for key, variable in named_variables(masked).items():
        variable.assign(arrays[key])
    return masked


def halved(name: str, folder: Path) -> dict[str, Any]:
    """Remove units until half of the parameters are left, compare, export and verify."""
    keras.utils.set_random_seed(0)
    model = HALVED[name]()
    smaller = remove_units(model, 0.5, of="parameters", score="l2_norm").model
    x = noise(model, 50)
    expected = np.asarray(with_zeros(model, smaller)(x))
    difference = np.abs(np.asarray(smaller(x)) - expected).max()
    report = to_tflite(smaller, folder / "net.tflite", format="fp32", check_on=(x, None))
    before, after = size_of(model), size_of(smaller)
    return {
        "network": name,
        "parameters": [before.parameters, after.parameters],
        "multiply_adds": [before.multiply_adds, after.multiply_adds],
        "spread": float(np.ptp(expected, axis=0).max()),
        "difference_to_zeros": float(difference / np.abs(expected).max()),
        "file_bytes": report.size_bytes,
        "file_difference": report.verification.relative_difference,
    }


# Against Torch-Pruning.


def _normal(x: Any, name: str, width: int, side: int = 3, stride: int = 1) -> Any:
    """Convolve as PyTorch pads, and normalize."""
    padding = "same" if stride == 1 else "valid"
    if stride > 1 and side > 1:
        x = layers.ZeroPadding2D(side // 2)(x)
    x = layers.Conv2D(width, side, strides=stride, padding=padding, use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def resnet8(widths: Mapping[str, int]) -> keras.Model:
    """Build a ResNet of three blocks."""
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(_normal(inputs, "conv1", widths["conv1"]))
    for stage in range(1, 4):
        a, b, stride = f"stage{stage}_a", f"stage{stage}_b", 1 if stage == 1 else 2
        y = layers.ReLU()(_normal(x, a, widths[a], stride=stride))
        y = _normal(y, b, widths[b])
        if stage > 1:
            x = _normal(x, f"stage{stage}_shortcut", widths[b], 1, stride)
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10, name="output")(layers.GlobalAveragePooling2D()(x)))


def vgg6(widths: Mapping[str, int]) -> keras.Model:
    """Build four convolutions and two dense layers."""
    x = inputs = keras.Input((32, 32, 3))
    for number in range(1, 5):
        x = layers.ReLU()(_normal(x, f"conv{number}", widths[f"conv{number}"]))
        x = layers.MaxPooling2D()(x) if number % 2 == 0 else x
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(widths["hidden"], activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(10, name="output")(x))


NETWORKS: Mapping[str, tuple[Callable[[Mapping[str, int]], keras.Model], dict[str, int]]] = {
    "resnet8": (
        resnet8,
        {"conv1": 16, **{f"stage{n}_{part}": 8 * 2**n for n in (1, 2, 3) for part in "ab"}},
    ),
    "vgg6": (vgg6, {"conv1": 16, "conv2": 16, "conv3": 32, "conv4": 32, "hidden": 32}),
}


@dataclass(frozen=True)
class Point:
    """A network after pruning.

    Attributes:
        network: Name of the network.
        tool: Who removed channels.
        scope: `layerwise` or `global`.
        share: Share of the channels that was removed.
        parameters: Of what is left.
        multiply_adds: Of what is left, for one image.
        before: Test accuracy before it was trained on.
        after: And after that.
    """

    network: str
    tool: str
    scope: str
    share: float
    parameters: int
    multiply_adds: int
    before: float
    after: float


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights and statistics by key."""
    return {key: variable.numpy() for key, variable in named_variables(model).items()}


def rebuilt(kind: str, arrays: Mapping[str, np.ndarray]) -> keras.Model:
    """Build a network of the widths of these arrays, and give it their values."""
    widths = {
        key.partition("/")[0]: array.shape[-1]
        for key, array in arrays.items()
        if key.endswith("/kernel")
    }
    model = NETWORKS[kind][0](widths)
    for key, variable in named_variables(model).items():
        variable.assign(arrays[key])
    return model


def removed_by_torch(
    kind: str, model: keras.Model, images: np.ndarray, python: str
) -> Iterator[tuple[float, str, keras.Model]]:
    """Yield the networks that Torch-Pruning makes, with share and scope."""
    jobs = [(share, scope) for scope in SCOPES for share in SHARES]
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        told = json.dumps({"kind": kind, "jobs": jobs})
        outputs = np.asarray(model(images))
        held = {"told": told, "images": images, "outputs": outputs, **arrays_of(model)}
        np.savez(given, **held)  # type: ignore[arg-type]
        subprocess.run([python, str(_PEER), str(given), folder], check=True)
        for number, (share, scope) in enumerate(jobs):
            with np.load(Path(folder) / f"{number}.npz") as file:
                yield share, scope, rebuilt(kind, dict(file))


def peers(kind: str, python: str, *, steps: int, fine_tuning: int) -> list[Point]:
    """Prune one network with both tools."""
    cifar = data.load("cifar10", validation=5000, seed=0)
    x, y = cifar.inputs(cifar.train)[:5000], np.asarray(cifar.train.y[:5000])
    test = cifar.inputs(cifar.test)[:2000], np.asarray(cifar.test.y[:2000])
    keras.utils.set_random_seed(0)
    build, widths = NETWORKS[kind]
    model = build(widths)
    training = Training(x, y, steps=steps, learning_rate=3e-3)
    train(model, training, steps=steps, stream="dense")
    dense = accuracy(model, *test)
    size = size_of(model)
    points = [Point(kind, "dense", "", 0.0, size.parameters, size.multiply_adds, dense, dense)]
    found: list[tuple[float, str, str, keras.Model]] = []
    for share, scope in itertools.product(SHARES, SCOPES):
        ours = remove_units(model, 1 - share, score="l2_norm", scope=scope)
        found.append((share, scope, "tfticket", ours.model))
    found += [
        (share, scope, "Torch-Pruning", smaller)
        for share, scope, smaller in removed_by_torch(kind, model, x[:64], python)
    ]
    for share, each, tool, smaller in found:
        size, before = size_of(smaller), accuracy(smaller, *test)
        train(smaller, training, steps=fine_tuning, stream="after")
        after = accuracy(smaller, *test)
        points.append(
            Point(kind, tool, each, share, size.parameters, size.multiply_adds, before, after)
        )
    return points


def at_accuracy(points: list[Point], goal: float, of: str) -> float | None:
    """Interpolate the size at which a tool's networks reach an accuracy, in logarithms."""
    ordered = sorted(points, key=lambda point: getattr(point, of))
    for small, large in itertools.pairwise(ordered):
        if small.after <= goal <= large.after and large.after > small.after:
            part = (goal - small.after) / (large.after - small.after)
            sizes = np.log([getattr(small, of), getattr(large, of)])
            return float(np.exp(sizes[0] + part * (sizes[1] - sizes[0])))
    return None


# Widths.


def widths(format: Format, counts: range, folder: Path, side: int = 16) -> dict[int, float]:
    """Time three 3x3 convolutions of so many channels in and out; microseconds by width.

    The fastest of many runs counts, which others on the machine disturb least.
    """
    times = {}
    x = np.random.default_rng(0).normal(size=(64, side, side, 3)).astype("float32")
    for width in counts:
        model = keras.Sequential(
            [
                keras.Input((side, side, 3)),
                layers.Conv2D(width, 1),
                *(layers.Conv2D(width, 3, padding="same", activation="relu") for _ in range(3)),
                layers.GlobalAveragePooling2D(),
            ]
        )
        content = draft(
            Convertible(prepare(model).model, x, (x, None)),
            folder / f"{format}_{width}.tflite",
            format=format,
            min_agreement=0.0,
        ).content
        session = Session(content, source=f"{width} channels")
        session.feed(x[0])
        times[width] = 1e6 * min(timeit.repeat(session.invoke, number=1, repeat=300))
    return times


def main(arguments: list[str] | None = None) -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("halve", "peers", "widths"))
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--steps", type=int, default=800, help="of the dense training")
    parser.add_argument("--fine-tuning", type=int, default=100, help="steps after pruning")
    parser.add_argument("--out", type=Path, help="write the results to this file, as JSON")
    asked = parser.parse_args(arguments)
    start_tensorflow()
    found: Any
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.what == "halve":
            found = [halved(each, folder) for each in HALVED]
            for result in found:
                print(json.dumps(result))
        elif asked.what == "widths":
            counts = range(8, 65, 2)
            found = {"fp32": widths("fp32", counts, folder), "int8": widths("int8", counts, folder)}
            for width in found["fp32"]:
                print(width, *(f"{found[f][width]:.1f}" for f in found))
        else:
            python = os.environ.get("TORCH_PRUNING_PYTHON", "")
            if not python:
                parser.error("TORCH_PRUNING_PYTHON must name a Python with torch and torch-pruning")
            found = []
            for kind in asked.network or NETWORKS:
                points = peers(kind, python, steps=asked.steps, fine_tuning=asked.fine_tuning)
                found += [asdict(point) for point in points]
                show(points)
    if asked.out is not None:
        write_json(asked.out, found)


def show(points: list[Point]) -> None:
    """Print a table, and the sizes at equal accuracy."""
    dense = points[0]
    for p in points:
        print(
            f"{p.network:8} {p.tool:14} {p.scope:10} -{p.share:.0%}  {p.parameters:7,} parameters "
            f"{p.multiply_adds:11,} multiply-adds  {p.before:.2%} -> {p.after:.2%}"
        )
    for scope in SCOPES:
        for of in ("parameters", "multiply_adds"):
            for lost in (0.01, 0.02, 0.05):
                sizes = {
                    tool: at_accuracy(
                        [dense, *(p for p in points if (p.tool, p.scope) == (tool, scope))],
                        dense.after - lost,
                        of,
                    )
                    for tool in ("tfticket", "Torch-Pruning")
                }
                ours, theirs = sizes.values()
                ratio = "" if ours is None or theirs is None else f" ratio {ours / theirs:.3f}"
                print(f"  {scope}, {of} at {-lost:+.0%}: {sizes}{ratio}")


if __name__ == "__main__":
    main()
