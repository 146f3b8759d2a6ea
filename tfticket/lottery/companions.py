"""The other callbacks of a `fit`, and those that a search can't be combined with."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import keras

from tfticket.errors import ModelError


def companions() -> Sequence[keras.callbacks.Callback]:
    """Return all callbacks of the running `fit`; none outside of one.

    Keras offers a callback no access to the others, so they are taken from the list that calls it.
    """
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.callbacks.CallbackList):
            return tuple(owner.callbacks)
        frame = frame.f_back
    return ()


def refuse_unfit(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse callbacks that write weights of another network into the model.

    Raises:
        ModelError: names the callback, what it would do, and what to do instead.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ModelError(
                "`BackupAndRestore` can't be combined with a search: it would begin with half-"
                "trained weights as the initial ones. Leave it out; to resume a search, give the "
                "same `TicketSearch` to `fit` again, or a `store` on disk."
            )
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights:
            raise ModelError(
                "`EarlyStopping(restore_best_weights=True)` can't be combined with a search: it "
                "would leave the best epoch of all networks in the model, under the last one's "
                "mask. Leave it out; every network is evaluated at its own early-stop step."
            )
