"""Each score against a slow, obvious second implementation in numpy."""

import functools
import itertools

import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import MaskError, ModelError
from tfticket.sparsity.convert import get_mask, set_mask, sparsify
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner
from tfticket.sparsity.saliency import (
    SALIENCIES,
    SaliencyScore,
    grasp,
    prune_by_saliency,
    snip,
    synflow,
)
from tfticket.state import Snapshot

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def tanh_mlp(last=None):
    model = helpers.mlp((4, 3, 3), activation="tanh", last=last, dtype="float64")
    for layer in model.layers:
        layer.bias.assign(np.linspace(-0.3, 0.5, layer.units))
    return model


class ByHand:
    """The loss of `tanh_mlp`, its gradient and its Hessian times a vector, by differences."""

    def __init__(self, model, x, y, *, temperature=1.0, kept=None):
        self.parts = [np.array(w, "float64") for w in model.get_weights()]
        self.x, self.y, self.temperature = x.astype("float64"), y, temperature
        self.theta = np.concatenate([self.parts[0].ravel(), self.parts[2].ravel()])
        self.kept = np.ones(self.theta.size) if kept is None else kept

    def loss(self, theta):
        (w1, b1, w2, b2), first = self.parts, self.parts[0].size
        hidden = np.tanh(self.x @ theta[:first].reshape(w1.shape) + b1)
        logits = (hidden @ theta[first:].reshape(w2.shape) + b2) / self.temperature
        chosen = logits[np.arange(len(self.y)), self.y]
        return np.mean(np.log(np.exp(logits).sum(1)) - chosen)

    def gradient(self, theta, step=1e-4):
        steps = step * np.eye(theta.size)
        return np.array([self.loss(theta + s) - self.loss(theta - s) for s in steps]) / (2 * step)

    def hessian_times(self, vector, step=1e-3):
        length = np.linalg.norm(vector)
        shift = step * vector / length
        difference = self.gradient(self.theta + shift) - self.gradient(self.theta - shift)
        return difference * length / (2 * step)

    def snip(self):
        return np.abs(self.theta * self.gradient(self.theta))

    def grasp(self):
        return self.theta * self.hessian_times(self.kept * self.gradient(self.theta))


def flat(scores):
    return np.concatenate([array.ravel() for array in scores.values()])


def agree(ours, by_hand):
    np.testing.assert_allclose(flat(ours), by_hand, rtol=1e-4, atol=1e-6 * np.abs(by_hand).max())


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (None, helpers.logits_loss()),
        ("softmax", "sparse_categorical_crossentropy"),
        ("softmax", keras.losses.SparseCategoricalCrossentropy()),
    ],
)
def test_snip_and_grasp_against_finite_differences(last, loss):
    model, (x, y) = tanh_mlp(last), helpers.batch((4,))
    model.compile("sgd", loss)
    agree(snip(model, x, y), ByHand(model, x, y).snip())
    agree(grasp(model, x, y, temperature=1.0), ByHand(model, x, y).grasp())
    agree(grasp(model, x, y), ByHand(model, x, y, temperature=200.0).grasp())


def test_the_temperature_of_a_binary_crossentropy_divides_its_logit():
    x, y = helpers.batch((4,), classes=2)
    scores = []
    for last in (None, "sigmoid"):
        keras.utils.set_random_seed(3)
        model = helpers.mlp((4, 3, 1), activation="tanh", last=last, dtype="float64")
        model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=last is None))
        scores.append(flat(grasp(model, x, y)))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_pruned_weights_take_no_part():
    model, (x, y) = helpers.compiled(tanh_mlp()), helpers.batch((4,))
    mask = helpers.random_mask(model)
    sparse = sparsify(model, mask)
    kept = flat(mask)
    by_hand = ByHand(strip_weights(sparse), x, y, kept=kept)
    agree(snip(sparse, x, y), by_hand.snip())
    agree(grasp(sparse, x, y, temperature=1.0), by_hand.grasp())
    for function in (snip, grasp, synflow):
        assert not flat(function(sparse, x, y))[~kept].any()


def strip_weights(sparse):
    """A plain network with the weights of a sparse one."""
    plain = tanh_mlp()
    plain.set_weights([w for w in sparse.get_weights() if w.dtype != bool])
    return plain


def test_synflow_against_all_paths():
    model = helpers.mlp((3, 4, 2, 3))
    for layer in model.layers:
        layer.bias.assign(np.linspace(-0.5, 1.0, layer.units))
    w = [np.abs(layer.kernel.numpy()) for layer in model.layers]
    b = [np.abs(layer.bias.numpy()) for layer in model.layers]
    expected = [np.zeros_like(kernel, "float64") for kernel in w]

    def add(path, entering):
        """Adds a path's product to each weight on it; it enters at an input or at a bias."""
        first = len(w) - len(path) + 1
        edges = list(zip(range(first, len(w)), path, path[1:], strict=False))
        product = entering * np.prod([w[k][i, j] for k, i, j in edges])
        for k, i, j in edges:
            expected[k][i, j] += product

    for path in itertools.product(range(3), range(4), range(2), range(3)):
        add(path, 1.0)
    for path in itertools.product(range(4), range(2), range(3)):
        add(path, b[0][path[0]])
    for path in itertools.product(range(2), range(3)):
        add(path, b[1][path[0]])
    np.testing.assert_allclose(
        flat(synflow(model)), np.concatenate([e.ravel() for e in expected]), rtol=1e-6
    )


def test_synflow_is_conserved_over_layers_with_normalization():
    # Theorem 1 of the paper: between homogeneous layers the scores of each add up to R.
    scores = synflow(helpers.noisy_convnet())
    assert scores["conv/kernel"].sum() == pytest.approx(scores["output/kernel"].sum())


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_synflow_looks_behind_the_last_activation(last):
    plain, closed = helpers.mlp(), helpers.mlp(last=last)
    closed.set_weights(plain.get_weights())
    nested = keras.Sequential([keras.Input((6,)), sparsify(closed)])
    expected = flat(synflow(plain))
    for model in (closed, sparsify(closed), nested):
        np.testing.assert_array_equal(flat(synflow(model)), expected)
    assert closed.layers[-1].activation is keras.activations.get(last)


def test_synflow_of_a_network_beyond_float32():
    sizes = (8, *[16] * 40, 3)
    model = helpers.mlp(sizes)
    model.set_weights([np.full(w.shape, 20.0) for w in model.get_weights()])
    scores = flat(synflow(model))
    assert np.isfinite(scores).all()
    assert scores.max() > np.finfo("float32").max


def test_synflow_refuses_what_it_cannot_score():
    class EndsInSoftmax(helpers.Subclassed):
        def call(self, x, training=None):
            return keras.ops.softmax(super().call(x))

    x, _ = helpers.batch()
    model = EndsInSoftmax()
    model(x)
    with pytest.raises(ModelError, match="end the model in logits"):
        synflow(model, x)
    with pytest.raises(ModelError, match="pass a batch"):
        synflow(model)
    huge = helpers.mlp((8, *[16] * 10, 3))
    huge.set_weights([np.full(w.shape, 1e38) for w in huge.get_weights()])
    with pytest.raises(ModelError, match="finite"):
        synflow(huge)


@pytest.mark.parametrize("name", SALIENCIES)
def test_subclassed_models_are_scored_like_plain_ones(name):
    x, y = helpers.batch()
    model = helpers.Subclassed()
    model(x)
    model.drop.rate = 0.0
    plain = helpers.mlp((6, 12, 3))
    plain.set_weights(model.get_weights())
    scores = [flat(SaliencyScore(name, x, y)(helpers.compiled(m))) for m in (model, plain)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", SALIENCIES)
def test_nothing_is_left_behind(name, policy):
    keras.config.set_dtype_policy(policy)
    x, y = helpers.batch((6, 6, 2))
    model = sparsify(helpers.compiled(helpers.noisy_convnet(), "adam", metrics=["accuracy"]))
    model.fit(x, y, verbose=0)
    before, metrics = Snapshot.capture(model, step=1), model.get_metrics_result()
    policies = [layer.dtype_policy for layer in model._flatten_layers()]

    scores = SaliencyScore(name, x, y)(model)
    assert all(np.abs(array).max() > 0 for array in scores.values())
    after = Snapshot.capture(model, step=1)
    for key, array in before.variables.items():
        np.testing.assert_array_equal(after.variables[key], array)
    for one, other in zip(before.optimizer, after.optimizer, strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.get_metrics_result() == metrics
    assert policies == [layer.dtype_policy for layer in model._flatten_layers()]
    for key, array in SaliencyScore(name, x, y)(model).items():
        np.testing.assert_array_equal(array, scores[key])


def test_modes_are_those_of_the_authors():
    x, y = helpers.batch((6, 6, 2))
    model = helpers.compiled(helpers.noisy_convnet())
    model.get_layer("drop").rate = 0.0
    inference, training = flat(snip(model, x, y)), flat(grasp(model, x, y))
    # Moving statistics count in inference alone, those of the batch in training alone.
    model.get_layer("norm").moving_variance.assign([4.0] * 4)
    assert not np.allclose(flat(snip(model, x, y)), inference)
    np.testing.assert_array_equal(flat(grasp(model, x, y)), training)


@pytest.mark.parametrize("name", SALIENCIES)
def test_skip_leaves_keys_out_and_changes_no_other_score(name):
    x, y = helpers.batch()
    model, function = helpers.compiled(helpers.mlp()), SALIENCIES[name][0]
    everything, part = function(model, x, y), function(model, x, y, skip=["output/*"])
    assert list(part) == ["hidden_0/kernel", "hidden_1/kernel"]
    for key, array in part.items():
        np.testing.assert_array_equal(array, everything[key])


@pytest.mark.parametrize("function", [snip, grasp])
def test_a_loss_is_needed(function):
    x, y = helpers.batch()
    with pytest.raises(ModelError, match="isn't compiled"):
        function(helpers.mlp(), x, y)


def test_a_temperature_needs_logits():
    x, y = helpers.batch()
    model = helpers.mlp((6, 5, 1))
    model.compile("sgd", "mse")
    with pytest.raises(ModelError, match="temperature=1"):
        grasp(model, x, y)
    assert flat(grasp(model, x, y, temperature=1.0)).any()


def test_a_saliency_knows_its_name_and_its_rounds():
    assert SaliencyScore("synflow").iterations == 100
    assert SaliencyScore("snip", 1, 2).iterations == 1
    with pytest.raises(MaskError, match="grasp"):
        SaliencyScore("magnitude")
    with pytest.raises(MaskError, match="at least 1"):
        SaliencyScore("synflow", iterations=0)


@pytest.mark.parametrize(
    "pruner", [GlobalPruner(), LayerwisePruner({"output/*": 0.5}), ERKPruner()]
)
def test_rounds_end_at_the_count_of_one_step(pruner):
    model = sparsify(helpers.mlp((20, 15, 10, 4)))
    start = helpers.random_mask(model, 0.7)
    set_mask(model, start)
    steps = []

    def apply(mask):
        set_mask(model, mask)
        steps.append(mask)

    score = SaliencyScore("synflow", iterations=7)
    final = prune_by_saliency(model, score, pruner, start, 0.6, apply)
    assert final == get_mask(model) == steps[-1]
    assert len(steps) == 7
    for before, after in itertools.pairwise([start, *steps]):
        assert after.is_subset_of(before)
    at_once = pruner.prune(synflow(model), start, 0.6)
    assert final.kept == at_once.kept
    if not isinstance(pruner, GlobalPruner):
        assert final.counts() == at_once.counts()
    assert [mask.kept for mask in steps] == pytest.approx(
        [start.kept * (at_once.kept / start.kept) ** (t / 7) for t in range(1, 8)],
        rel=0.03,
    )


def test_rounds_avoid_the_collapse_of_a_layer():
    # The point of the paper: at 3 % density one step of SynFlow cuts the network in two.
    model = sparsify(helpers.mlp((20, 30, 30, 4)))
    dense = Mask.ones(get_mask(model).shapes)
    once = SaliencyScore("synflow", iterations=1)
    with pytest.raises(MaskError, match="At least one weight"):
        prune_by_saliency(model, once, GlobalPruner(), dense, 0.99, lambda mask: None)
    rounds = SaliencyScore("synflow")
    final = prune_by_saliency(
        model, rounds, GlobalPruner(), dense, 0.99, functools.partial(set_mask, model)
    )
    assert final.kept == round(0.01 * dense.total)
