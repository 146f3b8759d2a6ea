"""Kinds of Keras' layers with kernels, by the layout of the kernel."""

from __future__ import annotations

import keras

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
"""Kernels of shape (*taps, inputs, outputs)."""

TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
"""Kernels of shape (*taps, outputs, inputs)."""

DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
"""Kernels of shape (*taps, inputs, multiplier)."""

SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
"""A depthwise and a pointwise kernel."""

CONVOLUTIONAL = (*CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE, *SEPARABLE)
"""Layers that move a kernel over their input."""

LINEAR = (keras.layers.Dense, *CONVOLUTIONAL)
"""Layers of a kernel, and a bias by channel."""

WITH_ACTIVATION = (
    keras.layers.Activation,
    keras.layers.Dense,
    keras.layers.EinsumDense,
    *CONVOLUTIONS,
)
"""Layers that models end in and whose `activation` makes logits or probabilities."""
