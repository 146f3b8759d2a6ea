"""The proof that callbacks leave no trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfticket.errors import InvariantError
from tfticket.state import named_variables


def assert_no_trace(
    build: Callable[[], keras.Model],
    watchers: Callable[[], Sequence[keras.callbacks.Callback]],
    *fit_arguments: Any,
    seed: int = 0,
    **fit_options: Any,
) -> None:
    """Trains twice, without and with callbacks that only watch, and compares every bit.

        assert_no_trace(build, lambda: [LandscapeTracker(10)], x, y, epochs=2)

    Compared are the model's variables (weights, moving statistics, states of seed generators), the
    optimizer's and those of the metrics, and every line of the history.

    Args:
        build: Makes the compiled model anew; called twice, with the same global seed.
        watchers: Makes the callbacks.
        *fit_arguments: What `fit` is given: data that can be gone through twice.
        seed: The global seed of both trainings.
        **fit_options: What `fit` is given by keyword; `callbacks` run in both trainings.

    Raises:
        InvariantError: when anything differs; it lists what, and by how much.
    """
    fit_options = {"verbose": 0, **fit_options}
    others = list(fit_options.pop("callbacks", None) or [])

    def train(
        *more: keras.callbacks.Callback,
    ) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
        keras.utils.set_random_seed(seed)
        model = build()
        history = model.fit(*fit_arguments, callbacks=[*others, *more], **fit_options)
        return _state(model), history.history

    without, plain_history = train()
    watching = watchers()
    observed, history = train(*watching)
    differing = [
        f"`{name}` by up to {_difference(without[name], observed[name]):.3g}"
        for name in without
        if without[name].tobytes() != observed[name].tobytes()
    ]
    differing += [
        f"history of `{name}`: {plain_history.get(name)} -> {history.get(name)}"
        for name in {**plain_history, **history}
        if _bits(plain_history.get(name)) != _bits(history.get(name))
    ]
    if differing:
        raise InvariantError(
            f"{', '.join(type(one).__name__ for one in watching)} must not change what is trained. "
            f"Changed: {'; '.join(differing)}."
        )


def _state(model: keras.Model) -> dict[str, np.ndarray]:
    variables = dict(named_variables(model))
    # By their place: the names go on counting from model to model.
    for owner, listed in (
        ("optimizer", model.optimizer.variables),
        ("metrics", model.metrics_variables),
    ):
        variables |= {f"{owner}/{place}": v for place, v in enumerate(listed)}
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def _difference(some: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(some.astype(np.float64) - other.astype(np.float64)), initial=0.0))


def _bits(values: list[float] | None) -> bytes | None:
    """The exact values; NaN, of a training that diverged, equals itself."""
    return None if values is None else np.asarray(values, np.float64).tobytes()
