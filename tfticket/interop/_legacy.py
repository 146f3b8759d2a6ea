"""Script of the child that reads a model with tf_keras and writes it as plain data.

It is never imported, only run by `children.run`: importing tensorflow-model-optimization changes
TensorFlow for the whole process, which then has no Keras 3.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from tfticket.files import write_arrays
from tfticket.interop.child import watched

_EXAMPLES = 8
_UNKNOWN_SIDE = 64  # of images and sequences of any length; enough for five halvings
_INTEGERS = 10
_SEED = 0
_MEMORY = 16 * 2**30  # of addresses, of which TensorFlow reserves many that it never uses
_MEMORY_A_BYTE = 20


def _main(legacy: str, output: str) -> None:
    with tfmot.sparsity.keras.prune_scope():
        model = tf_keras.models.load_model(legacy, compile=False, safe_mode=True)
    if not model.inputs:
        sys.exit("The model was saved before it knew the shape of its input.")
    layers: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    # Before the first call, which sets to zero what the masks prune.
    found = list(_layers(model, ()))
    for number, (path, layer) in enumerate(found):
        described, own_arrays = _content(layer)
        layers.append({"path": path, **described})
        arrays |= {f"{number}:{name}": array for name, array in own_arrays.items()}
    rng = np.random.default_rng(_SEED)
    inputs = [_examples(tensor, rng) for tensor in model.inputs]
    with watched({number: layer for number, (_, layer) in enumerate(found)}) as seen:
        outputs = tf.nest.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    for number, samples in seen.items():
        arrays |= {f"{number}:sample:{i}": sample for i, sample in enumerate(samples)}
        layers[number]["samples"] = len(samples)
    arrays |= {f"input:{number}": array for number, array in enumerate(inputs)}
    arrays |= {f"output:{number}": tensor.numpy() for number, tensor in enumerate(outputs)}
    header = {
        "model": json.loads(model.to_json()),
        "layers": layers,
        "versions": {
            "tensorflow_model_optimization": tfmot.__version__,
            "tf_keras": tf_keras.__version__,
            "tensorflow": tf.__version__,
        },
    }
    write_arrays(output, kind="legacy model", header=header, arrays=arrays)


def _layers(model: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for layer in model.layers:
        own_path = (*path, layer.name)
        if isinstance(layer, tf_keras.Model):
            yield from _layers(layer, own_path)
        elif not isinstance(layer, tf_keras.layers.InputLayer):
            yield own_path, layer


def _content(layer: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the names of a layer's weights with the settings of its pruning, and its arrays."""
    is_pruned = hasattr(layer, "pruning_vars")
    weights = (layer.layer if is_pruned else layer).weights
    names = [weight.name.rpartition("/")[2].partition(":")[0] for weight in weights]
    described: dict[str, Any] = {"weights": names, "masks": []}
    arrays = {f"weight:{i}": weight.numpy() for i, weight in enumerate(weights)}
    if is_pruned:
        place = {id(weight): i for i, weight in enumerate(weights)}
        for weight, mask, _ in layer.pruning_vars:
            described["masks"].append(place[id(weight)])
            arrays[f"mask:{place[id(weight)]}"] = mask.numpy() != 0
        described["step"] = int(layer.pruning_step.numpy())
        described["pruning"] = {
            "schedule": layer.pruning_schedule.get_config(),
            "block_size": list(layer.block_size),
            "block_pooling_type": layer.block_pooling_type,
        }
    return described, arrays


def _examples(tensor: Any, rng: np.random.Generator) -> np.ndarray:
    """Draw random inputs: normal numbers, or indices of an embedding."""
    shape = [_UNKNOWN_SIDE if side is None else side for side in tensor.shape]
    if tensor.shape[0] is None:
        shape[0] = _EXAMPLES
    dtype = tensor.dtype.as_numpy_dtype
    rows = _embedding_rows(tensor)
    if rows is None and np.issubdtype(dtype, np.floating):
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(2 if dtype == np.bool_ else rows or _INTEGERS, size=shape).astype(dtype)


def _embedding_rows(tensor: Any) -> int | None:
    """Return the fewest rows of an embedding that reads the tensor; None without any."""
    readers = [node.outbound_layer for node in tensor._keras_history.layer._outbound_nodes]
    inside = [layer for reader in readers for layer in reader._flatten_layers()]
    rows = [layer.input_dim for layer in inside if isinstance(layer, tf_keras.layers.Embedding)]
    return min(rows, default=None)


def _limit_memory(legacy: str) -> None:
    """Limit memory, since a file may describe an enormous layer."""
    most = _MEMORY + _MEMORY_A_BYTE * Path(legacy).stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    try:
        _limit_memory(sys.argv[1])
        _main(*sys.argv[1:])
    except Exception as error:  # the last line is for the parent, the rest for whoever looks
        reason = " ".join(str(error).split()) or "no reason given"
        sys.exit(f"{type(error).__name__}: {reason}")
