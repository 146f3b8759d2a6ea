"""Units go by their scores, as many as asked for, and the rest answers as with zeros in place."""

import keras
import numpy as np
import pytest

from tfticket.channels import channel_groups, remove_units, scores, size_of
from tfticket.errors import ModelError
from tfticket.sparsity.saliency import loss_gradients
from tfticket.state import named_variables, prunable_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def convnet():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(6, 3, name="second", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="relu", name="hidden"),
            layers.Dense(3, name="output"),
        ]
    )


def compiled(model):
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def arrays(model):
    return {key: variable.numpy() for key, variable in named_variables(model).items()}


def widths(model):
    kernels = prunable_variables(model)
    return {key.partition("/")[0]: kernel.shape[-1] for key, kernel in kernels.items()}


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 6, 6, 2)).astype("float32"), rng.integers(0, 3, 16)


@pytest.mark.parametrize(
    ("score", "norm"),
    [
        (scores.l1_norm, lambda parts: sum(np.abs(p).sum() for p in parts)),
        (scores.l2_norm, lambda parts: np.sqrt(sum((p**2).sum() for p in parts))),
        (scores.magnitude, lambda parts: np.abs(parts[0]).mean()),
    ],
)
def test_norms_are_those_of_the_slices_relative_to_the_layer(score, norm):
    model = convnet()
    groups, weights = channel_groups(model), arrays(model)
    second = [place for place, group in enumerate(groups) if group.home == "second/kernel"]
    made = weights["second/kernel"]
    read = weights["hidden/kernel"].reshape(16, 6, 10)  # 4 x 4 positions of 6 channels
    expected = np.array([norm([made[..., n], read[:, n]]) for n in range(6)])
    found = score(groups, weights)[second]
    np.testing.assert_allclose(found, expected / np.sqrt(np.mean(expected**2)), rtol=1e-5)


def test_taylor_is_the_squared_gradient_of_a_gate(batch):
    """A gate on the output of a unit, moved by a little: a difference quotient of the loss."""
    model = compiled(convnet())
    x, y = batch
    groups = channel_groups(model)
    gradients = loss_gradients(model, x, y)
    found = scores.taylor(groups, arrays(model), gradients)
    hidden = [place for place, group in enumerate(groups) if group.home == "hidden/kernel"]
    inner = keras.Model(model.inputs[0], model.get_layer("hidden").output)(x).numpy()
    output = model.get_layer("output")

    def loss(unit, gate):
        gates = np.ones(10)
        gates[unit] = gate
        return float(model.loss(y, output(inner * gates)))

    slopes = [(loss(unit, 1.01) - loss(unit, 0.99)) / 0.02 for unit in range(10)]
    np.testing.assert_allclose(found[hidden], np.square(slopes), rtol=0.05, atol=1e-6)


def test_scales_are_those_of_batch_normalization_and_others_stay():
    model = convnet()
    gamma = np.array([3, 0.1, 2, -5, 0.2, 1, 1, 1], "float32")
    model.get_layer("norm").gamma.assign(gamma)
    found = scores.scale(channel_groups(model), arrays(model))
    np.testing.assert_array_equal(found[:8], np.abs(gamma))
    assert np.isnan(found[8:]).all()
    smaller = remove_units(model, keep=0.75, score="scale").model
    assert widths(smaller) == {"first": 6, "second": 6, "hidden": 10, "output": 3}
    np.testing.assert_array_equal(smaller.get_layer("norm").gamma, gamma[[0, 2, 3, 5, 6, 7]])


@pytest.mark.parametrize("score", ["l1_norm", "l2_norm", "magnitude", "taylor"])
def test_the_lowest_go_and_the_rest_answers_as_with_zeros(score, batch):
    model = compiled(convnet())
    groups, weights = channel_groups(model), arrays(model)
    found = scores.UNIT_SCORES[score](groups, weights, loss_gradients(model, *batch))
    shrunk = remove_units(model, keep=0.5, score=score, batches=[batch])
    masked = keras.models.clone_model(model)
    masked.set_weights(model.get_weights())
    best = {group.home: 0.0 for group in groups}
    for group, value in zip(groups, found, strict=True):
        best[group.home] = max(best[group.home], value)
    order = sorted(range(24), key=lambda place: found[place])
    gone = [p for p in order if found[p] < best[groups[p].home]][:12]
    for place in gone:
        for slot in groups[place].slots:
            np.moveaxis(weights[slot.key], slot.axis, 0)[list(slot.indices)] = 0
    for key, variable in named_variables(masked).items():
        variable.assign(weights[key])
    assert shrunk.removed == 12
    np.testing.assert_allclose(shrunk.model(batch[0]), masked(batch[0]), atol=1e-5)


def test_scores_of_several_batches_are_averaged(batch):
    model = compiled(convnet())
    x, y = batch
    seen = []

    def watched(groups, weights, gradients):
        seen.append(scores.taylor(groups, weights, gradients))
        return seen[-1]

    remove_units(model, keep=0.5, score=watched, batches=[(x[:8], y[:8]), (x[8:], y[8:])])
    once = remove_units(model, keep=0.5, score=lambda *given: np.mean(seen[:2], axis=0))
    twice = remove_units(model, keep=0.5, score="taylor", batches=[(x[:8], y[:8]), (x[8:], y[8:])])
    assert widths(once.model) == widths(twice.model)
    np.testing.assert_array_equal(once.model(x), twice.model(x))


def test_sizes_are_counted_by_the_formulas():
    first, second = 36 * 9 * 2 * 8, 16 * 9 * 8 * 6
    size = size_of(convnet())
    assert size.multiply_adds == first + second + 96 * 10 + 10 * 3
    assert size.parameters == convnet().count_params()


def test_attention_and_recurrence_are_counted():
    inputs = keras.Input((5, 4))
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    model = keras.Model(inputs, layers.LSTM(6)(x))
    projections = 5 * (3 * 4 * 6 + 6 * 4)
    assert size_of(model).multiply_adds == (
        projections + 2 * 5 * 5 * (3 + 3) + 5 * (4 * 24 + 6 * 24)
    )


@pytest.mark.parametrize("of", ["parameters", "multiply_adds"])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_as_many_go_as_the_size_asks_for(of, scope):
    model = convnet()
    shrunk = remove_units(model, keep=0.5, of=of, scope=scope)
    share = getattr(size_of(shrunk.model), of) / getattr(size_of(model), of)
    assert 0.35 < share <= 0.5


def test_layers_get_the_same_share_or_compete():
    model = convnet()
    kernel = model.get_layer("hidden").kernel
    kernel.assign(kernel.numpy() * ([1] + 9 * [1e-4]))
    each = remove_units(model, keep=0.5, scope="layerwise").model
    assert widths(each) == {"first": 4, "second": 3, "hidden": 5, "output": 3}
    together = remove_units(model, keep=16 / 24).model
    assert widths(together)["hidden"] < 5


def test_widths_are_multiples_where_layers_are_wide_enough():
    model = convnet()
    found = remove_units(model, keep=0.6, scope="layerwise", multiple_of=4).model
    assert widths(found) == {"first": 4, "second": 4, "hidden": 8, "output": 3}


def test_what_is_skipped_stays():
    shrunk = remove_units(convnet(), keep=0.5, skip=["first/*", "hidden/kernel"])
    assert widths(shrunk.model) == {"first": 8, "second": 3, "hidden": 10, "output": 3}


def test_the_model_stays_and_the_smaller_one_is_compiled_alike(batch):
    model = compiled(convnet())
    before = model.get_weights()
    smaller = remove_units(model, keep=0.5).model
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    history = smaller.fit(*batch, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"keep": 0.0}, ModelError, "must be in"),
        ({"keep": 1.5}, ModelError, "must be in"),
        ({"keep": 0.5, "multiple_of": 0}, ModelError, "at least 1"),
        ({"keep": 0.5, "of": "bytes"}, ValueError, "`of` must be"),
        ({"keep": 0.5, "scope": "local"}, ValueError, "`scope` must be"),
        ({"keep": 0.5, "score": "l3_norm"}, ValueError, "Did you mean 'l2_norm'"),
        ({"keep": 0.5, "score": "taylor"}, ModelError, "Pass batches"),
        ({"keep": 0.01, "of": "parameters"}, ModelError, "can't be reached: with one unit"),
        ({"keep": 0.5, "score": lambda *given: np.ones(3)}, ModelError, "for 24 units"),
        ({"keep": 0.5, "skip": ["*"]}, ModelError, "no channel left"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        remove_units(convnet(), **arguments)


def test_a_score_without_any_number_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(2)])
    with pytest.raises(ModelError, match="`scale` needs batch normalization"):
        remove_units(model, keep=0.5, score="scale")
