"""Training what is alive of a pruned network is training the network."""

import keras
import numpy as np
import pytest

from tfticket import data, models
from tfticket.channels.flow import Flow
from tfticket.channels.silent import Silent
from tfticket.channels.subnetwork import Living
from tfticket.data import ChunkedFit, Feed, Split
from tfticket.lottery import RandomReinit, TicketSearch
from tfticket.lottery import compact as module
from tfticket.lottery.compact import CompactNetwork, Compactor
from tfticket.norms.layers.fused import FusedBatchNorm
from tfticket.schedules import IterativePruning
from tfticket.sparsity import Mask
from tfticket.sparsity.binding import MaskBinding
from tfticket.state import Snapshot, prunable_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
CHUNK, STEPS = 5, 10


@pytest.fixture(autouse=True)
def _small_networks_are_worth_it(monkeypatch):
    monkeypatch.setattr(module, "_WORTHWHILE", 1)
    monkeypatch.setattr(module, "_WRITING", 0)


def digits():
    sets = data.load("digits", validation=60, limit=300)
    return sets, Feed(sets.train, batch_size=20, seed=0, chunk_steps=CHUNK, scale=sets.scale)


def network(name="lenet_300_100", shape=(8, 8, 1), optimizer="adam", **options):
    model = models.build(name, shape, 10, seed=1, width=0.1, **options)
    return compiled(model, optimizer)


def compiled(model, optimizer="adam"):
    model.compile(
        optimizer, models.loss_for(model), metrics=["accuracy"], steps_per_execution=CHUNK
    )
    return model


def compact(model, mask, steps):
    return Compactor(model).compact(mask, steps)


def random_mask(model, density, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    return Mask({key: rng.random(shape) < density for key, shape in shapes.items()})


def bound(model, mask):
    binding = MaskBinding(model)
    binding.set(mask)
    return model


def trained(make, mask, *, small, steps=STEPS, epochs=2, callbacks=()):
    """A model after some steps, by itself or in the shape of its living part."""
    model, (sets, feed) = make(), digits()
    bound(model, mask)
    stand_in = compact(model, mask, steps) if small else None
    assert (stand_in is not None) == small

    class Use(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.train_function.stand_in(stand_in)

    history = model.fit(
        **feed.fit_arguments(),
        epochs=epochs,
        validation_data=data.batches(sets.validation, scale=sets.scale),
        callbacks=[ChunkedFit(feed), Use(), *callbacks],
        verbose=0,
    )
    return Snapshot.capture(model, step=steps), history.history


@pytest.mark.parametrize(
    "make",
    [
        network,
        lambda: network(optimizer=keras.optimizers.SGD(0.05, momentum=0.9)),
        lambda: network(optimizer=keras.optimizers.RMSprop(1e-3)),
        lambda: network("conv2"),
    ],
    ids=["adam", "momentum", "rmsprop", "conv2"],
)
def test_weights_slots_and_history_are_those_of_the_whole(make):
    mask = random_mask(make(), 0.1)
    whole, history = trained(make, mask, small=False)
    small, other = trained(make, mask, small=True)
    for key, values in whole.variables.items():
        np.testing.assert_allclose(small.variables[key], values, atol=2e-6, err_msg=key)
    # Slots of pruned weights take what the gradients say, which moves nothing.
    kept = {mask[key].shape: mask[key] for key in mask}
    for ours, theirs in zip(small.optimizer, whole.optimizer, strict=True):
        places = kept.get(ours.shape, ...)
        np.testing.assert_allclose(ours[places], theirs[places], atol=2e-6)
    for name, values in history.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-5)
    for key in mask:
        assert not small.variables[key][~mask[key]].any()


@pytest.fixture
def evaluated(monkeypatch):
    """Which networks were evaluated in place of a whole one, once for each trace."""
    seen, step = [], CompactNetwork.test_step
    monkeypatch.setattr(
        CompactNetwork, "test_step", lambda self, data: seen.append(self) or step(self, data)
    )
    return seen


class Move(keras.callbacks.Callback):
    """Changes weights at the end of the first epoch, before it is evaluated or after it."""

    def __init__(self, *, before):
        super().__init__()
        self.before = before

    def move(self):
        kernel = self.model.layers[-1].kernel
        kernel.assign(kernel * 1.5)

    def on_test_begin(self, logs=None):
        if self.before:
            self.move()

    def on_epoch_end(self, epoch, logs=None):
        if not self.before:
            self.move()


@pytest.mark.parametrize("callbacks", [[], [Move(before=True)], [Move(before=False)]])
def test_what_is_evaluated_is_what_the_model_is(callbacks, evaluated):
    mask = random_mask(network(), 0.1)
    _, history = trained(network, mask, small=False, epochs=3, callbacks=callbacks)
    _, other = trained(network, mask, small=True, epochs=3, callbacks=callbacks)
    assert bool(evaluated) == (not callbacks or not callbacks[0].before)
    assert {"loss", "val_loss", "val_accuracy"} <= history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(other[name], values, rtol=2e-5)


def residual():
    """A block with a shortcut, batch-normalized."""
    keras.utils.set_random_seed(4)
    start = x = inputs = keras.Input((8, 8, 1))
    for filters in (6, 8, 6):
        start, x = x, layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(FusedBatchNorm()(x))
    start = layers.Conv2D(6, 1, use_bias=False)(start)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, start])))
    return compiled(keras.Model(inputs, layers.Dense(10)(x)))


def test_channels_of_a_batch_normalized_network_that_nothing_reads():
    make, mask = residual, random_mask(residual(), 0.05)
    whole, _ = trained(make, mask, small=False)
    small, _ = trained(make, mask, small=True)
    for key in mask:
        np.testing.assert_allclose(small.variables[key], whole.variables[key], atol=2e-4)


def test_a_search_ends_with_the_same_tickets():
    tickets, smaller = [], []
    for on in (False, True):
        model, (sets, feed) = network(), digits()
        search = TicketSearch(
            IterativePruning(0.7, levels=3),
            STEPS,
            controls=[RandomReinit()],
            feed=feed,
            compact=on,
            test_data=data.batches(sets.test, scale=sets.scale),
        )

        class Watch(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None, found=smaller):
                found.append(self.model.train_function._stand_in)

        model.fit(
            **feed.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=CHUNK),
            callbacks=[search, ChunkedFit(feed), Watch()],
            verbose=0,
        )
        tickets.append(search.tickets)
        if not on:
            assert not any(smaller)
    assert sum(isinstance(each, CompactNetwork) for each in smaller) >= 4
    for ours, theirs in zip(*tickets, strict=True):
        assert ours.mask == theirs.mask
        assert ours.provenance["result"]["at_end"] == pytest.approx(
            theirs.provenance["result"]["at_end"], rel=1e-4
        )


def dense_net(*hidden, optimizer="adam", **options):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), *hidden, layers.Dense(10, **options)]
    )
    return compiled(model, optimizer)


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class OwnEvaluation(keras.Sequential):
    def test_step(self, data):
        return super().test_step(data)


REFUSED = {
    "weight decay": lambda: dense_net(
        layers.Dense(9, "relu"), optimizer=keras.optimizers.AdamW(1e-3)
    ),
    "regularizer": lambda: dense_net(layers.Dense(9, "relu", kernel_regularizer="l2")),
    "activity": lambda: dense_net(layers.Dense(9, "relu", activity_regularizer="l2")),
    "dropout": lambda: dense_net(layers.Dense(9, "relu"), layers.Dropout(0.1)),
    "global norm": lambda: dense_net(
        layers.Dense(9, "relu"), optimizer=keras.optimizers.Adam(global_clipnorm=1.0)
    ),
    "constraint": lambda: dense_net(layers.Dense(9, "relu", kernel_constraint="non_neg")),
    "ftrl": lambda: dense_net(layers.Dense(9, "relu"), optimizer="ftrl"),
    "own step": lambda: compiled(
        OwnStep([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(9, "relu")])
    ),
    "own evaluation": lambda: compiled(
        OwnEvaluation([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(9, "relu")])
    ),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_would_move_dead_weights_is_trained_whole(make):
    model = make()
    assert compact(bound(model, mask := random_mask(model, 0.05)), mask, STEPS) is None


def test_momentum_from_earlier_is_not_lost():
    model, (_, feed) = network(), digits()
    mask = random_mask(model, 0.1)
    assert compact(bound(model, mask), mask, STEPS) is not None
    model.fit(**feed.fit_arguments(), epochs=1, verbose=0)  # dead weights have slots of zero still
    assert compact(model, mask, STEPS) is not None
    dense = network()
    dense.fit(**digits()[1].fit_arguments(), epochs=1, verbose=0)
    assert compact(bound(dense, mask), mask, STEPS) is None


def rewound(model, values, mask):
    """The model at the start of another training."""
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    for variable in model.optimizer.variables:
        if variable is not model.optimizer.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))
    binding = MaskBinding(model)
    binding.set(mask)
    return binding


def test_the_same_mask_is_trained_by_the_same_network_again():
    model, (_, feed) = network(), digits()
    values = [variable.numpy() for variable in model.variables]
    others = [-value for value in values]
    mask = random_mask(model, 0.1)
    bound(model, mask)
    compactor, used, ends = Compactor(model), [], []
    chunked = ChunkedFit(feed)

    class Use(keras.callbacks.Callback):
        on = True

        def on_train_begin(self, logs=None):
            stand_in = compactor.compact(mask, STEPS) if self.on else None
            used.append(stand_in)
            self.model.train_function.stand_in(stand_in)

    use = Use()
    for use.on in (True, False):
        for start in (values, others):
            feed.seek(0)
            rewound(model, start, mask)
            model.fit(**feed.fit_arguments(), epochs=2, callbacks=[chunked, use], verbose=0)
            ends.append([variable.numpy() for variable in model.trainable_variables])
    assert used[0] is used[1] is not None
    for ours, theirs in zip(ends[:2], ends[2:], strict=True):
        for small, whole in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(small, whole, atol=2e-6)


def test_another_mask_is_trained_by_another_network():
    model = network()
    masks = [random_mask(model, 0.1, seed=seed) for seed in (0, 1)]
    bound(model, masks[0])
    compactor = Compactor(model)
    made = compactor.compact(masks[0], STEPS)
    rewound(model, [variable.numpy() for variable in network().variables], masks[1])
    assert compactor.compact(masks[1], STEPS) not in (None, made)


def test_masks_of_these_tests_leave_something():
    model = network()
    bound(model, random_mask(model, 0.1))
    total = sum(np.prod(v.shape) for v in prunable_variables(model).values())
    assert 0.3 * total < Living(model).left_out < 0.8 * total


def test_little_is_not_worth_a_compilation(monkeypatch):
    model = network()
    mask = random_mask(model, 0.1)
    bound(model, mask)
    monkeypatch.setattr(module, "_WORTHWHILE", Living(model).left_out * STEPS)
    assert compact(model, mask, STEPS) is not None
    assert compact(model, mask, STEPS - 1) is None


def test_little_is_not_worth_writing_back_after_each_execution(monkeypatch):
    model = network()
    mask = random_mask(model, 0.1)
    bound(model, mask)
    share = Living(model).left_out / mask.total
    for least, worth in ((0.9 * share, True), (1.1 * share, False)):
        monkeypatch.setattr(module, "_WRITING", least * CHUNK)
        assert (compact(model, mask, 10**6) is not None) == worth


def test_zeros_that_are_not_pruned_are_alive():
    model = network()
    mask = random_mask(model, 0.1)
    bound(model, mask)
    kernel = next(iter(prunable_variables(model).values()))
    kernel.assign(np.zeros(kernel.shape))
    assert compact(model, mask, STEPS) is None


def test_a_unit_that_gives_its_bias_is_not_silent():
    model = dense_net(layers.Dense(3, "relu", name="hidden"))
    hidden = model.get_layer("hidden")
    kernel = np.ones(hidden.kernel.shape)
    kernel[:, :2] = 0
    hidden.kernel.assign(kernel)
    hidden.bias.assign([0.0, 0.5, 0.0])
    flow = Flow(model)
    (outputs,) = [step.output for step in flow.steps if step.operation is hidden]
    assert np.array_equal(Silent(flow).of(outputs), [0, np.nan, np.nan], equal_nan=True)
    assert Living(model).subnetwork().model.get_layer("hidden").units == 2


def test_nothing_dead_nothing_left_out():
    model = network()
    assert Living(model).left_out == 0
    mask = Mask({key: np.ones(v.shape, bool) for key, v in prunable_variables(model).items()})
    assert compact(bound(model, mask), mask, STEPS) is None


def test_splits_of_other_kinds_of_data_still_train():
    rng = np.random.default_rng(0)
    split = Split(rng.normal(size=(40, 6)).astype("float32"), rng.integers(0, 3, 40, "int32"))
    feed = Feed(split, batch_size=8, seed=0, chunk_steps=CHUNK)
    model = compiled(
        keras.Sequential([keras.Input((6,)), layers.Dense(30, "relu"), layers.Dense(3)])
    )
    mask = random_mask(model, 0.1)
    stand_in = compact(bound(model, mask), mask, STEPS)
    assert stand_in is not None
    feed.seek(0)
    logs = stand_in.train_step(feed.batch(0))
    stand_in.push()
    assert set(logs) == {"loss", "accuracy"}
