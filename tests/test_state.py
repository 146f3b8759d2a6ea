import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.errors import ModelError, TicketError
from tfticket.files import write_arrays
from tfticket.sparsity.convert import sparsify
from tfticket.state import (
    Snapshot,
    innermost_optimizer,
    kernels_of,
    named_variables,
    optimizer_variables,
    other_variables,
    prunable_variables,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers


class Block(layers.Layer):
    """Holds layers in a list and a dict, and a weight without a name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.branches = [layers.Dense(4), layers.Dense(4)]
        self.more = {"norm": layers.LayerNormalization(), "drop": layers.Dropout(0.1)}
        self.scale = self.add_weight(shape=(4,), initializer="ones")
        self.shift = self.add_weight(shape=(4,))

    def call(self, x):
        x = sum(branch(x) for branch in self.branches)
        return self.more["drop"](self.more["norm"](x)) * self.scale + self.shift


def everything():
    """A functional model with automatic names, nesting, sharing and a layer of the user's own."""
    inputs = keras.Input((4,))
    shared = layers.Dense(4)
    x = shared(shared(inputs))
    x = keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dense(4)])(x)
    x = Block()(layers.GaussianNoise(0.1)(x))
    return keras.Model(inputs, layers.Dense(3, name="output")(x))


KEYS = [
    "dense/kernel",
    "dense/bias",
    "sequential/dense/kernel",
    "sequential/dense/bias",
    "sequential/batch_normalization/gamma",
    "sequential/batch_normalization/beta",
    "sequential/batch_normalization/moving_mean",
    "sequential/batch_normalization/moving_variance",
    "sequential/dense_1/kernel",
    "sequential/dense_1/bias",
    "gaussian_noise/seed_generator_state",
    "block/variable",
    "block/variable_1",
    "block/dense/kernel",
    "block/dense/bias",
    "block/dense_1/kernel",
    "block/dense_1/bias",
    "block/layer_normalization/gamma",
    "block/layer_normalization/beta",
    "block/dropout/seed_generator_state",
    "output/kernel",
    "output/bias",
]


def test_keys_of_everything_in_the_order_of_the_layers():
    assert list(named_variables(everything())) == KEYS


def test_keys_are_the_same_for_a_rebuilt_sparse_or_loaded_model(tmp_path):
    helpers.mlp()
    everything()  # names and numbers of the process go on counting
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.Conv2D(3, 3), layers.Flatten()]
    )
    model.add(keras.Sequential([layers.Dense(4), layers.Dropout(0.1)]))
    model(np.ones((1, 6, 6, 2)))
    keys = list(named_variables(model))
    assert keys[0] == "conv2d/kernel"
    assert keys[2] == "conv2d_1/kernel"
    assert keys[4] == "sequential/dense/kernel"
    sparse = helpers.compiled(sparsify(model))
    sparse.fit(*helpers.batch((6, 6, 2)), verbose=0)
    sparse.save(tmp_path / "model.keras")
    for other in (
        sparse,
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
    ):
        assert list(named_variables(other)) == keys
    again = everything()
    assert list(named_variables(again)) == KEYS


def test_masks_metrics_and_optimizers_have_no_keys():
    model = helpers.compiled(sparsify(helpers.mlp()), "adam", metrics=["accuracy"])
    model.fit(*helpers.batch(), verbose=0)
    assert list(named_variables(model)) == [
        f"{layer}/{name}"
        for layer in ("hidden_0", "hidden_1", "output")
        for name in ("kernel", "bias")
    ]


def test_kernels_and_nothing_else_can_be_pruned():
    assert list(prunable_variables(everything())) == [key for key in KEYS if "kernel" in key]
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 4)(inputs)
    x = layers.GRU(3, return_sequences=True)(x)
    x = layers.GroupNormalization(1)(layers.PReLU()(x))
    model = keras.Model(inputs, layers.SeparableConv1D(2, 3, name="sep")(x))
    assert list(prunable_variables(model)) == [
        "gru/gru_cell/kernel",
        "gru/gru_cell/recurrent_kernel",
        "sep/depthwise_kernel",
        "sep/pointwise_kernel",
    ]
    assert kernels_of(model.layers[1]) == {}


def test_skipping():
    model = helpers.mlp()
    assert list(prunable_variables(model, ["output/*"])) == ["hidden_0/kernel", "hidden_1/kernel"]
    assert list(prunable_variables(model, ["hidden_*"])) == ["output/kernel"]
    with pytest.raises(ModelError, match=r"'conv/\*', which fits none that is left of \['hidden_0"):
        prunable_variables(model, ["conv/*"])
    with pytest.raises(ModelError, match="where none is left"):
        prunable_variables(model, ["*"])


def test_a_model_without_variables():
    model = keras.Sequential([layers.Dense(3)])
    with pytest.raises(ModelError, match="call it on data or `build` it first"):
        named_variables(model)


def train(model, epochs=1):
    x, y = helpers.batch((6, 6, 2), examples=24)
    model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return Snapshot.capture(model, step=int(model.optimizer.iterations))


def assert_same(one, other):
    assert one.step == other.step
    assert one.variables.keys() == other.variables.keys()
    for key, array in one.variables.items():
        np.testing.assert_array_equal(array, other.variables[key], err_msg=key)
    for a, b in zip(one.optimizer or [], other.optimizer or [], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), use_ema=True
        ),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
        lambda: keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.01), dynamic_growth_steps=2
        ),
    ],
    ids=["adam", "sgd", "loss_scale"],
)
def test_training_goes_on_from_a_snapshot_bit_for_bit(optimizer, tmp_path):
    # Dropout, moving statistics, moments, the schedule and the loss scale all have to come back.
    model = helpers.compiled(helpers.noisy_convnet(), optimizer())
    train(model)
    at_one = Snapshot.load(
        Snapshot.capture(model, step=int(model.optimizer.iterations)).save(tmp_path / "s.npz")
    )
    first = train(model, epochs=2)
    at_one.restore(model)
    assert_same(Snapshot.capture(model, step=at_one.step), at_one)
    assert_same(train(model, epochs=2), first)

    rebuilt = helpers.compiled(helpers.noisy_convnet(), optimizer())
    at_one.restore(rebuilt)
    assert_same(train(rebuilt, epochs=2), first)
    assert not np.array_equal(
        at_one.variables["drop/seed_generator_state"], first.variables["drop/seed_generator_state"]
    )


def test_a_snapshot_is_a_copy():
    model = helpers.mlp()
    snapshot = Snapshot.capture(model, step=0)
    before = helpers.values(model)["output/kernel"]
    model.get_layer("output").kernel.assign(np.zeros((4, 3)))
    np.testing.assert_array_equal(snapshot.variables["output/kernel"], before)


def test_snapshots_without_an_optimizer(tmp_path):
    model = helpers.mlp()
    assert Snapshot.capture(model, step=0).optimizer is None
    helpers.compiled(model, "adam")
    assert Snapshot.capture(model, step=0, optimizer=False).optimizer is None
    whole = Snapshot.capture(model, step=7)
    assert len(whole.optimizer) == len(model.optimizer.variables)
    bare = Snapshot(whole.variables, None, 7)
    assert_same(Snapshot.load(bare.save(tmp_path / "s.npz")), bare)
    bare.restore(helpers.mlp())


def test_an_optimizer_with_more_than_ten_variables_keeps_their_order(tmp_path):
    model = helpers.compiled(helpers.mlp((6, 5, 5, 5, 5, 5, 3)), "adam")
    model.fit(*helpers.batch(), verbose=0)
    snapshot = Snapshot.capture(model, step=1)
    assert len(snapshot.optimizer) > 20
    assert_same(Snapshot.load(snapshot.save(tmp_path / "s.npz")), snapshot)


def test_what_does_not_fit_changes_nothing():
    model = helpers.compiled(helpers.mlp(), keras.optimizers.SGD(0.1, momentum=0.9))
    model.fit(*helpers.batch(), verbose=0)
    before = Snapshot.capture(model, step=1)
    variables = before.variables
    renamed = {key.replace("output", "head"): array for key, array in variables.items()}
    for wrong, problem in [
        (Snapshot(renamed, None, 0), "`head/kernel` is missing in the model.*`output/kernel` is"),
        (
            Snapshot({**variables, "output/bias": np.zeros(4)}, None, 0),
            r"`output/bias` has the shape \(4,\), in the model \(3,\)",
        ),
        (Snapshot(variables, before.optimizer[:-1], 0), "the same kind of optimizer"),
        (Snapshot(variables, before.optimizer[::-1], 0), "or other shapes"),
    ]:
        with pytest.raises(TicketError, match=problem):
            wrong.restore(model)
        assert_same(Snapshot.capture(model, step=1), before)
    with pytest.raises(ModelError, match="must be compiled"):
        before.restore(helpers.mlp())


def test_files_that_are_no_snapshots(tmp_path):
    path = Snapshot.capture(helpers.mlp(), step=0).save(tmp_path / "s.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TicketError, match="Copy it again"):
        Snapshot.load(path)


@pytest.mark.parametrize(
    ("header", "arrays"),
    [
        ({}, {}),
        ({"step": "text"}, {}),
        ({"step": -1, "has_optimizer": False}, {}),
        ({"step": None, "has_optimizer": False}, {}),
        ({"step": 1, "has_optimizer": False}, {"variable:a": np.array(["x"])}),
        ({"step": 1, "has_optimizer": True}, {"optimizer:0000": np.zeros(2, "V3")}),
        ({"step": 1, "has_optimizer": True}, {"optimizer:0000": np.zeros(2, [("a", "f4")])}),
    ],
)
def test_snapshots_of_wrong_types_with_a_right_hash(tmp_path, header, arrays):
    path = write_arrays(tmp_path / "s.npz", kind="snapshot", header=header, arrays=arrays)
    with pytest.raises(TicketError, match=r"must hold the state of a model|not a snapshot"):
        Snapshot.load(path)


def test_the_optimizer_inside_loss_scaling():
    keras.config.set_dtype_policy("mixed_float16")
    model = helpers.compiled(helpers.mlp(), keras.optimizers.Adam(0.01))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(innermost_optimizer(model), keras.optimizers.Adam)
    keras.config.set_dtype_policy("float32")
    plain = helpers.compiled(helpers.mlp())
    assert innermost_optimizer(plain) is plain.optimizer
    assert [v.name for v in optimizer_variables(plain)] == ["iteration", "learning_rate"]
    with pytest.raises(ModelError, match="must be compiled with an optimizer"):
        optimizer_variables(helpers.mlp())


@pytest.mark.parametrize("policy", ["bfloat16", "float64"])
def test_snapshots_of_other_types(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = helpers.mlp()
    snapshot = Snapshot.load(Snapshot.capture(model, step=0).save(tmp_path / "s.npz"))
    other = helpers.mlp()
    snapshot.restore(other)
    for key, array in helpers.values(model).items():
        np.testing.assert_array_equal(helpers.values(other)[key], array)
        assert array.dtype.name == policy


class OwnStep(keras.Model):
    """Holds what a training step of its own needs, in many places."""

    def __init__(self):
        super().__init__(name="own_step")
        self.body = keras.layers.Dense(3, name="body")
        self.second = keras.optimizers.Adam()
        self.counters = {"seen": tf.Variable(0)}
        self.running = keras.metrics.Mean(name="running")

    def call(self, x):
        return self.body(x)


def own_step():
    model = OwnStep()
    model(np.zeros((1, 2), "float32"))
    model.compile("sgd", "mse", metrics=["mae"])
    model.second.build(model.trainable_variables)
    return model


def test_what_a_model_holds_beside_weights_and_optimizer_is_state_too(tmp_path):
    model = own_step()
    paths = set(other_variables(model))
    assert {"counters/seen", "running/total", "second/_iterations"} <= paths
    assert not any("mae" in path or path.startswith(("_", "optimizer/")) for path in paths)
    before = Snapshot.capture(model, step=0)
    model.counters["seen"].assign(5)
    model.running.update_state(3.0)
    model.second.apply([np.ones((2, 3)), np.ones(3)], model.trainable_variables)
    Snapshot.load(before.save(tmp_path / "before.npz")).restore(model)
    assert int(model.counters["seen"]) == int(model.second.iterations) == 0
    assert float(model.running.total) == 0.0
    for path, variable in other_variables(model).items():
        np.testing.assert_array_equal(variable.numpy(), before.others[path])


def test_variables_that_training_makes_are_told():
    model = own_step()
    before = Snapshot.capture(model, step=0)
    model.later = tf.Variable(1.0)
    with pytest.raises(ModelError, match=r"added or removed variables .*`later`.*before training"):
        before.restore(model)
    Snapshot(before.variables, None, 0).restore(model)  # weights alone are another thing


def test_masks_of_a_sparse_model_are_no_other_variables():
    model = sparsify(helpers.mlp())
    model.compile("adam", "mse")
    assert other_variables(model) == {}
