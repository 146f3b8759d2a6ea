"""Makes legacy model files. Only ever run as a child: `python legacy_models.py FOLDER`.

tensorflow-model-optimization changes TensorFlow for the whole process.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from legacy_files import SPARSITIES

from tfticket.interop import _legacy

layers = keras.layers
READ = ("wrapped.h5", "stripped.h5", "sequence.keras", "each_layer.keras")


def pruned(layer):
    """A layer in its wrapper, pruned at each step."""
    sparsity = SPARSITIES.get(layer.name.replace("/", "_"), 0.5)
    schedule = tfmot.sparsity.keras.ConstantSparsity(sparsity, 0, frequency=1)
    return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)


def train(model, x, optimizer):
    """Three steps, each of which prunes."""
    # Traced functions would take longer to make than to run.
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
    y = np.zeros((len(x), *model.output_shape[1:]))
    update = tfmot.sparsity.keras.UpdatePruningStep()
    model.fit(x, y, batch_size=len(x), epochs=3, verbose=0, callbacks=[update])


def image_network():
    """Wrapped, shared and nested layers; a slash in a name; awkward counts and ties."""
    image = keras.Input((8, 8, 3), name="image")
    conv = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2", name="block/conv")
    x = pruned(conv)(image)
    x = layers.BatchNormalization(name="block/norm")(x)
    shared = pruned(layers.Conv2D(4, 3, padding="same", name="shared"))
    x = layers.Add(name="add")([shared(x), shared(shared(x))])
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.LeakyReLU(0.2, name="leaky"),
        ],
        name="inner",
    )
    x = pruned(layers.SeparableConv2D(5, 2, name="separable"))(inner(x))
    head = keras.Input((3, 3, 5), name="head_input")
    hidden = pruned(layers.Dense(11, activation="tanh", name="hidden"))
    x = keras.Model(head, hidden(layers.Flatten(name="flatten")(head)), name="head")(x)
    x = pruned(layers.Dense(3, name="half"))(x)
    x = pruned(layers.Dense(4, name="ties"))(x)
    return keras.Model(image, pruned(layers.Dense(3, name="output"))(x), name="images")


def save_images(folder):
    """`wrapped.h5` with weights that leak under its masks, `stripped.h5`, and what was before."""
    model = image_network()
    wrapped = [layer.layer for layer in model._flatten_layers() if hasattr(layer, "pruning_vars")]
    kernels = {layer.name.replace("/", "_"): layer.get_prunable_weights()[0] for layer in wrapped}
    kernels["ties"].assign(np.full(kernels["ties"].shape, 0.25) * np.float32([1, -1, 1, 2]))
    np.savez(folder / "before.npz", **{name: kernel.numpy() for name, kernel in kernels.items()})
    # At a learning rate of 0 each step prunes the same weights.
    train(model, np.random.default_rng(0).normal(size=(8, 8, 8, 3)), keras.optimizers.SGD(0.0))
    tfmot.sparsity.keras.strip_pruning(model).save(folder / "stripped.h5")
    for kernel in kernels.values():
        kernel.assign_add(np.full(kernel.shape, 0.01))
    model.save(folder / "wrapped.h5")


def save_sequence(folder):
    """`sequence.keras`: wrappers in tf_keras' own format, with an embedding among the pruned."""
    model = keras.Sequential(
        [
            pruned(layers.Embedding(20, 6, input_length=7, name="embedding")),
            pruned(layers.LSTM(5, return_sequences=True, name="lstm")),
            layers.Bidirectional(layers.GRU(3), name="both"),
            pruned(layers.Dense(2, name="output")),
        ],
        name="sequences",
    )
    train(model, np.random.default_rng(0).integers(20, size=(8, 7)), "adam")
    model.save(folder / "sequence.keras")


def each_layer():
    """One network with every layer that can be brought, but for those of the other networks."""
    image = keras.Input((8, 8, 4), name="image")
    sequence = keras.Input((8, 4), name="sequence")
    volume = keras.Input((6, 6, 6, 2), name="volume")
    numbers = keras.Input((6,), name="numbers")
    indices = keras.Input((5,), dtype="int32", name="indices")
    of = {"1D": sequence, "2D": image, "3D": volume}
    found = {}
    for sides, given in of.items():
        found |= {
            f"Conv{sides}": getattr(layers, f"Conv{sides}")(3, 2, activation="gelu")(given),
            f"Conv{sides}Transpose": getattr(layers, f"Conv{sides}Transpose")(3, 2, 2)(given),
            f"SpatialDropout{sides}": getattr(layers, f"SpatialDropout{sides}")(0.3)(given),
            f"ZeroPadding{sides}": getattr(layers, f"ZeroPadding{sides}")(1)(given),
            f"Cropping{sides}": getattr(layers, f"Cropping{sides}")(1)(given),
            f"UpSampling{sides}": getattr(layers, f"UpSampling{sides}")(2)(given),
        }
        for kind in ("MaxPooling", "AveragePooling"):
            found[kind + sides] = getattr(layers, kind + sides)(3, 2, padding="same")(given)
            name = f"Global{kind}{sides}"
            found[name] = getattr(layers, name)(keepdims=sides == "2D")(given)
    for sides in ("1D", "2D"):
        for kind in ("DepthwiseConv", "SeparableConv"):
            arguments = (2,) if kind == "DepthwiseConv" else (3, 2)
            made = getattr(layers, kind + sides)(*arguments, depth_multiplier=2)
            found[kind + sides] = made(of[sides])
    for name, arguments in {
        "Activation": ("swish",),
        "ActivityRegularization": (0.1,),
        "AlphaDropout": (0.2,),
        "Dropout": (0.2,),
        "ELU": (0.7,),
        "Flatten": (),
        "GaussianDropout": (0.2,),
        "GaussianNoise": (0.2,),
        "GroupNormalization": (2,),
        "Identity": (),
        "LayerNormalization": (),
        "LeakyReLU": (0.3,),
        "PReLU": (),
        "Permute": ((3, 1, 2),),
        "ReLU": (0.9, 0.1, 0.2),
        "Rescaling": (0.5, 0.1),
        "Reshape": ((16, 16),),
        "Softmax": (),
        "UnitNormalization": (),
    }.items():
        found[name] = getattr(layers, name)(*arguments)(image)
    found["BatchNormalization"] = layers.BatchNormalization(axis=1)(image)
    for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate"):
        found[name] = getattr(layers, name)()([found["Identity"], found["Softmax"]])
    found["Dot"] = layers.Dot(2, normalize=True)([sequence, found["UpSampling1D"]])
    found["EinsumDense"] = layers.EinsumDense("abc,cd->abd", (8, 3), bias_axes="d")(sequence)
    found["Embedding"] = layers.Embedding(9, 4, mask_zero=True)(indices)
    found["GRU"] = layers.GRU(3)(found["Embedding"])
    found["GRU of Keras 1"] = layers.GRU(3, reset_after=False, go_backwards=True)(sequence)
    found["LSTM"] = layers.LSTM(3, return_state=True, dropout=0.1)(sequence)[2]
    found["SimpleRNN"] = layers.SimpleRNN(3)(layers.Masking()(sequence))
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="sum")
    found["Bidirectional"] = both(sequence)
    found["TimeDistributed"] = layers.TimeDistributed(layers.Dense(2, trainable=False))(sequence)
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    found["MultiHeadAttention"] = attention(sequence, value=found["UpSampling1D"])
    found["RepeatVector"] = layers.RepeatVector(2)(numbers)
    found["Dense"] = layers.Dense(4, kernel_constraint="max_norm", name="dense")(numbers)
    found["twice_0"], found["twice_1"] = called_twice(numbers)
    given = [image, sequence, volume, numbers, indices]
    names = ["picture", "series", "volume", "numbers", "indices"]
    return keras.Model(dict(zip(names, given, strict=True)), found, name="each_layer")


def called_twice(numbers):
    """A network inside, with two inputs and outputs, that reads what it gave before, crossed."""
    left, right = keras.Input((6,)), keras.Input((6,))
    difference = layers.Subtract(name="subtract_1")([left, right])
    outputs = [difference, layers.Dense(6, name="crossed")(right)]
    twice = keras.Model([left, right], outputs, name="twice")
    first, second = twice([numbers, layers.Dense(6, name="other")(numbers)])
    return twice([second, first])


def save_each_layer(folder):
    """`each_layer.keras`, with random weights everywhere and zeros in one kernel."""
    model = each_layer()
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
    kernel = model.get_layer("dense").kernel
    kernel.assign(np.where(kernel.numpy() < 0.5, 0.0, kernel.numpy()))
    model.save(folder / "each_layer.keras")


class Mine(layers.Layer):
    """A layer of one's own."""

    def call(self, inputs):
        return inputs


@keras.saving.register_keras_serializable("mine")
class Registered(Mine):
    """Another, registered."""


@keras.saving.register_keras_serializable("mine")
def activation(x):
    """An activation of one's own."""
    return x


@keras.saving.register_keras_serializable("mine")
class Initializer(keras.initializers.Initializer):
    """An initializer of one's own."""

    def __call__(self, shape, dtype=None, **kwargs):
        return keras.backend.zeros(shape, dtype)


class Subclassed(keras.Model):
    """A model that is code."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def save_refused(folder):
    """What can't be brought, in both formats."""
    x = given = keras.Input((4, 4), name="given")
    for layer in (
        layers.Lambda(lambda t: t, name="code"),
        Mine(name="own"),
        Registered(name="registered"),
        layers.ThresholdedReLU(0.5, name="threshold"),
        layers.LocallyConnected1D(4, 1, name="local"),
        layers.Dense(4, activation="hard_sigmoid", name="hard"),
        layers.Dense(4, activation=activation, name="activated"),
        layers.Dense(4, kernel_initializer=Initializer(), name="initialized"),
        layers.Dense(4, dtype="mixed_float16", name="half"),
        layers.LSTM(4, time_major=True, return_sequences=True, name="major"),
    ):
        x = layer(x)
    model = keras.Model(given, x + 1, name="refused")
    model.save(folder / "refused.h5")
    model.save(folder / "refused.keras")
    model.save_weights(folder / "weights.h5")
    subclassed = Subclassed()
    subclassed(np.zeros((1, 3)))
    subclassed.save(folder / "subclassed.keras")
    keras.Sequential([layers.Dense(3)], name="never").save(folder / "never_built.keras")
    dense = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    tfmot.quantization.keras.quantize_model(dense).save(folder / "quantized.h5")
    dense.save(folder / "dense.h5")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
    warnings.filterwarnings("ignore", message="You are saving a model that has not yet been built")
    for save in (save_images, save_sequence, save_each_layer, save_refused):
        save(Path(sys.argv[1]))
    for name in READ:
        path = str(Path(sys.argv[1], name))
        _legacy._main(path, f"{path}.npz")
