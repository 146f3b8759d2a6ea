"""What the class of a layer says about what the layer computes, and what it doesn't."""

from __future__ import annotations

from collections.abc import Iterator

import keras

_KNOWN = ("keras", "tfticket")
"""The packages whose layers do what their names say."""

_COMPUTES_NOTHING = {"get_config", "from_config"}
"""What a child may override, beside the constructor, and still compute as its parent does."""


def is_own(layer: keras.Layer) -> bool:
    """Whether the class is the user's (or another library's), and not of Keras or tfticket."""
    return not _is_known(type(layer))


def overridden(layer: keras.Layer) -> tuple[str, ...]:
    """Names what the class of a layer overrides of its nearest parent in Keras or tfticket.

    A child that overrides `call`, or something that `call` uses, isn't its parent: what is known of
    the parent doesn't hold. It may override its constructor and its config, and implement what the
    parent leaves open.

    Args:
        layer: Any layer.

    Returns:
        Names of methods and attributes, sorted; none for a class of Keras or of tfticket.

    Example:
        >>> class NormReLU(keras.layers.BatchNormalization):
        ...     def call(self, inputs, training=None, mask=None):
        ...         return keras.ops.relu(super().call(inputs, training=training, mask=mask))
        >>> overridden(NormReLU())
        ('call',)
    """
    own: list[type] = []
    for parent in type(layer).__mro__:
        if _is_known(parent):
            return tuple(sorted({name for kind in own for name in _changes(kind, parent)}))
        own.append(parent)
    return ()


def computes_as(layer: keras.Layer, kinds: type | tuple[type, ...]) -> bool:
    """Asks as `isinstance` does; the answer is no for a child that overrides what it computes."""
    return isinstance(layer, kinds) and not overridden(layer)


def _is_known(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _KNOWN


def _changes(kind: type, parent: type) -> Iterator[str]:
    for name in vars(kind):
        old = getattr(parent, name, None)
        is_default = old is getattr(keras.Layer, name, None) or hasattr(old, "__isabstractmethod__")
        if name == "__call__" or not (
            is_default or name.startswith("__") or name in _COMPUTES_NOTHING
        ):
            yield name
