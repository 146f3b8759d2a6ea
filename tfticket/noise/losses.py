"""Losses for wrong labels, and the unreduced values of any loss."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.internals import get_loss
from tfticket.noise.labels.transition import as_transition

_TINY = 1e-7
_HINGE = (keras.losses.hinge, keras.losses.squared_hinge)


class PerSampleLoss:
    """The unreduced values of any Keras loss.

    What Keras' `compile` does to a name or a function is done here too, by its own code: labels and
    predictions are brought to one rank and to float32, and "crossentropy" becomes the one that fits
    their shapes. Comparing labels of shape (batch,) with predictions of shape (batch, 1) as they
    are would compare each prediction with every label.

        >>> PerSampleLoss("hinge").values([1.0, 0.0], [[0.5], [0.2]]).numpy()
        array([0.5, 1.2], dtype=float32)

    Args:
        loss: What `compile` takes for one output: a name, a function, or a `keras.losses.Loss`,
            whose `call` gives the unreduced values by contract.

    Raises:
        ModelError: when it isn't one loss, or sums over the batch.
    """

    def __init__(self, loss: Any) -> None:
        if loss is None or isinstance(loss, (list, tuple)) or _is_by_output(loss):
            raise ModelError(
                "Samples are selected by the one loss of one output. Received: "
                f"loss={loss!r}. Give a single loss with a value for each sample."
            )
        self.loss = loss if _fits_the_shapes(loss) else _as_object(loss)
        reduction = getattr(self.loss, "reduction", "mean")
        if reduction == "sum":
            raise ModelError(
                "The networks minimize the mean over the selected samples, whose number changes "
                "from step to step. Received: a loss with `reduction='sum'`. Use the default "
                "reduction, and another learning rate."
            )
        self._by_weight = reduction == "mean_with_sample_weight"

    @property
    def takes_signs(self) -> bool:
        """True where two classes may be -1 and 1: a hinge loss turns 0 into -1 by itself."""
        return isinstance(self.loss, keras.losses.Loss) and getattr(self.loss, "fn", None) in _HINGE

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each sample, float32, shape (batch,), the mean over other axes."""
        ops = keras.ops
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        loss = get_loss(self.loss, y_true, y_pred)
        y_pred = ops.cast(y_pred, "float32")
        found = ops.cast(loss.call(ops.cast(y_true, loss.dtype), y_pred), "float32")
        shape, batch = tuple(found.shape), y_pred.shape[0]
        if not shape or (batch is not None and shape[0] not in (batch, None)):
            raise ModelError(
                "Samples are selected by their losses, so the loss must give a value for each. "
                f"Received: values of shape {shape} from {self.loss!r} for predictions of shape "
                f"{tuple(y_pred.shape)} and labels of shape {tuple(y_true.shape)}. Leave the mean "
                "over the batch to Keras."
            )
        return ops.mean(found, axis=tuple(range(1, len(shape)))) if len(shape) > 1 else found

    def mean(self, values: Any, kept: Any, sample_weight: Any = None) -> Any:
        """Compute the mean over the kept samples, divided by their number once.

        Args:
            values: Loss of each sample, shape (batch,).
            kept: True = counts, shape (batch,).
            sample_weight: Factor of each sample's loss, shape (batch,), or None. As in Keras, the
                sum is divided by the number of samples, unless the loss says
                `mean_with_sample_weight`.

        Returns:
            A float32 scalar; 0 when nothing is kept.
        """
        ops = keras.ops
        count = ops.cast(kept, "float32")
        # Not by multiplication: a loss that isn't finite is never kept, and must not leak.
        values = ops.where(kept, values, ops.zeros_like(values))
        if sample_weight is not None:
            values = values * sample_weight
            count = count * sample_weight if self._by_weight else count
        return ops.divide_no_nan(ops.sum(values), ops.sum(count))


@keras.saving.register_keras_serializable(package="tfticket")
class GeneralizedCrossentropy(keras.losses.Loss):
    """Generalized cross-entropy, (1 - p_y^q) / q: between cross-entropy and absolute error.

    Zhang & Sabuncu (2018, arXiv:1805.07836), equation 6. Keras' own
    `CategoricalGeneralizedCrossEntropy` is the same for probabilities and integer labels of shape
    (batch,). This one also takes logits, where its gradient stays finite for p_y near 0, labels of
    shape (batch, 1), and one-hot rows.

    Args:
        q: In (0, 1]; towards 0 it is cross-entropy, at 1 it is the absolute error. The paper uses
            0.7.
        from_logits: Whether the predictions are logits.
        **kwargs: As for `keras.losses.Loss`.

    Raises:
        ModelError: when q is outside its range.
    """

    def __init__(self, q: float = 0.7, *, from_logits: bool = False, **kwargs: Any) -> None:
        if not 0 < q <= 1:
            raise ModelError(f"`q` must be in (0, 1]. Received: {q}.")
        kwargs.setdefault("name", "generalized_crossentropy")
        super().__init__(**kwargs)
        self.q = q
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each example, shape (batch,)."""
        log_p = keras.ops.sum(
            _one_hot(y_true, y_pred) * _log_probabilities(y_pred, self.from_logits), axis=-1
        )
        return -keras.ops.expm1(self.q * log_p) / self.q

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {**super().get_config(), "q": self.q, "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="tfticket")
class ForwardCorrection(keras.losses.Loss):
    """Forward correction: cross-entropy of the prediction after it went through the noise, p T.

    The network itself then learns to predict the true class. Patrini et al. (2017,
    arXiv:1609.03683), theorem 2: -log sum_i p_i T[i, y].

    Args:
        transition: A `TransitionMatrix` or an array, T[i, j] = P(given = j | true = i), shape
            (classes, classes); rows sum to 1.
        from_logits: Whether the predictions are logits.
        **kwargs: As for `keras.losses.Loss`.

    Raises:
        DataError: when it is no transition matrix.
    """

    def __init__(self, transition: Any, *, from_logits: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("name", "forward_correction")
        super().__init__(**kwargs)
        self.transition = as_transition(transition).matrix
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each example, shape (batch,)."""
        ops = keras.ops
        if y_pred.shape[-1] != len(self.transition):
            raise ModelError(
                "Predictions must have a column for each class of `transition`, which has "
                f"{len(self.transition)}. Received: predictions of shape {tuple(y_pred.shape)}."
            )
        p = ops.exp(_log_probabilities(y_pred, self.from_logits))
        given = ops.matmul(p, ops.cast(self.transition, p.dtype))
        p_y = ops.sum(given * _one_hot(y_true, y_pred), axis=-1)
        return -ops.log(ops.maximum(p_y, _TINY))

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        own = {"transition": self.transition.tolist(), "from_logits": self.from_logits}
        return {**super().get_config(), **own}


def _fits_the_shapes(loss: Any) -> bool:
    """True for Keras' name of the cross-entropy that fits labels and predictions."""
    return str(loss).lower() in ("crossentropy", "ce")


def _is_by_output(loss: Any) -> bool:
    """True for a dictionary of losses, and not for the configuration of one."""
    return isinstance(loss, dict) and "class_name" not in loss


def _as_object(loss: Any) -> keras.losses.Loss:
    try:
        return get_loss(loss, None, None)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"No loss can be made of what `compile` was given. Received: loss={loss!r}. Give a "
            "name of `keras.losses`, a function of labels and predictions, or a `Loss`."
        ) from error


def _one_hot(y_true: Any, y_pred: Any) -> Any:
    """Rows of shape (batch, classes), from those or from integers; NaN for one that is no class.

    A row of zeros would be a loss without a gradient, and such a label never noticed.
    """
    ops = keras.ops
    if len(y_true.shape) == 2 and y_true.shape[-1] == y_pred.shape[-1]:
        return ops.cast(y_true, y_pred.dtype)
    labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    rows = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
    known = ops.logical_and(labels >= 0, labels < y_pred.shape[-1])
    return ops.where(known[:, None], rows, float("nan"))


def _log_probabilities(y_pred: Any, from_logits: bool) -> Any:
    if from_logits:
        return keras.ops.log_softmax(y_pred, axis=-1)
    return keras.ops.log(keras.ops.clip(y_pred, _TINY, 1.0))
