"""Train one method of a recipe of the kind `noisy`, and measure it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfticket import models
from tfticket.data import ChunkedFit
from tfticket.errors import RunError
from tfticket.metrics import Row
from tfticket.noise import (
    CleanSplit,
    CollapseEvent,
    Corruption,
    CoTeaching,
    EarlyLearning,
    ForgetRate,
    ForwardCorrection,
    GeneralizedCrossentropy,
    SelectionMonitor,
)
from tfticket.noise.coteaching.selection import Update
from tfticket.noise.coteaching.stages import Stage, fit_stages
from tfticket.noise.coteaching.stages import stages as staged
from tfticket.seeds import sub_seed
from tfticket.state import innermost_optimizer
from tfticket.studies.noisy.schema import Condition, Method
from tfticket.studies.training import Hook, Watch, by_split, outcomes, rows_of

if TYPE_CHECKING:
    from tfticket.studies.noisy.study import NoisyStudy

_TRAIN = (
    "loss",
    "accuracy",
    "disagreement",
    "forget_rate",
    "keep_rate",
    "label_precision",
    "label_recall",
)
_KEPT = ("accuracy_last", "accuracy_at_end", "ensemble_accuracy_last", "accuracy_by_validation")


@dataclass(frozen=True)
class Trained:
    """The results of a finished training.

    Attributes:
        rows: Every measurement along training.
        test: Accuracy on the clean test data by what it is the accuracy of.
        summary: What else there is to say.
    """

    rows: tuple[Row, ...]
    test: Mapping[str, float]
    summary: Mapping[str, float]


class _Watch(Watch):
    """Measures the clean test data too; nothing in training depends on it, and it isn't reported.

    Attributes:
        test: Clean test data in batches.
        clean: Step to accuracies on it by name.
    """

    def __init__(self, study: NoisyStudy, hook: Hook) -> None:
        super().__init__(study.recipe.train.evaluate_every, hook)
        self.test = study.test()
        self.clean: dict[int, dict[str, float]] = {}

    def also_measured(self, step: int) -> Mapping[str, float]:
        """See `Watch`."""
        found = self.model.evaluate(self.test, verbose=0, return_dict=True)
        self.clean[step] = {"accuracy": found["accuracy"]}
        if "first_accuracy" in found:
            self.clean[step] = {
                "accuracy": (found["first_accuracy"] + found["second_accuracy"]) / 2,
                "ensemble_accuracy": found["accuracy"],
            }
        return {}

    def by_split(self, step: int) -> dict[str, dict[str, float]]:
        """Return split to measurements by name."""
        return {**by_split(self.measured[step], _TRAIN), "clean": self.clean[step]}


def train(
    study: NoisyStudy,
    condition: Condition,
    seed: int,
    *,
    corruption: Corruption,
    split: CleanSplit | None,
    hook: Hook,
) -> Trained:
    """Train a network pair from its beginning to its end.

    Args:
        study: The study.
        condition: The condition.
        seed: Of the initial weights, the order of the data and the noise.
        corruption: The labels.
        split: The selection, where the method needs one.
        hook: Takes the steps made so far and what was measured.
    """
    if condition.method.name == "early_learning":
        return train_early_learning(study, condition, seed, corruption=corruption, hook=hook)
    began = time.perf_counter()
    planned = stages(study, condition, corruption, split)
    largest = max(stage.forget_rate for stage in planned)
    pair = make_pair(
        study, condition, seed, forget_rate=largest, corruption=corruption, split=split
    )
    watch = _Watch(study, hook)
    events: list[CollapseEvent] = []
    monitor = SelectionMonitor(per_class=False, on_event=events.append)

    def arguments(stage: Stage, done: int) -> dict[str, Any]:
        feed = study.feed(seed, condition.noise, corruption, stage.ids)
        feed.seek(done * feed.chunk_steps)
        return {
            **feed.fit_arguments(),
            "validation_data": study.validation(seed, condition.noise),
            "callbacks": [monitor, watch, ChunkedFit(feed)],
            "verbose": 0,
        }

    fit_stages(pair, planned, arguments)
    summary = {"noise_rate": corruption.realized_rate, "forget_rate": planned[-1].forget_rate}
    summary |= {"events": float(len(events)), "seconds": time.perf_counter() - began}
    summary |= _quality(watch, study.recipe.last) | watch.divergence
    along = {step: watch.by_split(step) for step in watch.measured}
    return Trained(
        _rows(study, condition, seed, along), _accuracies(along, study.recipe.last), summary
    )


Measured = Mapping[str, Mapping[str, float]]
"""Split to measurements by name."""


def _rows(
    study: NoisyStudy, condition: Condition, seed: int, along: Mapping[int, Measured]
) -> tuple[Row, ...]:
    per_epoch = len(study.data.train) / study.recipe.data.batch_size
    return tuple(
        row
        for step, splits in along.items()
        for split, found in splits.items()
        for row in rows_of(seed, condition.branch, step, step / per_epoch, split, found)
    )


def _accuracies(along: Mapping[int, Measured], last: int) -> dict[str, float]:
    """Of the end, of the last evaluations, and where the noisy validation data would have stopped.

    Those that a run keeps: `ensemble_accuracy` is known along training.
    """
    steps = sorted(along)
    clean = {
        name: [along[step]["clean"][name] for step in steps] for name in along[steps[0]]["clean"]
    }
    found = outcomes(clean, [along[step]["validation"]["accuracy"] for step in steps], last)
    return {name: found[name] for name in _KEPT if name in found}


def _quality(watch: _Watch, last: int) -> dict[str, float]:
    """Label precision and recall of what was trained on, mean of the last intervals."""
    found = [watch.measured[step] for step in sorted(watch.measured)[-last:]]
    return {
        f"{name}_last": float(np.mean([each[name] for each in found]))
        for name in ("label_precision", "label_recall")
    }


def train_early_learning(
    study: NoisyStudy, condition: Condition, seed: int, *, corruption: Corruption, hook: Hook
) -> Trained:
    """Train the two networks of a seed one after the other, each by early-learning regularization.

    They begin with the weights that the pairs of other methods begin with, and see the same
    batches; measurements are means of both.

    Args:
        study: The study.
        condition: The condition.
        seed: Of the initial weights, the order of the data and the noise.
        corruption: The labels.
        hook: Takes the steps made so far and what was measured.
    """
    began = time.perf_counter()
    watches: list[_Watch] = []
    for name in ("first", "second"):
        watch = _Watch(study, hook)
        model = make_early_learning(study, condition, seed, name)
        feed = study.feed(seed, condition.noise, corruption, beside="id")
        model.fit(
            **feed.fit_arguments(),
            epochs=condition.steps // feed.chunk_steps,
            validation_data=study.validation(seed, condition.noise),
            callbacks=[watch],
            verbose=0,
        )
        watches.append(watch)
    first, second = watches
    steps = sorted(first.measured.keys() & second.measured.keys())
    along = {step: _mean(first.by_split(step), second.by_split(step)) for step in steps}
    summary = {"noise_rate": corruption.realized_rate, "seconds": time.perf_counter() - began}
    summary |= {"label_precision_last": 1 - corruption.realized_rate, "label_recall_last": 1.0}
    summary |= first.divergence | second.divergence
    return Trained(
        _rows(study, condition, seed, along), _accuracies(along, study.recipe.last), summary
    )


def _mean(first: Measured, second: Measured) -> dict[str, dict[str, float]]:
    return {
        split: {name: (first[split][name] + second[split][name]) / 2 for name in first[split]}
        for split in first
    }


def make_early_learning(
    study: NoisyStudy, condition: Condition, seed: int, name: str
) -> EarlyLearning:
    """Return a compiled network with a target for each example.

    Args:
        study: The study.
        condition: The condition.
        seed: Of the run.
        name: Which network of the seed: `first` or `second`.
    """
    method, network = condition.method, study.model(seed, name)
    model = EarlyLearning(
        network,
        examples=len(study.data.train),
        strength=method.strength,
        momentum=method.momentum,
        mixup=method.mixup,
        seed=sub_seed(seed, "mixup", name),
    )
    model.compile(
        innermost_optimizer(network),
        models.loss_for(network),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        steps_per_execution=study.recipe.train.evaluate_every,
        jit_compile=network.jit_compile,
    )
    return model


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
    study: NoisyStudy, condition: Condition, corruption: Corruption, split: CleanSplit | None
) -> tuple[Stage, ...]:
    """Return what a network pair is trained on, one after the other.

    An epoch of theirs is an interval of `train.evaluate_every` steps. For `incv` what was selected,
    then the candidates with it: see `tfticket.noise.coteaching.stages`.
    """
    method = condition.method
    intervals = condition.steps // study.recipe.train.evaluate_every
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
    study: NoisyStudy,
    condition: Condition,
    seed: int,
    *,
    forget_rate: float,
    corruption: Corruption,
    split: CleanSplit | None,
) -> CoTeaching:
    """Return a compiled pair of networks; all methods of a seed begin with the same weights.

    Args:
        study: The study.
        condition: The condition.
        seed: Of the run.
        forget_rate: The largest of its stages, in [0, 1).
        corruption: The labels.
        split: The selection, where the method needs one.

    Raises:
        ModelError: when the networks don't fit the data or each other.
    """
    train, method = study.recipe.train, condition.method
    first, second = (study.model(seed, name) for name in ("first", "second"))
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
