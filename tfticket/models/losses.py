"""Losses of recipes: cross-entropy for logits or probabilities, and summed squares."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.layer_kinds import WITH_ACTIVATION

REGRESSION_LOSSES: dict[str, type[keras.losses.Loss]] = {
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
}
"""Losses of recipes for numbers, by name."""


def gives_probabilities(model: keras.Model) -> bool:
    """Return whether a model ends in a softmax; all networks of the zoo end in logits.

    Example:
        >>> softmax = keras.layers.Dense(3, activation="softmax")
        >>> gives_probabilities(keras.Sequential([keras.Input((4,)), softmax]))
        True
    """
    last: keras.layers.Layer = model
    while True:
        if isinstance(last, keras.Model):
            last = last.layers[-1]
        elif isinstance(last, keras.layers.Wrapper):
            last = last.layer
        else:
            break
    if isinstance(last, keras.layers.Softmax):
        return True
    activation = last.activation if isinstance(last, WITH_ACTIVATION) else None
    return activation is keras.activations.softmax


def loss_for(model: keras.Model, *, label_smoothing: float = 0.0) -> keras.losses.Loss:
    """Return the cross-entropy for integer labels, from logits unless the model ends in a softmax.

    Args:
        model: A Sequential or Functional model with one output of shape (batch, classes), or of
            shape (batch, height, width, classes) for a label a pixel.
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).

    Raises:
        ModelError: when `label_smoothing` is out of range.

    Example:
        >>> from tfticket.models import lenet_300_100
        >>> loss_for(lenet_300_100((4,), 3)).from_logits
        True
    """
    if not 0 <= label_smoothing < 1:
        raise ModelError(f"`label_smoothing` must be in [0, 1). Received: {label_smoothing}.")
    from_logits = not gives_probabilities(model)
    if not label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return SmoothedCrossentropy(label_smoothing, from_logits=from_logits)


@keras.saving.register_keras_serializable(package="tfticket")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy for integer labels with label smoothing, which Keras has for one-hot rows only.

    Source: Szegedy et al., arXiv:1512.00567, section 7.

    Args:
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).
        from_logits: Whether the predictions are logits.
        **kwargs: As for `keras.losses.Loss`.
    """

    def __init__(self, label_smoothing: float, *, from_logits: bool, **kwargs: Any) -> None:
        kwargs.setdefault("name", "smoothed_crossentropy")
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, shape (batch,), or pixel."""
        labels = keras.ops.cast(keras.ops.reshape(y_true, (-1, *y_pred.shape[1:-1])), "int32")
        return keras.losses.categorical_crossentropy(
            keras.ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype),
            y_pred,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        own = {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="tfticket")
class SummedSquares(keras.losses.Loss):
    """Squared errors, summed over the targets and over the batch.

    The loss of the deep linear network of Santurkar et al. (arXiv:1805.11604, appendix A.1.2),
    ||W_1 ... W_k x - A x||^2 over the whole data; its learning rate of 1e-6 is for the sum.

    Args:
        **kwargs: As for `keras.losses.Loss`.

    Example:
        >>> float(SummedSquares()(keras.ops.zeros((2, 3)), keras.ops.ones((2, 3))))
        6.0
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("name", "summed_squares")
        kwargs.setdefault("reduction", "sum")
        super().__init__(**kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, shape (batch,), from shape (batch, targets)."""
        return keras.ops.sum(keras.ops.square(y_pred - y_true), axis=-1)
