"""Scores of weights, as pure functions to an array: higher scores are kept.

They take the weights at the start and at the end of training. The scores that need gradients of a
batch (SNIP, GraSP, SynFlow) are in `saliency`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfticket.errors import MaskError

WeightScore = Callable[[np.ndarray, np.ndarray], np.ndarray]


def magnitude(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Score weights by |w_f|, as the lottery ticket hypothesis does.

    Source: Frankle & Carbin (2019); "large final" in Zhou et al. (2019, arXiv:1905.01067), table 1.

    Args:
        initial: w_i, any shape; not used.
        final: w_f, of the same shape.

    Example:
        >>> magnitude(np.array([1.0, 2.0]), np.array([-3.0, 2.0])).tolist()
        [3.0, 2.0]
    """
    return np.asarray(np.abs(final))


def magnitude_increase(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Score weights by |w_f| - |w_i|; arguments as for `magnitude`.

    Source: Zhou et al. (2019), table 1, "magnitude increase".

    Example:
        >>> magnitude_increase(np.array([1.0, 2.0]), np.array([-3.0, 2.0])).tolist()
        [2.0, 0.0]
    """
    return np.asarray(np.abs(final) - np.abs(initial))


def movement(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Score weights by |w_f - w_i|; arguments as for `magnitude`.

    Source: Zhou et al. (2019), table 1, "movement".

    Example:
        >>> movement(np.array([1.0, 2.0]), np.array([-3.0, 2.0])).tolist()
        [4.0, 0.0]
    """
    return np.asarray(np.abs(final - initial))


WEIGHT_SCORES: dict[str, WeightScore] = {
    "magnitude": magnitude,
    "magnitude_increase": magnitude_increase,
    "movement": movement,
}


def score_weights(
    score: WeightScore, initial: Mapping[str, np.ndarray], final: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Score the weights of each variable.

    Args:
        score: Function of the initial and the final weights of one variable.
        initial: Key to weights at the start of training.
        final: Key to weights at its end; the keys of the result.

    Raises:
        MaskError: when the score has another shape than the weights.
    """
    scores = {}
    for key, weights in final.items():
        scores[key] = np.asarray(score(initial[key], weights))
        if scores[key].shape != weights.shape:
            raise MaskError(
                "A score must have the shape of the weights it scores. Received: "
                f"{scores[key].shape} for `{key}` of shape {weights.shape}."
            )
    return scores


def random_scores(
    shapes: Mapping[str, tuple[int, ...]], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw scores uniformly from [0, 1), for the control that is pruned at random.

    Args:
        shapes: Key to shape.
        rng: Generator of the scores.
    """
    return {key: rng.random(shape) for key, shape in shapes.items()}
