"""What each layer makes of the inputs of a model, on the way; for tf_keras and Keras 3 alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

_LONGEST = 4096

Name = TypeVar("Name")


@contextlib.contextmanager
def watched(layers: Mapping[Name, Any]) -> Iterator[dict[Name, list[np.ndarray]]]:
    """Notes the outputs of layers while a model is called eagerly.

    Args:
        layers: Layers to watch, each once, by any name.

    Yields:
        Name to a sample of each output of the layer. A layer that was called several times is left
        out: the order of its calls is nobody's promise.
    """
    calls: dict[Name, list[list[np.ndarray]]] = {name: [] for name in layers}
    seen: dict[Name, list[np.ndarray]] = {}
    with contextlib.ExitStack() as stack:
        for name, layer in layers.items():
            stack.enter_context(_noted(layer, calls[name]))
        yield seen
    seen |= {name: outputs[0] for name, outputs in calls.items() if len(outputs) == 1}


@contextlib.contextmanager
def _noted(layer: Any, calls: list[list[np.ndarray]]) -> Iterator[None]:
    call = layer.call

    def noting(*args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        calls.append([_sample(np.asarray(each)) for each in several])
        return outputs

    layer.call = noting
    try:
        yield
    finally:
        del layer.call


def _sample(array: np.ndarray) -> np.ndarray:
    """At most some thousand values from all over the array, the same for equal shapes."""
    flat = array.ravel()
    # An odd step doesn't keep to one channel or column, as a power of two would.
    step = 1 if flat.size <= _LONGEST else (flat.size // _LONGEST + 1) | 1
    return flat[::step]
