"""Training on what INCV selected: first the clean examples, then the candidates with them.

Chen et al. (ICML 2019, arXiv:1905.05040), algorithm 3. Of the selected examples the residual noise
is forgotten, which is estimated, not given. Then candidates join them. The paper draws so many of
each into a batch; here they come as often as there are of them, and as many of a batch are kept as
there should be right labels among its selected ones, so that a candidate takes part where it fits
better than the worst of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import ModelError
from tfticket.noise import theory
from tfticket.noise.coteaching.model import CoTeaching
from tfticket.noise.incv.clean_split import CleanSplit


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of a training.

    Attributes:
        ids: The examples, rising, int64.
        forget_rate: Share of a batch to drop when the ramp has ended, in [0, 1).
    """

    ids: np.ndarray
    forget_rate: float


def stages(split: CleanSplit) -> tuple[Stage, Stage]:
    """What to train on, and how much of it to forget; the second forgets more."""
    residual = theory.expected(split.estimate.matrix).residual_noise
    both = np.union1d(split.clean, split.candidate)
    kept = (1 - residual) * len(split.clean) / len(both)
    return Stage(split.clean, residual), Stage(both, 1 - kept)


def fit_in_stages(
    pair: CoTeaching,
    x: ArrayLike,
    y: ArrayLike,
    split: CleanSplit,
    *,
    warmup_epochs: int,
    epochs: int,
    **arguments: Any,
) -> list[keras.callbacks.History]:
    """Co-teaches a compiled pair on a selection.

        split = INCV(build, epochs=10).select(x, y)
        pair = CoTeaching(build(0), build(1), forget_rate=stages(split)[-1].forget_rate)
        pair.compile(...)
        fit_in_stages(pair, x, y, split, warmup_epochs=10, epochs=40)

    Args:
        pair: Two networks; its forget rate is that of the last stage, or more.
        x: The inputs that the selection was made from, shape (n, ...).
        y: Their given labels, shape (n,).
        split: The selection.
        warmup_epochs: Epochs on the clean examples alone, at least 0.
        epochs: All epochs, more than those.
        **arguments: For `fit`, such as `batch_size`, `validation_data` and `callbacks`.

    Returns:
        The history of each stage.

    Raises:
        ModelError: when the epochs are out of order, the pair forgets too little, or the data are
            not those of the split.
    """
    planned = stages(split)
    most = pair.rule.forget_rate.rate
    if not 0 <= warmup_epochs < epochs:
        raise ModelError(
            "`warmup_epochs` must be at least 0, and `epochs` more than that. Received: "
            f"warmup_epochs={warmup_epochs}, epochs={epochs}."
        )
    if planned[-1].forget_rate > most:
        raise ModelError(
            f"The pair must be able to forget {planned[-1].forget_rate:.4f} of a batch. Received: "
            f"forget_rate={most}. Make it with `forget_rate=stages(split)[-1].forget_rate`."
        )
    inputs, labels = np.asarray(x), np.asarray(y)
    if not len(inputs) == len(labels) == len(split):
        raise ModelError(
            f"Inputs and labels must be the {len(split)} examples of the split. Received: "
            f"{len(inputs)} and {len(labels)}."
        )
    histories = []
    for stage, first, last in zip(
        planned, (0, warmup_epochs), (warmup_epochs, epochs), strict=True
    ):
        if first == last:
            continue
        pair.relief.assign(stage.forget_rate / most if most else 1.0)
        history = pair.fit(
            inputs[stage.ids], labels[stage.ids], initial_epoch=first, epochs=last, **arguments
        )
        histories.append(history)
    return histories
