"""Co-teaching on what INCV selected: first the clean examples, then the candidates with them.

Chen et al. (ICML 2019, arXiv:1905.05040), algorithm 3. Of the selected examples the residual noise
is forgotten, which is estimated, not given. Then candidates join them. The paper draws so many of
each into a batch; here they come as often as there are of them, and as many of a batch are kept as
there should be right labels among its selected ones, so that a candidate takes part where it fits
better than the worst of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
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
        ids: The examples, rising, int64; None for all.
        forget_rate: Share of a batch to drop when the ramp has ended, in [0, 1).
        epochs: Length of the stage.
    """

    ids: np.ndarray | None
    forget_rate: float
    epochs: int = 0


def stages(split: CleanSplit, *, warmup_epochs: int = 0, epochs: int = 0) -> tuple[Stage, Stage]:
    """Plan a training on a selection; the second stage has more examples, and forgets more.

    Args:
        split: The selection.
        warmup_epochs: Epochs on the clean examples alone.
        epochs: All epochs.
    """
    residual = theory.expected(split.estimate.matrix).residual_noise
    both = np.union1d(split.clean, split.candidate)
    kept = (1 - residual) * len(split.clean) / len(both)
    return (
        Stage(split.clean, residual, warmup_epochs),
        Stage(both, 1 - kept, epochs - warmup_epochs),
    )


def fit_stages(
    pair: CoTeaching, planned: Iterable[Stage], arguments: Callable[[Stage, int], Mapping[str, Any]]
) -> list[keras.callbacks.History]:
    """Train a compiled pair stage by stage, each at its forget rate.

    The training ends with a stage whose last loss isn't finite.

    Args:
        pair: Two networks; its forget rate is the largest of the stages, or more.
        planned: The stages; those of no epochs are left out.
        arguments: Gives what `fit` takes for a stage that begins after so many epochs, but for
            `initial_epoch` and `epochs`.

    Returns:
        The history of each stage.
    """
    most = pair.rule.forget_rate.rate
    histories: list[keras.callbacks.History] = []
    done = 0
    for stage in planned:
        if not stage.epochs:
            continue
        pair.relief.assign(stage.forget_rate / most if most else 1.0)
        end = done + stage.epochs
        histories.append(pair.fit(initial_epoch=done, epochs=end, **arguments(stage, done)))
        done = end
        if not math.isfinite(histories[-1].history["loss"][-1]):
            break
    return histories


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
    """Train a compiled pair by co-teaching on a selection.

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
    if not 0 <= warmup_epochs < epochs:
        raise ModelError(
            "`warmup_epochs` must be at least 0, and `epochs` more than that. Received: "
            f"warmup_epochs={warmup_epochs}, epochs={epochs}."
        )
    planned = stages(split, warmup_epochs=warmup_epochs, epochs=epochs)
    most = pair.rule.forget_rate.rate
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
    return fit_stages(
        pair,
        planned,
        lambda stage, _: {"x": inputs[stage.ids], "y": labels[stage.ids], **arguments},
    )
