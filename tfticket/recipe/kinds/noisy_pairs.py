"""The pairs of networks that the methods of a recipe of the kind `noisy` train, and on what."""

from __future__ import annotations

import keras
import numpy as np

from tfticket import models
from tfticket.errors import RunError
from tfticket.noise import (
    CleanSplit,
    Corruption,
    CoTeaching,
    ForgetRate,
    ForwardCorrection,
    GeneralizedCrossentropy,
)
from tfticket.noise.coteaching.selection import Update
from tfticket.noise.coteaching.stages import Stage
from tfticket.noise.coteaching.stages import stages as staged
from tfticket.recipe.noisy_cells import NoisyCell
from tfticket.recipe.noisy_experiment import NoisyExperiment
from tfticket.recipe.noisy_schema import Method
from tfticket.state import innermost_optimizer

_UPDATES: dict[str, Update] = {
    "cross_entropy": "plain",
    "gce": "plain",
    "forward": "plain",
    "coteaching": "coteaching",
    "coteaching_plus": "coteaching_plus",
    "jocor": "jocor",
    "decoupling": "decoupling",
    "incv": "coteaching",
}


def stages(
    experiment: NoisyExperiment, cell: NoisyCell, corruption: Corruption, split: CleanSplit | None
) -> tuple[Stage, ...]:
    """What a cell is trained on, one after the other.

    An epoch of theirs is an interval of `train.evaluate_every` steps. For `incv` what was selected,
    then the candidates with it: see `tfticket.noise.coteaching.stages`.
    """
    method = cell.method
    intervals = cell.steps // experiment.recipe.train.evaluate_every
    if method.name != "incv":
        return (Stage(None, _forget_rate(method, corruption, split), intervals),)
    assert split is not None  # the rules ask for it
    planned = staged(split, warmup_epochs=min(method.warmup, intervals), epochs=intervals)
    return tuple(stage for stage in planned if stage.epochs)


def _forget_rate(method: Method, corruption: Corruption, split: CleanSplit | None) -> float:
    if not method.selects_batches:
        return 0.0
    if method.forget_rate == "given":
        return corruption.realized_rate
    if method.forget_rate == "estimated":
        return _estimate(method, split).estimate.rate
    return float(method.forget_rate)


def make_pair(
    experiment: NoisyExperiment,
    cell: NoisyCell,
    seed: int,
    *,
    forget_rate: float,
    corruption: Corruption,
    split: CleanSplit | None,
) -> CoTeaching:
    """A compiled pair of networks; the initial weights are the same for all methods of a seed.

    Args:
        experiment: The recipe with its data.
        cell: Which training.
        seed: Of the run.
        forget_rate: The largest of its stages, in [0, 1).
        corruption: The labels.
        split: The selection, where the method needs one.

    Raises:
        ModelError: when the networks don't fit the data or each other.
    """
    train, method = experiment.recipe.train, cell.method
    first, second = (experiment.network(seed, name) for name in ("first", "second"))
    pair = CoTeaching(
        first,
        second,
        forget_rate=ForgetRate(forget_rate, method.gradual, method.exponent, method.formula),
        update=_UPDATES[method.name],
        warmup_epochs=0 if method.name == "incv" else method.warmup,
        agreement=method.agreement,
        class_floor=method.class_floor,
        batch=method.batch,
    )
    pair.compile(
        innermost_optimizer(first),
        _loss(method, first, corruption, split),
        second_optimizer=innermost_optimizer(second),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        steps_per_execution=train.evaluate_every,
        jit_compile=pair.supports_jit and first.jit_compile,
    )
    return pair


def _loss(
    method: Method, network: keras.Model, corruption: Corruption, split: CleanSplit | None
) -> keras.losses.Loss:
    if method.name == "gce":
        return GeneralizedCrossentropy(method.q, from_logits=True)
    if method.name != "forward":
        return models.loss_for(network)
    if method.matrix == "estimated":
        return ForwardCorrection(_estimate(method, split).estimate.matrix, from_logits=True)
    realized = corruption.realized
    absent = np.isnan(realized).any(axis=1)
    realized[absent] = np.eye(len(realized))[absent]
    return ForwardCorrection(realized, from_logits=True)


def _estimate(method: Method, split: CleanSplit | None) -> CleanSplit:
    if split is None:
        raise RunError(f"{method.name} needs an estimate of the noise. Received: no selection.")
    return split
