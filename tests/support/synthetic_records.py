"""Records of probes whose numbers follow formulas that resemble the paper's figures, untrained."""

import numpy as np

from tfticket.norms.landscape import ShiftRecord, SmoothnessRecord

LINEAR = np.linspace(0.5, 4.0, 8)
ROUGHNESS = {"none": 5.5, "batch": 1.0, "group": 1.6, "layer": 2.1, "noisy_batch": 1.3,
             "l1_batch": 1.1, "linf_batch": 1.2}  # fmt: skip


def smoothness(found, seed, steps, multipliers=LINEAR):
    """A record whose gradient turns sooner, the rougher the norm is."""
    rng = np.random.default_rng([seed, *found["branch"].encode()])
    moments, k = len(steps), np.asarray(multipliers, float)
    share = steps / found["steps"]
    rough = ROUGHNESS.get(found["norm"], 1.8)
    rough *= {"ticket": 0.7, "random": 1.2}.get(found["subnetwork"], 1.0)
    rough = rough * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.5, moments))
    norm = (6 + 30 * share) * np.exp(rng.normal(0, 0.3, moments)) / 8
    rate = np.full(moments, found["learning_rate"])
    distance = (rate * norm)[:, None] * k
    turned = 1 - np.exp(-rough[:, None] * distance / 0.4)
    change = norm[:, None] * (1.05 * turned + 0.02 * rng.random((moments, len(k))))
    base = 0.7 + 3.2 * np.exp(-4 * share) * (0.75 if found["norm"] != "none" else 1.0)
    losses = base[:, None] * (1 + 0.35 * rough[:, None] * (distance - 0.12))
    losses = np.maximum(losses, 0.8 * base[:, None])
    return SmoothnessRecord(
        step=steps.astype(np.int64),
        learning_rate=rate,
        multipliers=k,
        loss=base,
        losses=losses,
        weight_norm=40 + 20 * share,
        gradient_norm=norm,
        direction_norm=rate * norm,
        slope=-rate * norm**2,
        gradient_norms=norm[:, None] * (1 - 0.4 * turned),
        gradient_change=change,
        curvature=change / distance * 0.9,
    )


def layer_shift(found, seed, steps, layers=("conv2", "conv5", "conv8", "dense1")):
    """A record in which later layers shift more, with batch norm most of all."""
    rng = np.random.default_rng([seed, 1, *found["branch"].encode()])
    depth = np.arange(1, len(layers) + 1) / len(layers)
    pull = 0.55 if found["norm"] == "none" else 0.9
    noise = rng.normal(0, 0.06, (len(steps), len(layers)))
    cosine = np.clip(1 - pull * depth + noise, -1, 1)
    size = np.exp(rng.normal(0, 0.3, cosine.shape)) * (2 - depth)
    return ShiftRecord(
        step=steps.astype(np.int64),
        layers=np.array(layers),
        l2=size * np.sqrt(np.maximum(2 - 2 * cosine, 0)),
        cosine=cosine,
        gradient_norm=size,
    )


def hand_made(losses=((1, 10), (2, 200)), change=((1, 3), (2, 10))):
    """Two moments and the multipliers 1/2 and 2, in numbers that one can reckon with."""
    return SmoothnessRecord(
        step=np.array([0, 100]),
        learning_rate=np.array([0.2, 0.2]),
        multipliers=np.array([0.5, 2.0]),
        loss=np.array([2.0, 1.0]),
        losses=np.array(losses, float),
        weight_norm=np.array([10.0, 10.0]),
        gradient_norm=np.array([5.0, 5.0]),
        direction_norm=np.array([1.0, 1.0]),
        slope=np.array([-5.0, -5.0]),
        gradient_norms=np.array([[4.0, 3.0], [4.0, 3.0]]),
        gradient_change=np.array(change, float),
        curvature=np.array([[0.4, 1.0], [20.0, 1.0]]),
    )
