"""Networks of the zoo in tf_keras, the Keras that TensorFlow had until version 2.15."""

from __future__ import annotations

from typing import Any

import tf_keras

from tfticket.bench.workloads import CLASSES, Workload

layers = tf_keras.layers


def lenet(input_shape: tuple[int, ...]) -> Any:
    """LeNet-300-100."""
    return tf_keras.Sequential(
        [
            layers.Flatten(input_shape=input_shape),
            layers.Dense(300, "relu"),
            layers.Dense(100, "relu"),
            layers.Dense(CLASSES),
        ]
    )


def conv2(input_shape: tuple[int, ...]) -> Any:
    """Conv-2."""
    return tf_keras.Sequential(
        [
            layers.Conv2D(64, 3, padding="same", activation="relu", input_shape=input_shape),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(256, "relu"),
            layers.Dense(256, "relu"),
            layers.Dense(CLASSES),
        ]
    )


def resnet20(input_shape: tuple[int, ...]) -> Any:
    """ResNet-20 for CIFAR."""
    inputs = layers.Input(input_shape)
    x = layers.ReLU()(_normalized(inputs, 16, 3, 1))
    for channels in (16, 32, 64):
        for block in range(3):
            strides = 2 if block == 0 and channels > 16 else 1
            y = layers.ReLU()(_normalized(x, channels, 3, strides))
            y = _normalized(y, channels, 3, 1)
            shortcut = _normalized(x, channels, 1, strides) if strides > 1 else x
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(inputs, layers.Dense(CLASSES)(x))


def compiled(model: Any, workload: Workload) -> Any:
    """The model, compiled with Adam and accuracy; all else is by default."""
    model.compile(
        tf_keras.optimizers.Adam(workload.learning_rate),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _normalized(x: Any, channels: int, size: int, strides: int) -> Any:
    x = layers.Conv2D(channels, size, strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)
