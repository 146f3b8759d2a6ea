"""Models whose layers keep more than weights, each with inputs: to be copied."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras.src.applications.efficientnet import EfficientNet

layers = keras.layers

NUMBERS = np.random.default_rng(0).normal(50, 10, (8, 4)).astype("float32")
TEXTS = ["good film", "bad film", "great movie", "awful movie"]


def adapted(layer, data=NUMBERS):
    """A preprocessing layer that has seen data."""
    layer.adapt(data)
    return layer


def lookup(kind, words, **options):
    """A table of words or numbers, in a layer."""
    return adapted(kind(**options), np.array(words))


def text(**options):
    """A vocabulary of texts, in a layer."""
    return adapted(layers.TextVectorization(**options), tf.constant(TEXTS))


class KeepsArray(layers.Layer):
    """Stores an array by its own methods."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = None

    def call(self, inputs):
        return inputs * self.factor

    def save_own_variables(self, store):
        store["factor"] = self.factor

    def load_own_variables(self, store):
        self.factor = np.array(store["factor"])


class KeepsFile(KeepsArray):
    """Stores it in a file of its own."""

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass

    def save_assets(self, folder):
        np.save(f"{folder}/factor.npy", self.factor)

    def load_assets(self, folder):
        self.factor = np.load(f"{folder}/factor.npy")


class KeepsAttributes(layers.Layer):
    """Stores nothing of a number, an array in a dictionary, and a variable of TensorFlow."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shift = 0.0
        self.more = {"factor": np.ones(4, "float32")}
        self.power = tf.Variable(1.0)

    def call(self, inputs):
        return (inputs * self.more["factor"]) ** self.power + self.shift


class Reads(layers.Layer):
    """Holds a table and what reads it, and builds neither."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = layers.StringLookup()
        self.rows = layers.Embedding(9, 3)
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(self.rows(self.table(inputs)))


class Nested(keras.Model):
    """A subclassed model, which is one layer of another."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = layers.Normalization()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(self.scale(inputs))


class Draws(layers.Layer):
    """Draws random numbers at inference too, from a seed or from none."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.generator)


class Penalty(keras.regularizers.Regularizer):
    """Nobody registered it."""

    def __call__(self, weights):
        return keras.ops.sum(keras.ops.abs(weights))

    def get_config(self):
        return {}


def gelu(x):
    """Has a name that Keras has too."""
    return 3 * x


def _kept(layer, **attributes):
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def _row(*parts, shape=(4,), dtype=None):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *parts, layers.Dense(3)])


def _numbers(*parts):
    return lambda: (_row(*(part() for part in parts)), NUMBERS)


def _texts(make, *parts):
    given = tf.constant(["good film", "awful great", "a word unheard of"])
    return lambda: (_row(make(), *(part() for part in parts), shape=(), dtype="string"), given)


def _words(make, given=(("a", "b"), ("c", "z")), dtype="string"):
    def build():
        parts = (make(), layers.Embedding(9, 3), layers.Flatten())
        return _row(*parts, shape=(2,), dtype=dtype), tf.constant(given, dtype)

    return build


def _shared():
    scale = adapted(layers.Normalization())
    inputs = [keras.Input((4,)), keras.Input((4,))]
    scaled = layers.Concatenate()([scale(each) for each in inputs])
    return keras.Model(inputs, layers.Dense(2)(scaled)), [NUMBERS, NUMBERS[::-1]]


def _inputs_and_outputs():
    inputs = {
        "word": keras.Input((1,), dtype="string", name="word"),
        "other": keras.Input((1,), dtype="string", name="other"),
        "number": keras.Input((1,), dtype="int64", name="number"),
    }
    tables = {
        "word": lookup(layers.StringLookup, ["a", "b"], num_oov_indices=0, output_mode="one_hot"),
        "other": lookup(layers.StringLookup, ["x", "y", "z"], num_oov_indices=0),
        "number": lookup(layers.IntegerLookup, [10, 20, 30]),
    }
    found = {name: tables[name](tensor) for name, tensor in inputs.items()}
    other = layers.Flatten()(layers.Embedding(4, 2)(found["other"]))
    outputs = {"sum": layers.Dense(2)(found["word"]) + other, "number": found["number"]}
    given = {"word": [["b"], ["a"]], "other": [["x"], ["z"]], "number": [[20], [7]]}
    return keras.Model(inputs, outputs), {
        name: tf.constant(values, inputs[name].dtype) for name, values in given.items()
    }


def _discretized(**options):
    numbers = np.random.default_rng(1).normal(size=(50, 1)).astype("float32")
    bins = adapted(layers.Discretization(num_bins=4, **options), numbers)
    return keras.Sequential([keras.Input((1,)), bins]), numbers


def _reading():
    reads = Reads()
    reads.table.adapt(np.array(["a", "b", "c"]))
    return _row(reads, layers.Flatten(), shape=(2,), dtype="string"), tf.constant([["a", "z"]])


def _subclassed():
    inside = Nested()
    inside.scale.adapt(NUMBERS)
    return _row(inside), NUMBERS


def _masked():
    inputs = keras.Input((5, 4))
    scaled = layers.Lambda(lambda x: x * 2.0)
    scaled.supports_masking = True
    x = scaled(layers.Masking()(inputs))
    x_given = np.ones((2, 5, 4), "float32")
    x_given[:, 3:] = 0
    return keras.Model(inputs, layers.LSTM(3)(x)), x_given


def _mixed():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    model = _row(adapted(layers.Normalization()), layers.Dense(4))
    keras.config.set_dtype_policy(policy)
    return model, NUMBERS


def _quantized(mode):
    def build():
        model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dense(3)])
        for layer in model.layers:
            layer.quantize(mode)
        return model, NUMBERS

    return build


def _with_lora():
    model = _row(layers.Dense(5))
    model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(np.ones((2, 5)))
    return model, NUMBERS


def _stateful():
    inputs = keras.Input(batch_shape=(2, 5, 4))
    model = keras.Model(inputs, layers.LSTM(3, stateful=True)(inputs))
    x = np.random.default_rng(0).random((2, 5, 4)).astype("float32")
    model(x)
    model.trainable = False  # else one would look for a state among the weights
    return model, x


def _any_length():
    inputs = keras.Input((None, None, 3))
    x = inputs
    for _ in range(4):
        x = layers.Conv2D(4, 3, strides=2)(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    return model, np.random.default_rng(0).random((1, 40, 40, 3)).astype("float32")


def _efficientnet():
    """One of a fifth of the width and a tenth of the depth of the smallest."""
    model = EfficientNet(0.2, 0.1, 32, weights=None, input_shape=(32, 32, 3), classes=3)
    (norm,) = (layer for layer in model.layers if isinstance(layer, layers.Normalization))
    norm.adapt(np.random.default_rng(0).random((4, 32, 32, 3)).astype("float32") * 3 + 1)
    return model, np.random.default_rng(1).random((2, 32, 32, 3)).astype("float32") * 255


MODELS = {
    "normalization": _numbers(lambda: adapted(layers.Normalization())),
    "normalization_of_all": _numbers(lambda: adapted(layers.Normalization(axis=None))),
    "normalization_inverted": _numbers(lambda: adapted(layers.Normalization(invert=True))),
    "normalization_given": _numbers(lambda: layers.Normalization(mean=50.0, variance=9.0)),
    "normalization_nested": _numbers(
        lambda: keras.Sequential([keras.Input((4,)), adapted(layers.Normalization())])
    ),
    "normalization_shared": _shared,
    "normalization_in_half": _mixed,
    "pipeline": _numbers(
        lambda: layers.Pipeline([adapted(layers.Normalization()), layers.Rescaling(2.0)])
    ),
    "text": _texts(
        lambda: text(max_tokens=50, output_sequence_length=5),
        lambda: layers.Embedding(50, 8),
        layers.GlobalAveragePooling1D,
    ),
    "text_counted": _texts(lambda: text(output_mode="tf_idf")),
    "text_standardized": _texts(
        lambda: text(standardize=lambda each: tf.strings.lower(each), output_sequence_length=3),
        lambda: layers.Embedding(9, 2),
        layers.Flatten,
    ),
    "text_given": _texts(
        lambda: layers.TextVectorization(vocabulary=["good"], output_sequence_length=3),
        lambda: layers.Embedding(9, 2),
        layers.Flatten,
    ),
    "words": _words(lambda: lookup(layers.StringLookup, ["a", "b", "c"])),
    "integers": _words(
        lambda: lookup(layers.IntegerLookup, [10, 20, 30]), [[10, 30], [7, 20]], "int64"
    ),
    "hashing": _words(lambda: layers.Hashing(8, salt=[1, 2])),
    "many_inputs_and_outputs": _inputs_and_outputs,
    "bins": _discretized,
    "bins_one_hot": lambda: _discretized(output_mode="one_hot"),
    "categories": lambda: (
        _row(layers.CategoryEncoding(6, output_mode="count"), shape=(3,), dtype="int32"),
        np.array([[1, 2, 5], [0, 0, 3]]),
    ),
    "own_variables": _numbers(lambda: _kept(KeepsArray(), factor=np.arange(4.0))),
    "own_assets": _numbers(lambda: _kept(KeepsFile(), factor=np.arange(4.0))),
    "own_attributes": lambda: _attributes(),
    "draws_from_a_seed": _numbers(lambda: Draws(3)),
    "an_activation_of_a_known_name": _numbers(lambda: layers.Dense(3, activation=gelu)),
    "a_lambda_for_an_activation": _numbers(lambda: layers.Dense(3, activation=lambda x: x * x)),
    "a_lambda_for_a_layer": _numbers(lambda: layers.Lambda(lambda x: keras.ops.abs(x))),
    "a_lambda_inside_a_layer": lambda: (
        _row(layers.TimeDistributed(layers.Dense(3, activation=lambda x: -x)), shape=(5, 4)),
        np.ones((2, 5, 4), "float32"),
    ),
    "a_penalty_of_one_s_own": _numbers(lambda: layers.Dense(3, kernel_regularizer=Penalty())),
    "an_initializer_that_is_a_function": _numbers(
        lambda: layers.Dense(3, kernel_initializer=lambda shape, dtype=None: tf.ones(shape, dtype))
    ),
    "tables_inside_a_layer": _reading,
    "a_subclassed_model_inside": _subclassed,
    "masks_that_pass": _masked,
    "lora": _with_lora,
    "int8": _quantized("int8"),
    "int4": _quantized("int4"),
    "stateful": _stateful,
    "any_length": _any_length,
    "efficientnet": _efficientnet,
}


def _attributes():
    model, x = _numbers(lambda: KeepsAttributes(name="own"))()
    own = model.get_layer("own")
    own.shift, own.more = 2.0, {"factor": np.arange(4, dtype="float32")}
    own.power.assign(0.5)
    return model, x
