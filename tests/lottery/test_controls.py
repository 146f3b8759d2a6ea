import itertools

import keras
import numpy as np
import pytest
from helpers import mlp, random_mask

from tfticket.errors import MaskError, ModelError
from tfticket.lottery.controls import (
    AlignedReinit,
    ControlContext,
    OneShotPruning,
    RandomMask,
    RandomReinit,
    ShuffledMask,
    SignedReinit,
    Start,
    draw_initial_weights,
)
from tfticket.sparsity import Blocks, Channels, LayerwisePruner, NOfM, sparsify
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.sparsity.mask import Mask
from tfticket.state import Snapshot, prunable_variables

pytestmark = pytest.mark.slow

layers = keras.layers


def context_of(model, mask, *, step=0, seed=0, level=1, **options):
    """What a control of a ticket with that mask sees."""
    initial = Snapshot.capture(model, step=0)
    late = {key: array + step for key, array in initial.variables.items()}
    ticket = Start(mask, Snapshot(late, None, step))
    ends = options.pop("ends", {})  # branch and level to the state of a finished network
    return ControlContext(
        model,
        initial,
        ticket,
        lambda like: Start(like, initial),
        seed,
        level,
        lambda branch, level: ends[branch, level],
        **options,
    )


def nested(inner=layers.Dense):
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.SeparableConv2D(5, 3, name="separable")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Reshape((16, 5))(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.Bidirectional(layers.LSTM(4), name="recurrent")(x)
    x = keras.Sequential([layers.Dense(6, name="inner")], name="block")(x)
    return keras.Model(inputs, inner(3, name="output")(x))


class OwnKernel(layers.Layer):
    """Its kernel has a name of its own."""

    def __init__(self, units, keep_initializer=True, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.keep_initializer = keep_initializer

    def build(self, shape):
        initializer = keras.initializers.HeNormal()
        if self.keep_initializer:
            self.mixing_kernel_initializer = initializer
        self.mixing_kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer=initializer, name="mixing_kernel"
        )

    def call(self, x):
        return x @ self.mixing_kernel


def differing(one, other):
    return {key for key in one if not np.array_equal(one[key], other[key])}


@pytest.mark.parametrize(
    "make", [lambda: nested(inner=OwnKernel), lambda: sparsify(nested())], ids=["plain", "sparse"]
)
def test_every_kernel_is_drawn_anew(make):
    # The obvious way, calling the layer's initializer again, gives the same weights back.
    model = make()
    old = {key: variable.numpy() for key, variable in prunable_variables(model).items()}
    new = draw_initial_weights(model, seed=1)
    assert set(new) == set(old)
    assert len(new) == 14
    for key, array in new.items():
        assert array.shape == old[key].shape
        assert np.mean(array != old[key]) > 0.99, key


def test_the_seed_decides_what_is_drawn():
    model = nested()
    one, again, other = (draw_initial_weights(model, seed) for seed in (1, 1, 2))
    assert differing(one, again) == set()
    assert differing(one, other) == set(one)


def test_a_seed_of_the_user_does_not_bring_the_weights_back():
    initializer = keras.initializers.GlorotNormal(seed=7)
    model = keras.Sequential(
        [keras.Input((5,))]
        + [layers.Dense(5, kernel_initializer=initializer, name=name) for name in "abc"]
    )
    old = {key: variable.numpy() for key, variable in prunable_variables(model).items()}
    new = draw_initial_weights(model, seed=0)
    assert differing(old, new) == set(old)
    # One initializer that layers share gives them equal weights; the control's are not.
    assert not np.array_equal(new["a/kernel"], new["b/kernel"])


def test_weights_are_drawn_from_each_layer_s_own_distribution():
    narrow = keras.initializers.RandomUniform(2.0, 2.5)
    model = keras.Sequential(
        [
            keras.Input((200,)),
            layers.Dense(100, kernel_initializer="he_normal", name="wide"),
            layers.Dense(10, kernel_initializer=narrow, name="narrow"),
        ]
    )
    new = draw_initial_weights(model, seed=0)
    assert new["wide/kernel"].std() == pytest.approx(np.sqrt(2 / 200), rel=0.05)
    assert new["narrow/kernel"].min() >= 2.0
    assert new["narrow/kernel"].max() < 2.5


@pytest.mark.parametrize("inner", [OwnKernel(3, False, name="mine"), None])
def test_a_layer_that_keeps_no_initializer_is_told(inner):
    if inner is None:  # an initializer that is a function can't be drawn from anew
        inner = layers.Dense(
            3, kernel_initializer=lambda shape, dtype=None: keras.ops.ones(shape), name="mine"
        )
    model = keras.Sequential([keras.Input((4,)), inner])
    with pytest.raises(ModelError, match=r"Keras initializer as one of .* `mine/.*kernel` of"):
        draw_initial_weights(model, seed=0)


def test_embeddings_are_drawn_too_though_they_are_not_pruned():
    model = keras.Sequential([keras.Input((3,)), layers.Embedding(9, 4), layers.Dense(2)])
    old = Snapshot.capture(model, step=0).variables
    new = draw_initial_weights(model, seed=0)
    assert set(new) == {"embedding/embeddings", "dense/kernel"}
    assert differing(new, old) == set(new)


def test_a_reinitialized_control_has_the_ticket_s_mask_and_begins_at_step_0():
    model = mlp()
    context = context_of(model, random_mask(model), step=5)
    start = RandomReinit().start(context)
    assert start.mask == context.ticket.mask
    assert start.snapshot.step == 0
    changed = differing(start.snapshot.variables, context.initial.variables)
    assert changed == set(context.ticket.mask)  # the biases are the initial ones


def test_reinitializations_differ_by_number_level_and_seed():
    model = mlp()
    mask = random_mask(model)
    draws = [
        RandomReinit(number).start(context_of(model, mask, seed=seed, level=level))
        for number, seed, level in ((1, 0, 1), (2, 0, 1), (1, 1, 1), (1, 0, 2))
    ]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert differing(one.snapshot.variables, other.snapshot.variables) == set(mask)
    assert [RandomReinit(n).name for n in (1, 2, 3)] == ["reinit", "reinit_2", "reinit_3"]


@pytest.mark.parametrize("control", [ShuffledMask(), RandomMask()])
def test_masks_are_drawn_by_seed_and_level_over_the_ticket_s_weights(control):
    model = mlp()
    contexts = [
        context_of(model, random_mask(model), step=4, seed=seed, level=level)
        for seed, level in ((0, 1), (0, 1), (1, 1), (0, 2))
    ]
    one, again, *others = (control.start(context) for context in contexts)
    assert one.mask == again.mask
    assert all(one.mask != other.mask for other in others)
    assert one.mask != contexts[0].ticket.mask
    assert one.snapshot is contexts[0].ticket.snapshot


def test_a_shuffled_mask_keeps_the_count_of_each_layer():
    mask = random_mask(mlp(), density=0.2)
    start = ShuffledMask().start(context_of(mlp(), mask))
    assert start.mask.counts() == mask.counts()


def test_a_random_mask_keeps_the_overall_count_only():
    counts = {"hidden_0/kernel": 3, "hidden_1/kernel": 17, "output/kernel": 11}
    arrays = {key: np.zeros(v.shape) for key, v in prunable_variables(mlp()).items()}
    for key, count in counts.items():
        arrays[key].flat[:count] = 1
    mask = Mask(arrays)
    start = RandomMask().start(context_of(mlp(), mask))
    assert start.mask.kept == mask.kept == 31
    assert start.mask.counts() != counts


def test_a_random_mask_is_drawn_until_every_layer_has_a_weight():
    shapes = {"big": (1000,), "small": (20,)}
    arrays = {key: np.zeros(shape) for key, shape in shapes.items()}
    arrays["big"][:29], arrays["small"][:1] = 1, 1
    contexts = [context_of(mlp(), Mask(arrays), seed=seed) for seed in range(5)]
    first = [c.ticket.mask.random(RandomMask().rng(c)).counts() for c in contexts]
    assert any(counts["small"] == 0 for counts in first)
    for context in contexts:
        mask = RandomMask().start(context).mask
        assert mask.counts()["small"] > 0
        assert mask.kept == 30


def test_a_random_mask_that_leaves_a_layer_empty_is_refused():
    mask = Mask({"big": np.arange(5000) < 1, "small": np.arange(2) < 1})
    with pytest.raises(MaskError, match=r"none of 100 did; leave this control out at level 7"):
        RandomMask().start(context_of(mlp(), mask, level=7))


def hidden_units(shapes):
    """Each hidden unit of an MLP as a channel."""
    keys = list(shapes)
    return Channels(
        ChannelGroup(f"{key}:{i}", (Slot(key, 1, (i,)),), (Slot(following, 0, (i,)),))
        for key, following in itertools.pairwise(keys)
        for i in range(shapes[key][1])
    )


@pytest.mark.parametrize("control", [ShuffledMask(), RandomMask()], ids=lambda c: c.name)
@pytest.mark.parametrize("make", [lambda _: Blocks(4), lambda _: NOfM(1, 4), hidden_units])
def test_masks_are_drawn_with_the_structure_of_the_ticket(control, make):
    model = mlp()
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    structure = make(shapes)
    rng = np.random.default_rng(0)
    scores = {key: rng.random(shape) for key, shape in shapes.items()}
    mask = LayerwisePruner(structure=structure).prune(scores, Mask.ones(shapes), 0.5)
    drawn = control.start(context_of(model, mask, structure=structure)).mask
    assert drawn != mask
    units, others = structure.units(mask), structure.units(drawn)
    assert others.kept == units.kept
    assert control.name == "random" or others.counts() == units.counts()
    assert drawn == structure.expand(others, Mask.ones(shapes))
    if isinstance(structure, NOfM):
        dense = structure.protected(scores, Mask.ones(shapes))
        assert structure.protected(scores, others).counts() == dense.counts()  # n of each block
    assert control.start(context_of(model, mask)).mask != drawn  # each weight for itself


def test_a_shuffled_mask_is_drawn_until_it_differs():
    structure = hidden_units({"a": (3, 2), "b": (2, 3)})
    mask = structure.expand(
        Mask({"a": np.array([True, False])}), Mask.ones({"a": (3, 2), "b": (2, 3)})
    )
    for seed in range(5):
        context = context_of(mlp(), mask, seed=seed, structure=structure)
        drawn = ShuffledMask().start(context).mask
        np.testing.assert_array_equal(structure.units(drawn)["a"], [False, True])


def test_one_shot_pruning_is_what_the_search_prunes_from_the_dense_network():
    mask = random_mask(mlp())
    context = context_of(mlp(), mask, step=3)
    start = OneShotPruning().start(context)
    assert start.mask is mask
    assert start.snapshot is context.initial
    assert OneShotPruning().first_level == 2


def ends_of(model, mask, trained):
    """A search whose networks ended like this: dense, the ticket, and the dense aligned one."""
    places = (("ticket", 0), ("ticket", 1), ("aligned", 0))
    return context_of(model, mask, ends=dict(zip(places, trained, strict=True)))


def test_new_weights_are_permuted_as_the_network_trained_from_them():
    model = mlp()
    mask = random_mask(model, 0.5)
    dense = context_of(model, Mask.ones(mask.shapes), level=0)
    new = AlignedReinit().start(dense).snapshot
    order = np.array([3, 0, 4, 1, 2])
    # Trained, the new network is that of the ticket with its first units in another order.
    moved = dict(dense.initial.variables)
    moved["hidden_0/kernel"] = moved["hidden_0/kernel"][:, order]
    moved["hidden_0/bias"] = moved["hidden_0/bias"][order]
    moved["hidden_1/kernel"] = moved["hidden_1/kernel"][order]
    trained = [dense.initial, dense.initial, Snapshot(moved, None, 100)]
    start = AlignedReinit().start(ends_of(model, mask, trained))
    assert start.mask == mask
    back = np.argsort(order)
    expected = {**new.variables}
    expected["hidden_0/kernel"] = expected["hidden_0/kernel"][:, back]
    expected["hidden_1/kernel"] = expected["hidden_1/kernel"][back]
    assert differing(start.snapshot.variables, expected) == set()
    assert differing(new.variables, dense.initial.variables) == set(mask)


def test_what_cant_be_matched_is_refused_before_it_is_trained():
    layer = layers.Dense(4, name="again")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(layer(layer(inputs))))
    mask = Mask.ones({key: v.shape for key, v in prunable_variables(model).items()})
    with pytest.raises(ModelError, match="'again' of the class Dense is called several times"):
        AlignedReinit().start(context_of(model, mask, level=0))


@pytest.mark.parametrize("trained", [False, True])
def test_signs_are_kept_and_magnitudes_are_new(trained):
    model = mlp()
    mask = random_mask(model, 0.5)
    initial = Snapshot.capture(model, step=0)
    flipped = Snapshot({key: -array for key, array in initial.variables.items()}, None, 100)
    context = ends_of(model, mask, [initial, flipped, initial])
    start = SignedReinit(trained=trained).start(context)
    assert start.mask == mask
    for key in mask:
        found, old = start.snapshot.variables[key], initial.variables[key]
        np.testing.assert_array_equal(np.sign(found), -np.sign(old) if trained else np.sign(old))
        assert np.mean(np.abs(found) != np.abs(old)) > 0.9
    assert start.snapshot.step == 0
