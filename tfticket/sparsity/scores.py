"""How much a weight matters: pure functions to an array, higher = keep.

The scores of weights take the weights at the start and at the end of training. The scores of
gradients (SNIP, GraSP, SynFlow) look at one batch, and are in `saliency`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfticket.errors import MaskError

WeightScore = Callable[[np.ndarray, np.ndarray], np.ndarray]


def magnitude(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """|w_f|, the score of the lottery ticket hypothesis.

    Source: Frankle & Carbin (2019); "large final" in Zhou et al. (2019, arXiv:1905.01067), table 1.

    Args:
        initial: w_i, any shape; not used.
        final: w_f, of the same shape.
    """
    return np.abs(final)


def magnitude_increase(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """|w_f| - |w_i|. Source: Zhou et al. (2019), table 1, "magnitude increase"."""
    return np.abs(final) - np.abs(initial)


def movement(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """|w_f - w_i|. Source: Zhou et al. (2019), table 1, "movement"."""
    return np.abs(final - initial)


WEIGHT_SCORES: dict[str, WeightScore] = {
    "magnitude": magnitude,
    "magnitude_increase": magnitude_increase,
    "movement": movement,
}


def score_weights(
    score: WeightScore, initial: Mapping[str, np.ndarray], final: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Scores each variable.

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
    """Uniform in [0, 1): the control that knows nothing.

    Args:
        shapes: Key to shape.
        rng: Where the numbers come from.
    """
    return {key: rng.random(shape) for key, shape in shapes.items()}
