"""`remove_in_rounds`: units are removed little by little, with a training behind each round."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from tfticket.channels.groups import channel_groups
from tfticket.channels.remove import Batches, Of, Scope, remove_units
from tfticket.channels.scores import UnitScore
from tfticket.channels.size import size_of
from tfticket.cloning import compile_like
from tfticket.errors import ModelError
from tfticket.export.fitting.narrowing import Training, train
from tfticket.export.fitting.rounds import Rounds
from tfticket.files import digest
from tfticket.seeds import generator
from tfticket.state import named_variables

_BATCHES = 8  # of training data, for scores of gradients


def remove_in_rounds(
    model: keras.Model,
    keep: float,
    *,
    training: Training | Callable[[keras.Model], Any],
    rounds: int = 3,
    of: Of = "parameters",
    score: UnitScore | str = "magnitude",
    batches: Batches | None = None,
    scope: Scope = "global",
    multiple_of: int = 1,
    skip: Iterable[str] = (),
    folder: str | os.PathLike[str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> keras.Model:
    """Remove units in rounds and train behind each, the last one too.

    Each round leaves the same share of what the one before left: after round r of n, `keep`^(r/n).
    A `Training` rewinds the learning rate to its beginning in each round, as `fit` does (Renda,
    Frankle & Carbin 2020, arXiv:2003.02389).

    Args:
        model: A built Sequential or Functional model; it isn't changed.
        keep: Share that stays in the end, in (0, 1), see `channels.remove_units`.
        training: Data and length of the training of a classifier after each round; or a function
            that trains the model that it is given, which is compiled like `model`.
        rounds: Number of rounds, at least 1.
        of: What the share is of: `units`, `parameters` or `multiply_adds`.
        score: See `channels.remove_units`.
        batches: See there; for `taylor` by default 8 batches of the training data, if `training` is
            a `Training`.
        scope: See there.
        multiple_of: See there.
        skip: See there.
        folder: Where the networks of finished rounds are kept, to resume from; None keeps none.
        tell: Called with a line of progress.

    Returns:
        The network after the last round, compiled like the model.

    Raises:
        ModelError: when units can't be removed, or an argument is out of its range.
        RunError: when `folder` holds the rounds of another search.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 300)
        >>> x = (rng.normal(size=(300, 4)) + 3 * y[:, None]).astype("float32")
        >>> hidden, out = keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out])
        >>> training = Training(x, y, steps=50)
        >>> smaller = remove_in_rounds(model, 0.5, of="units", training=training, rounds=2)
        >>> smaller.layers[0].units
        16
    """
    if not 0.0 < keep < 1.0 or rounds < 1:
        raise ModelError(
            f"`keep` must be in (0, 1), `rounds` at least 1. Received: {keep}, {rounds}"
        )
    if batches is None and score == "taylor" and isinstance(training, Training):
        batches = _some_of(training)
    given = None if batches is None else list(batches)
    skip = list(skip)
    settings = [keep, rounds, of, str(score), scope, multiple_of, skip, training]
    done = Rounds.open(folder, _fingerprint(model, settings))
    whole, now = _amount(model, of), model
    for place in range(1, rounds + 1):
        found = done.load(place)
        if found is None:
            share = keep ** (place / rounds) * whole / _amount(now, of)
            found = remove_units(
                now, min(share, 1.0), of=of, score=score, batches=given, scope=scope,
                multiple_of=multiple_of, skip=skip,
            ).model  # fmt: skip
            if isinstance(training, Training):
                steps = training.steps_a_round
                train(found, training, steps=steps, stream=f"removed {place}")
            else:
                training(found)
            done.save(place, found)
        compile_like(model, found)
        if tell is not None:
            tell(f"round {place} of {rounds}: {_amount(found, of) / whole:.1%} of the {of} left")
        now = found
    return now


def _amount(model: keras.Model, of: Of) -> int:
    if of == "units":
        return len(channel_groups(model, also=lambda key, variable: True))
    amount: int = getattr(size_of(model), of)
    return amount


def _some_of(training: Training) -> Batches:
    rng = generator(training.seed, "fitting", "batches")
    order = rng.permutation(len(training.x))[: _BATCHES * training.batch_size]
    for start in range(0, len(order), training.batch_size):
        chosen = order[start : start + training.batch_size]
        yield training.x[chosen], np.asarray(training.y)[chosen]


def _fingerprint(model: keras.Model, settings: list[Any]) -> str:
    """Hash of what decides what a round gives; of a function that trains, only that it is one."""
    arrays = {key: variable.numpy() for key, variable in named_variables(model).items()}
    training = settings.pop()
    if isinstance(training, Training):
        arrays |= {"training.x": training.x, "training.y": np.asarray(training.y)}
        settings += [training.steps_a_round, training.batch_size]
        settings += [training.learning_rate, training.seed]
    return digest(arrays, settings)
