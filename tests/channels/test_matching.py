"""Permuted networks answer alike, and what was permuted is found again."""

import functools
import itertools

import keras
import numpy as np
import pytest
from helpers import Subclassed, mlp

from tfticket import models
from tfticket.channels import Permutation, match_channels
from tfticket.channels.matching import interchangeable, match_weights
from tfticket.errors import ModelError
from tfticket.sparsity import set_mask, sparsify
from tfticket.sparsity.mask import Mask
from tfticket.state import named_variables, prunable_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def weights_of(model):
    return {key: variable.numpy() for key, variable in named_variables(model).items()}


def assign(model, weights):
    for key, variable in named_variables(model).items():
        variable.assign(weights[key])


def randomized(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(size=variable.shape) * 0.4
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    return model


def permutation_of(model, seed=0):
    rng, sets = np.random.default_rng(seed), interchangeable(model)
    return Permutation(sets, {each.name: rng.permutation(len(each.numbers)) for each in sets})


def sequence():
    """Recurrent layers, heads, and both directions."""
    x = inputs = keras.Input((5, 4))
    x = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    x = layers.MultiHeadAttention(3, 2, name="attention")(x, x)
    x = layers.Bidirectional(layers.GRU(3), name="both")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def side_by_side():
    """Concatenated channels, one of them twice, depthwise and grouped convolutions, flattened."""
    x = inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    new = layers.Conv2D(3, 1, name="new")(x)
    x = layers.Concatenate()([x, new, x])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.Conv2D(6, 1, name="mixed")(x)
    x = layers.Conv2D(6, 1, groups=3, name="grouped")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.PReLU()(x))))


def image(name):
    return models.build(name, (8, 8, 3), 4, width=0.25 if name == "resnet20" else 0.1)


NETWORKS = {
    "dense": lambda: image("lenet_300_100"),
    "residual": lambda: image("resnet20"),
    "flattened": lambda: image("conv2"),
    "beside": side_by_side,
    "sequence": sequence,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_permuted_network_answers_alike_and_is_matched_back(name):
    model = randomized(NETWORKS[name]())
    x = np.random.default_rng(1).normal(size=(6, *model.input_shape[1:])).astype("float32")
    before, expected = weights_of(model), model(x).numpy()
    moved = permutation_of(model).apply(before)
    assert any(not np.array_equal(moved[key], before[key]) for key in before)
    assign(model, moved)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)
    back = match_weights(model, before, moved).apply(moved)
    for key in before:
        np.testing.assert_array_equal(back[key], before[key])


def test_a_sparsified_network_is_matched_with_its_mask():
    plain = randomized(mlp())
    mask = Mask({key: v.numpy() > 0 for key, v in prunable_variables(plain).items()})
    sparse = sparsify(plain, mask)
    move = permutation_of(sparse)
    moved_mask, moved = Mask(move.apply(mask)), move.apply(weights_of(sparse))
    assert moved_mask != mask
    assert moved_mask.counts() == mask.counts()
    for key, kept in moved_mask.items():
        np.testing.assert_array_equal(kept, moved[key] != 0)
    again = sparsify(plain, mask)
    assign(again, moved)
    set_mask(again, moved_mask)
    x = np.random.default_rng(0).normal(size=(7, 6)).astype("float32")
    np.testing.assert_allclose(again(x), sparse(x), rtol=1e-5, atol=1e-5)


def brute_force(score, units):
    return max(itertools.permutations(range(units)), key=score)


def test_weights_of_one_layer_are_matched_as_well_as_any_order_can():
    first, second = (randomized(mlp((3, 5, 2)), seed) for seed in (1, 2))
    ours, theirs = weights_of(first), weights_of(second)

    def score(order):
        order = list(order)
        return (
            np.sum(ours["hidden_0/kernel"] * theirs["hidden_0/kernel"][:, order])
            + np.sum(ours["hidden_0/bias"] * theirs["hidden_0/bias"][order])
            + np.sum(ours["output/kernel"] * theirs["output/kernel"][order])
        )

    found = match_channels(first, second).orders["hidden_0/kernel"]
    assert tuple(found) == brute_force(score, 5)


def test_no_change_of_one_layer_improves_a_match_of_several():
    first, second = (randomized(mlp((6, 4, 4, 4, 3)), seed) for seed in (1, 2))
    ours, theirs = weights_of(first), weights_of(second)
    found = match_channels(first, second)

    def score(orders):
        moved = Permutation(found.sets, orders).apply(theirs)
        return sum(np.sum(ours[key] * moved[key]) for key in ours)

    best = score(found.orders)
    assert best > score({name: np.arange(4) for name in found.orders})
    for name in found.orders:
        for order in itertools.permutations(range(4)):
            assert score({**found.orders, name: np.array(order)}) <= best + 1e-4


def test_activations_are_matched_by_correlation_whatever_their_scale():
    make = functools.partial(mlp, (3, 5, 2), activation="linear")
    first, second = (randomized(make(), seed) for seed in (1, 2))
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    outputs = [np.array(model.layers[0](x)) for model in (first, second)]
    correlations = np.corrcoef(*[each.T for each in outputs])[:5, 5:]

    def score(order):
        return correlations[np.arange(5), list(order)].sum()

    found = match_channels(first, second, by="activations", inputs=x).orders["hidden_0/kernel"]
    assert tuple(found) == brute_force(score, 5)
    kernel, bias = second.layers[0].get_weights()
    second.layers[0].set_weights([kernel * 7, bias * 7])
    again = match_channels(first, second, by="activations", inputs=x)
    np.testing.assert_array_equal(again.orders["hidden_0/kernel"], found)


def test_layers_that_make_one_channel_together_are_compared_together():
    model = randomized(image("resnet20"))
    other = image("resnet20")
    assign(other, permutation_of(model).apply(weights_of(model)))
    x = np.random.default_rng(1).normal(size=(9, 8, 8, 3)).astype("float32")
    found = match_channels(model, other, by="activations", inputs=x)
    back = found.apply(weights_of(other))
    for key, array in weights_of(model).items():
        np.testing.assert_array_equal(back[key], array)


def twice():
    inputs = keras.Input((4,))
    layer = layers.Dense(4, name="again")
    return keras.Model(inputs, layers.Dense(2)(layer(layer(inputs))))


def normalized():
    stack = [layers.Dense(3), layers.LayerNormalization(name="ln"), layers.Dense(2)]
    return keras.Sequential([keras.Input((4,)), *stack])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (twice, "'again' of the class Dense is called several times"),
        (normalized, "'ln' of the class LayerNormalization carries channels in a way that isn't"),
        (lambda: mlp((4, 2)), "can't change places: all of them are inputs or outputs"),
        (lambda: Subclassed(), "Rebuild it with the functional API"),
    ],
    ids=["shared", "unknown", "no hidden layer", "subclassed"],
)
def test_what_cant_be_matched_is_said(make, said):
    model = make()
    model(np.zeros((1, 4)))
    with pytest.raises(ModelError, match=said):
        match_channels(model, model)


def test_other_widths_are_refused():
    with pytest.raises(ModelError, match=r"`hidden_0/kernel` differs: shape \(6, 5\) in the first"):
        match_channels(mlp(), mlp((6, 7, 4, 3)))
    more = mlp()
    more.add(layers.Dense(2, name="output_1"))
    with pytest.raises(ModelError, match="`output_1/kernel` differs: absent in the first"):
        match_channels(mlp(), more)
    with pytest.raises(ModelError, match="`hidden_0/kernel` has the shape"):
        permutation_of(mlp()).apply({"hidden_0/kernel": np.zeros((6, 4))})


def test_how_to_match_is_checked():
    model = mlp()
    with pytest.raises(ValueError, match="`by` must be"):
        match_channels(model, model, by="weight")
    with pytest.raises(ValueError, match="Give a batch of them"):
        match_channels(model, model, by="activations")
    with pytest.raises(ValueError, match="Leave them out"):
        match_channels(model, model, inputs=np.zeros((1, 6)))
    heads = sequence()
    with pytest.raises(ModelError, match="stay inside of a layer"):
        match_channels(heads, heads, by="activations", inputs=np.zeros((2, 5, 4)))
