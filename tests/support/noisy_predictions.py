"""Predictions of an imagined network: where it is unsure it errs, and it may have memorized."""

from __future__ import annotations

import numpy as np

from tfticket.noise.labels.corruption import corrupt


def predictions(transition, *, count=12_000, mistakes=0.1, memorized=0.0, seconds=True, seed=0):
    """True labels, given labels and held-out probabilities of a network of one hidden difficulty.

    Args:
        transition: The noise of the labels.
        count: Examples.
        mistakes: Share of examples whose class the network takes for another one.
        memorized: Share of examples whose prediction is drawn as their label was.
        seconds: Whether the right class is the second guess where the network is mistaken.
        seed: Seed of everything.
    """
    rng = np.random.default_rng(seed)
    k = len(np.asarray(transition))
    true = rng.integers(0, k, count)
    given = corrupt(true, transition, seed=seed).given
    predicted = np.where(rng.random(count) < mistakes, rng.integers(0, k, count), true)
    in_distribution = corrupt(true, transition, seed=seed + 1000).given
    predicted = np.where(rng.random(count) < memorized, in_distribution, predicted)
    # Right predictions are more confident on the whole, and memorized ones no less than others.
    sure = np.clip(rng.normal(np.where(predicted == true, 4.0, 1.0), 1.0), 0.6, None)
    logits = rng.normal(0, 0.1, (count, k))
    logits[np.arange(count), predicted] += sure
    if seconds:
        mistaken = np.flatnonzero(predicted != true)
        logits[mistaken, true[mistaken]] = logits[mistaken, predicted[mistaken]] - 0.05
    powers = np.exp(logits)
    return true, given, powers / powers.sum(axis=1, keepdims=True)
