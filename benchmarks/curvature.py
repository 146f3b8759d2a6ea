"""Curvature: what it costs, and against curvlinops and hessian-eigenthings for PyTorch.

    python -m benchmarks hessian_products hessian_products_fused sharpness_aware --cores 1
    TORCH_PYTHON=TORCH/bin/python python -m benchmarks.curvature

The benchmarks: 20 Hessian-vector products against 20 gradients of a VGG-like network, 128 images of
32x32 pixels, time and memory; and `fit` with `SharpnessAware` against plain `fit`.

The comparison: three small networks (dense with tanh; convolutions with batch normalization and max
pooling; with group normalization) with random weights and data of fixed seeds are built again in
PyTorch with the same weights. Both sides compute the three largest eigenvalues of the Hessian of
the cross-entropy in training mode, and the trace: ours by Hutch++, theirs by curvlinops' Hutch++
and exactly, by a product with each unit vector. PyTorch runs in an environment of its own, with
`pip install torch==2.13.0 curvlinops-for-pytorch hessian-eigenthings`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.paired import Benchmark, Task
from benchmarks.workloads import CLASSES
from tfticket.files import write_json
from tfticket.norms import SharpnessAware, hessian_eigenvalues, hessian_trace
from tfticket.norms.landscape.curvature import Curvature
from tfticket.norms.layers import FusedBatchNorm
from tfticket.quiet import start_tensorflow
from tfticket.state import named_variables

layers = keras.layers
_PEER = Path(__file__).parent / "peers" / "torch_curvature.py"
_PRODUCTS = 20
_IMAGES = 128
K = 3


def vgg(norm: Callable[[], keras.Layer] | None, side: int = 32, width: int = 16) -> keras.Model:
    """Return a compiled network of three convolutions with pooling."""
    parts: list[Any] = [keras.Input((side, side, 3))]
    for times in (1, 2, 4):
        parts.append(layers.Conv2D(times * width, 3, padding="same", use_bias=False))
        parts += [*([norm()] if norm else []), layers.ReLU(), layers.MaxPooling2D()]
    model = keras.Sequential([*parts, layers.Flatten(), layers.Dense(CLASSES)])
    return compiled(model)


def compiled(model: keras.Model) -> keras.Model:
    """Return the model, compiled for plain gradient descent."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
    return model


def images(count: int = _IMAGES, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return random images and labels, always alike."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, side, side, 3)).astype("float32")
    return x, rng.integers(0, CLASSES, count)


def products(norm: Callable[[], keras.Layer] | None, *, count: int = _IMAGES) -> Task:
    """Return so many products with the Hessian, in one call."""
    curvature, batch = Curvature(vgg(norm)), tuple(map(tf.constant, images(count)))
    of = tuple(range(len(curvature.variables)))
    size = sum(int(np.prod(variable.shape)) for variable in curvature.variables)
    vectors = tf.random.stateless_normal((_PRODUCTS, size), [0, 0])

    def run() -> None:
        curvature._products(batch, vectors, of).numpy()

    return run


def gradients(norm: Callable[[], keras.Layer] | None, *, count: int = _IMAGES) -> Task:
    """Return as many gradients, one after the other."""
    curvature, batch = Curvature(vgg(norm)), tuple(map(tf.constant, images(count)))

    @tf.function(autograph=False)
    def gradient() -> list[tf.Tensor]:
        return curvature.gradient(curvature.weights(), batch)[1]

    def run() -> None:
        for _ in range(_PRODUCTS):
            gradient()[0].numpy()

    return run


def fitting(*, wrapped: bool) -> Task:
    """Return a `fit` of 20 steps."""
    network = vgg(FusedBatchNorm)
    model = compiled(SharpnessAware(network)) if wrapped else network
    x, y = images(20 * _IMAGES)

    def fit() -> None:
        model.fit(x, y, batch_size=_IMAGES, verbose=0)

    return fit


def _against_gradients(name: str, title: str, norm: Callable[[], keras.Layer]) -> Benchmark:
    return Benchmark(
        name,
        f"{_PRODUCTS} Hessian-vector products of a VGG with {title}",
        {"products": lambda: products(norm), "as many gradients": lambda: gradients(norm)},
        rounds=5,
        before_memory=lambda: gradients(norm, count=2),
        goals={"as many gradients": 2.5},
    )


BENCHMARKS = (
    _against_gradients("hessian_products", "Keras' batch normalization", layers.BatchNormalization),
    _against_gradients("hessian_products_fused", "FusedBatchNorm", FusedBatchNorm),
    Benchmark(
        "sharpness_aware",
        "a `fit` of 20 steps of the VGG with `SharpnessAware`",
        {"SharpnessAware": lambda: fitting(wrapped=True), "plain": lambda: fitting(wrapped=False)},
        rounds=5,
    ),
)


# Against PyTorch.


def dense() -> keras.Model:
    """Return a network of dense layers."""
    sizes = [layers.Dense(12, "tanh", name="first"), layers.Dense(4, name="last")]
    return keras.Sequential([keras.Input((8,)), *sizes])


def convolutional(norm: keras.Layer) -> keras.Model:
    """Return a network of convolutions with a normalization and max pooling."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, padding="same", use_bias=False, name="first"),
            norm,
            layers.Activation("softplus"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="softplus", name="second"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, name="last"),
        ]
    )


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "dense": dense,
    "batch": lambda: convolutional(layers.BatchNormalization(name="norm")),
    "group": lambda: convolutional(layers.GroupNormalization(2, name="norm")),
}


def ours(kind: str) -> tuple[keras.Model, np.ndarray, np.ndarray, dict[str, Any]]:
    """Return a network, its data, and the largest eigenvalues and trace by tfticket."""
    keras.utils.set_random_seed(0)
    model = compiled(NETWORKS[kind]())
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, 4, 64)
    found = hessian_eigenvalues(model, x, y, k=K, tolerance=1e-5)
    trace = hessian_trace(model, x, y, products=90)
    return (
        model,
        x,
        y,
        {
            "eigenvalues": found.values.tolist(),
            "residuals": found.residuals.tolist(),
            "products": found.products,
            "trace": trace.mean,
            "trace_error": trace.error,
        },
    )


def theirs(kind: str, model: keras.Model, x: np.ndarray, y: np.ndarray, python: str) -> Any:
    """Return the same by the libraries for PyTorch, from a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        arrays = {key: variable.numpy() for key, variable in named_variables(model).items()}
        outputs = np.asarray(model(x, training=True))
        held = {"kind": kind, "k": K, "x": x, "y": y, "outputs": outputs, **arrays}
        np.savez(given, **held)
        done = subprocess.run(
            [python, str(_PEER), str(given)], check=True, stdout=subprocess.PIPE, text=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def differences(own: Sequence[float], others: Sequence[float]) -> float:
    """Return the largest relative difference."""
    a, b = np.asarray(own), np.asarray(others)
    return float(np.max(np.abs(a - b) / np.abs(b)))


def main(arguments: list[str] | None = None) -> None:
    """Print both sides and their differences, network by network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the results to this file, as JSON")
    asked = parser.parse_args(arguments)
    python = os.environ.get("TORCH_PYTHON", "")
    if not python:
        parser.error("TORCH_PYTHON must name a Python with torch and curvlinops-for-pytorch")
    start_tensorflow()
    found = {}
    for kind in NETWORKS:
        model, x, y, own = ours(kind)
        peers = theirs(kind, model, x, y, python)
        found[kind] = {"tfticket": own, **peers}
        for name, peer in peers.items():
            eigenvalues = differences(own["eigenvalues"], peer["eigenvalues"])
            print(f"{kind:6} {name:20} eigenvalues differ by at most {eigenvalues:.1e}")
        exact = peers["curvlinops"]["exact_trace"]
        print(
            f"{kind:6} trace {exact:.4f} exactly; tfticket {own['trace']:.4f} +- "
            f"{own['trace_error']:.4f}, curvlinops {peers['curvlinops']['trace']:.4f}"
        )
    if asked.out is not None:
        write_json(asked.out, found)


if __name__ == "__main__":
    main()
