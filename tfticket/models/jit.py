"""The choice to compile a model with XLA, by a rule or measured on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import platformdirs
import tensorflow as tf
from filelock import FileLock

from tfticket.cloning import clone
from tfticket.errors import ModelError, RunError
from tfticket.files import write_json
from tfticket.internals import Functional, flat_layers
from tfticket.layer_kinds import CONVOLUTIONAL
from tfticket.machine import only_cpus, op_threads, processor

_BATCH = 64
_ROUNDS = 5
_SECONDS = 0.1  # of a round
_SLOWER = (
    *CONVOLUTIONAL,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)


def jit_choice(
    model: keras.Model, choice: bool | Literal["auto"] = "auto", *, threads: int | None = None
) -> bool:
    """Return whether to compile a model with XLA (`jit_compile`).

    On one thread of a CPU, XLA makes steps of dense networks up to a third faster, and steps with
    convolutions a third or more slower. With more threads it makes both slower: it divides each
    product of a small network among them, and they wait for each other. Other devices are left to
    Keras.

    Args:
        model: The model, built or not.
        choice: True or False, or `auto`: True for a model without convolutions on one thread, if
            there are only CPUs.
        threads: Threads that compute an operation, at least 1; None for TensorFlow's setting. XLA
            adds floats in another order, so give a number to get the same bits with any setting.

    Raises:
        ModelError: for another choice.

    Example:
        >>> from tfticket.models import conv2
        >>> jit_choice(conv2((8, 8, 1), 10, width=0.1)), jit_choice(conv2((8, 8, 1), 10), True)
        (False, True)
    """
    if isinstance(choice, bool):
        return choice
    if choice != "auto":
        raise ModelError(f"`jit` must be true, false or 'auto'. Received: {choice!r}.")
    if (threads or op_threads()) > 1 or not only_cpus():
        return False
    layers = flat_layers(model, itself=False)  # also those of nested models and wrappers
    return not any(isinstance(layer, _SLOWER) for layer in layers)


def measured_jit(model: keras.Model) -> bool:
    """Return whether a copy of a model trains faster with XLA, measured for about a second.

    The answer is cached in the user's cache folder by model, processor, number of threads and
    version of TensorFlow: XLA adds floats in another order, so the same seeds give the same bits
    only as long as the answer stays. Where that matters, fix it (`jit = true` or `false`). The
    model and the global random state are unchanged.

    Args:
        model: A compiled model. For a subclassed one, which can't be copied, the rule of
            `jit_choice` decides.
    """
    if not isinstance(model, (keras.Sequential, Functional)):
        return jit_choice(model)
    memory = platformdirs.user_cache_path("tfticket") / "jit.json"
    key = _key(model)
    known = _read(memory)
    if key not in known:
        with _locked(memory):
            known = _read(memory)
            if key not in known:
                known[key] = _measure(model)
                with contextlib.suppress(RunError):  # not cached then
                    write_json(memory, known)
    return bool(known[key])


def _key(model: keras.Model) -> str:
    layers = [
        [type(layer).__name__, [list(variable.shape) for variable in layer.variables]]
        for layer in flat_layers(model)
    ]
    what = [
        layers,
        [list(tensor.shape[1:]) for tensor in model.inputs],
        type(model.optimizer).__name__,
        [str(device) for device in tf.config.list_physical_devices()],
        [processor(), op_threads()],
        tf.__version__,
    ]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


@contextlib.contextmanager
def _locked(memory: Path) -> Iterator[None]:
    """Lock the cache, so that the processes of one run measure once, and not at the same time."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(memory.with_suffix(".lock"))
        lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _read(memory: Path) -> dict[str, bool]:
    """Read the cache; empty if the file is missing or damaged."""
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _measure(model: keras.Model) -> bool:
    state = random.getstate()  # layers without a seed draw from it when they are copied
    try:
        copy = clone(model, instead="").model
    finally:
        random.setstate(state)
    copy.compile(type(model.optimizer).from_config(model.optimizer.get_config()), model.loss)
    copy.optimizer.build(copy.trainable_variables)
    batch = _batch(copy)
    steps = {jit: _step(copy, batch, jit=jit) for jit in (False, True)}
    repeats = max(1, round(_SECONDS / max(1e-9, _time(steps[False]))))
    spent: dict[bool, list[float]] = {False: [], True: []}
    for number in range(_ROUNDS):
        for jit in (number % 2 == 0, number % 2 == 1):
            spent[jit].append(sum(_time(steps[jit]) for _ in range(repeats)))
    return statistics.median(spent[True]) < statistics.median(spent[False])


def _batch(model: keras.Model) -> tuple[Any, Any]:
    """Return random inputs, and zeros as labels or targets."""
    rng = np.random.default_rng(0)
    inputs = [
        tf.constant(rng.random([_BATCH, *(side or 8 for side in t.shape[1:])]).astype(t.dtype))
        for t in model.inputs
    ]
    sparse = "Sparse" in type(model.loss).__name__ or "sparse" in str(model.loss)
    shape = [_BATCH] if sparse else [_BATCH, *(side or 8 for side in model.outputs[0].shape[1:])]
    return inputs[0] if len(inputs) == 1 else inputs, tf.zeros(shape, "int32" if sparse else None)


def _step(model: keras.Model, batch: tuple[Any, Any], *, jit: bool) -> Callable[[], Any]:
    """Return a compiled step that has run once."""

    @tf.function(jit_compile=jit, autograph=False)
    def step(x: Any, y: Any) -> Any:
        return model.train_step((x, y))["loss"]

    step(*batch).numpy()
    return lambda: step(*batch).numpy()


def _time(step: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun
