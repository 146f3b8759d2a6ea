"""What a `.keras` file may name: Keras' own parts, and what is registered already."""

from __future__ import annotations

import keras

from tfticket.internals import in_safe_mode
from tfticket.model_file import NamedObject

# Of the names that Keras exports, and of its modules below `keras.src`. The others load data, read
# and write files, or fetch weights from the network.
_GROUPS = frozenset(
    {
        "activations", "constraints", "dtype_policies", "engine", "initializers", "layers",
        "losses", "metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers",
        "trainers",
    }
)  # fmt: skip
# Companions of Keras, which it imports where they are installed.
_COMPANIONS = frozenset({"keras_cv", "keras_hub", "keras_nlp"})


def is_trusted(named: NamedObject) -> bool:
    """Whether Keras may look something up that a model file names.

    Nothing is imported for what is registered already; Keras imports its own parts alone. Lambdas
    are Python code: they pass where the user has called
    `keras.config.enable_unsafe_deserialization`.

    >>> is_trusted(NamedObject("keras.layers", "Dense", "", "class"))
    True
    >>> is_trusted(NamedObject("keras.utils", "get_file", "", "function"))
    False
    """
    if named.kind == "lambda":
        return in_safe_mode() is False
    name = named.name if named.kind == "function" else named.registered
    if name and keras.saving.get_registered_object(name) is not None:
        return True
    package, _, rest = named.module.partition(".")
    if package == "keras":
        group = rest.removeprefix("src.").partition(".")[0]
        return group in _GROUPS if group else named.kind == "class"
    return package in _COMPANIONS or (package, rest) in (("", ""), ("builtins", ""))
