"""Random small graphs of layers, pruned at random, with everything that channels can meet."""

from __future__ import annotations

import keras
import numpy as np

layers = keras.layers


def build(seed: int) -> keras.Model:
    """A graph of three to six random blocks and a head, weights random and mostly zero."""
    rng = np.random.default_rng(seed)
    x = inputs = keras.Input((7, 6, 3))
    for _ in range(int(rng.integers(3, 7))):
        x = _BLOCKS[rng.integers(len(_BLOCKS))](rng, x)
    x = [layers.Flatten(), layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D()][
        rng.integers(3)
    ](x)
    if rng.random() < 0.5:
        x = layers.Dense(int(rng.integers(2, 9)), activation="tanh")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    randomize(model, rng)
    return model


def randomize(model: keras.Model, rng: np.random.Generator) -> None:
    """Random weights and statistics; kernels lose single weights, and whole rows and columns."""
    sparsity = rng.choice([0.3, 0.7, 0.9, 0.97])
    for variable in model.weights:
        values = rng.normal(size=variable.shape)
        if variable.name.endswith("kernel"):
            values *= rng.random(values.shape) >= sparsity
            for axis in (-1, -2):
                alive = rng.random(values.shape[axis]) >= rng.choice([0.0, 0.5])
                values *= alive if axis == -1 else alive[:, None]
        elif "variance" in variable.name:
            values = np.abs(values) + 0.5
        elif variable.name in ("bias", "beta") and rng.random() < 0.3:
            values *= 0.0
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(values)


def _convolve(rng, x, units=None):
    return layers.Conv2D(
        units or int(rng.integers(2, 7)),
        int(rng.choice([1, 3])),
        padding=str(rng.choice(["same", "valid"] if min(x.shape[1:3]) > 4 else ["same"])),
        use_bias=bool(rng.random() < 0.5),
        activation=rng.choice(["relu", "sigmoid", None]),
    )(x)


def _normalized(rng, x):
    return layers.ReLU()(layers.BatchNormalization()(_convolve(rng, x)))


def _residual(rng, x):
    same = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)
    merge = [layers.Add, layers.Multiply, layers.Maximum, layers.Average][rng.integers(4)]
    return merge()([x, layers.BatchNormalization()(same(x))])


def _dense_block(rng, x):
    new = layers.Conv2D(int(rng.integers(1, 4)), 3, padding="same", activation="elu")(x)
    return layers.Concatenate()([x, new, x] if rng.random() < 0.3 else [x, new])


def _depthwise(rng, x):
    return layers.DepthwiseConv2D(
        int(rng.choice([1, 3])),
        padding="same",
        depth_multiplier=int(rng.integers(1, 3)),
        use_bias=bool(rng.random() < 0.5),
    )(x)


def _grouped(rng, x):
    if rng.random() < 0.5:
        x = layers.Conv2D(6, 3, groups=2, padding="same")(layers.Conv2D(4, 1)(x))
    return layers.Conv2D(2 * x.shape[-1], 3, groups=x.shape[-1], padding="same")(x)


def _functions(rng, x):
    return keras.ops.relu(x + layers.Conv2D(x.shape[-1], 1)(x) * 0.5) + 0.1


def _pooled(rng, x):
    if min(x.shape[1:3]) < 4:
        return layers.Dropout(0.2)(layers.PReLU()(x))
    return [layers.MaxPooling2D, layers.AveragePooling2D][rng.integers(2)](2, padding="same")(x)


def _padded(rng, x):
    return layers.LeakyReLU(0.1)(layers.ZeroPadding2D(1)(x))


def _transposed(rng, x):
    return layers.Conv2DTranspose(int(rng.integers(1, 5)), 3, padding="same")(x)


def _squeezed(rng, x):
    gate = layers.Reshape((1, 1, x.shape[-1]))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate)
    return layers.Multiply()([x, gate])


def _opaque(rng, x):
    return layers.LayerNormalization()(x)


_BLOCKS = (
    _convolve,
    _convolve,
    _normalized,
    _normalized,
    _residual,
    _residual,
    _dense_block,
    _depthwise,
    _grouped,
    _functions,
    _pooled,
    _padded,
    _transposed,
    _squeezed,
    _opaque,
)
