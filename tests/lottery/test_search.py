import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import leaked, values
from small_search import (
    BATCH,
    CHUNK,
    LEVEL_STEPS,
    REWIND_STEP,
    Observer,
    Subclassed,
    assert_plain,
    assert_same_arrays,
    assert_same_state,
    compiled,
    digits,
    feed,
    network,
    searched,
    strongest,
    unseen,
    validation,
)

from tfticket.data import ChunkedFit
from tfticket.errors import MaskError, ModelError
from tfticket.lottery import OneShotPruning, RandomMask, RandomReinit, ShuffledMask, TicketSearch
from tfticket.lottery.trial import INITIAL, REWIND, MemoryStore
from tfticket.schedules import IterativePruning
from tfticket.sparsity import get_mask, sparsify
from tfticket.sparsity.pruners import LayerwisePruner
from tfticket.state import Snapshot, named_variables
from tfticket.statistics import recalibrate

pytestmark = pytest.mark.slow

TICKETS = [("ticket", 0), ("ticket", 1), ("ticket", 2)]
TWINS = [(name, level) for level in (1, 2) for name in ("reinit", "shuffle", "random")]


class RisingRate(keras.optimizers.schedules.LearningRateSchedule):
    """Spoils the network towards the end, so that it stops early; notes the steps."""

    def __init__(self):
        self.steps = []
        self.rates = keras.optimizers.schedules.PiecewiseConstantDecay([7], [0.1, 3.0])

    def __call__(self, step):
        tf.numpy_function(self.steps.append, [step], [], stateful=True)
        return self.rates(step)


class ReadTestData:
    """The test data, and at which step of which network they were read."""

    def __init__(self, observer):
        self.observer = observer
        self.read = []

    def __call__(self):
        trial = self.observer.now
        self.read.append((*trial, max(self.observer.steps[trial])))
        yield from unseen()

    def data(self):
        signature = unseen().element_spec
        read = tf.data.Dataset.from_generator(self, output_signature=signature)
        return read.apply(tf.data.experimental.assert_cardinality(len(unseen())))


def test_more_threads_than_serve_a_small_network_are_warned_of(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    x, y = np.zeros((2_000, 2), "float32"), np.zeros(2_000, "int32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.build()
    search = TicketSearch(IterativePruning(0.5, levels=1), 1_000, skip=())
    with pytest.warns(UserWarning, match="one thread trains it faster than 2") as told:
        model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[search])
    assert "jit_compile" not in str(told[0].message)


@pytest.fixture(scope="module")
def original():
    """Rewinds to step 0, beside all controls, and sees everything."""
    rate = RisingRate()
    sgd = keras.optimizers.SGD(rate, momentum=0.5)
    model = compiled(network(witness=True), sgd, steps_per_execution=CHUNK)
    observer = Observer(model)
    tests = ReadTestData(observer)
    result = searched(
        model,
        observer=observer,
        pruner=LayerwisePruner({"output/*": 0.5}),
        controls=[RandomReinit(), ShuffledMask(), RandomMask(), OneShotPruning()],
        test_data=tests.data(),
        provenance={"made": "here"},
    )
    result.rate, result.tests = rate, tests
    return result


@pytest.fixture(scope="module")
def late():
    """Rewinds to step k, optimizer and all."""
    model = compiled(network(witness=True), steps_per_execution=CHUNK)
    return searched(
        model, rewind_step=REWIND_STEP, controls=[RandomReinit(), RandomReinit(2), OneShotPruning()]
    )


@pytest.fixture(scope="module")
def whole():
    """What searches that were cut are compared with. Not to be changed."""
    controls = [ShuffledMask(), RandomMask()]
    return searched(compiled(network()), rewind_step=REWIND_STEP, controls=controls)


@pytest.fixture(scope="module")
def ended():
    """Was given more epochs than it needs, and a callback that keeps the learning rate."""
    keeper = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01)
    return searched(compiled(network()), levels=1, epochs=100, callbacks=[keeper])


def batches_by_network(result):
    """The batches that each network was trained on, in the order of training."""
    batches = iter(result.model.get_layer("witness").notes.batches)
    trials = [r.trial for r in result.search.results]
    return {(t.branch, t.level): [next(batches) for _ in range(t.steps)] for t in trials}


def test_level_0_is_the_dense_network(original):
    dense = original.search.tickets[0]
    assert dense.mask.density == 1.0
    assert set(dense.mask) == {"hidden/kernel", "output/kernel"}
    assert_same_arrays(dense.weights, original.search.store.load_snapshot(INITIAL).variables)


def test_tickets_keep_exact_counts_and_only_shrink(original):
    # 1,024 weights at a rate of 0.3, and the 160 of the output layer at half of it.
    counts = [{"hidden/kernel": n, "output/kernel": m} for n, m in ((1024, 160), (717, 136))]
    counts.append({"hidden/kernel": 717 - 215, "output/kernel": 136 - 20})
    tickets = original.search.tickets
    assert [ticket.mask.counts() for ticket in tickets] == counts
    assert [ticket.level for ticket in tickets] == [0, 1, 2]
    assert tickets[2].mask.is_subset_of(tickets[1].mask)


def test_the_survivors_are_the_weights_that_ended_largest(original):
    before, after = original.search.tickets[1:]
    final = original.observer.ended["ticket", 1].variables
    for key, mask in after.mask.items():
        expected = strongest(final[key], before.mask[key], after.mask.counts()[key])
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("level", [1, 2])
def test_tickets_go_back_to_the_beginning_bit_for_bit(original, level):
    initial = original.search.store.load_snapshot(INITIAL)
    ticket, started = original.search.tickets[level], original.observer.started["ticket", level]
    expected = ticket.mask.apply(initial.variables)
    assert_same_arrays(ticket.weights, expected)
    assert ticket.rewind_step == 0
    assert_same_state(started, Snapshot(expected, initial.optimizer, 0))
    assert any("seed_generator" in key for key in started.variables)
    assert "norm/moving_mean" in started.variables


def test_pruned_weights_are_zero_at_each_evaluation(original):
    for (branch, level), states in original.observer.steps.items():
        mask = original.search.store.ticket(branch, level).mask
        for state in states.values():
            assert_same_arrays(state.variables, mask.apply(state.variables))


def test_the_early_stop_step_is_the_first_minimum_of_the_validation_loss(original):
    for result in original.search.results:
        trial = result.trial
        rows = [r for r in original.rows if (r.branch, r.level) == (trial.branch, trial.level)]
        losses = [r for r in rows if (r.split, r.name) == ("validation", "loss")]
        assert [row.step for row in losses] == [4, 8, 12]
        lowest = losses[int(np.argmin([row.value for row in losses]))]
        assert result.early_stop_step == lowest.step < LEVEL_STEPS
        assert [r.value for r in rows if r.name == "early_stop_step"] == [lowest.step]


def test_test_metrics_are_those_of_the_early_stop_step_and_of_the_end(original):
    model = compiled(network(witness=True))
    for result in original.search.results[:3]:
        trial = result.trial.branch, result.trial.level
        steps = original.observer.steps[trial]
        for step, metrics in (
            (result.early_stop_step, result.at_early_stop),
            (LEVEL_STEPS, result.at_end),
        ):
            Snapshot(steps[step].variables, None, step).restore(model)
            expected = model.evaluate(unseen(), verbose=0, return_dict=True)
            assert metrics == pytest.approx(expected)
        assert result.at_end != result.at_early_stop


def test_test_data_are_read_only_when_a_network_has_ended(original):
    networks = [(r.trial.branch, r.trial.level) for r in original.search.results]
    twice = [(*network, LEVEL_STEPS) for network in networks for _ in range(2)]
    assert original.tests.read == twice


def test_networks_are_trained_level_by_level_with_controls_beside_them(original):
    assert [(r.trial.branch, r.trial.level) for r in original.search.results] == [
        ("ticket", 0),
        ("ticket", 1),
        ("reinit", 1),
        ("shuffle", 1),
        ("random", 1),
        ("ticket", 2),
        ("reinit", 2),
        ("shuffle", 2),
        ("random", 2),
        ("oneshot", 2),
    ]
    assert original.search.pending() == []


def test_each_network_sees_the_same_batches_in_the_same_order(original):
    batches = batches_by_network(original)
    first = batches["ticket", 0]
    assert len(set(first)) == LEVEL_STEPS
    assert all(order == first for order in batches.values())


def test_each_network_sees_the_same_learning_rates(original):
    steps = [int(step) for step in original.rate.steps]
    assert steps == list(range(LEVEL_STEPS)) * len(original.search.results)


def test_one_trace_of_the_training_step_serves_all_networks(original):
    assert original.model.get_layer("witness").notes.traces == 1


def test_the_model_ends_as_the_last_network_with_nothing_left_on_it(original):
    state = Snapshot.capture(original.model, step=LEVEL_STEPS)
    assert_same_state(state, original.observer.ended["oneshot", 2])
    # Testing it at its early-stop step has left no trace.
    assert_same_state(state, original.observer.steps["oneshot", 2][LEVEL_STEPS])
    assert_plain(original.model)


def test_the_rows_say_where_and_when_each_value_was_measured(original):
    per_epoch = len(digits().train) / BATCH
    assert {row.seed for row in original.rows} == {0}
    for row in original.rows:
        assert row.epoch == round(row.step / per_epoch, 4)
    ticket = original.search.tickets[2].mask
    level = {
        r.name: r.value for r in original.rows if (r.branch, r.level, r.split)[1:] == (2, "summary")
    }
    assert (level["remaining"], level["prunable"]) == (ticket.kept, ticket.total)
    assert level["density"] == ticket.density


def test_a_ticket_says_where_it_came_from(original):
    provenance = original.search.tickets[1].provenance
    assert (provenance["made"], provenance["seed"], provenance["branch"]) == ("here", 0, "ticket")
    result = original.search.results[1]
    assert provenance["result"]["at_end"] == result.at_end


@pytest.mark.parametrize("level", [1, 2])
def test_late_rewinding_restores_all_that_was_at_step_k(late, level):
    kept = late.observer.steps["ticket", 0][REWIND_STEP]
    assert_same_state(late.search.store.load_snapshot(REWIND), kept)
    ticket, started = late.search.tickets[level], late.observer.started["ticket", level]
    expected = ticket.mask.apply(kept.variables)
    assert_same_arrays(ticket.weights, expected)
    assert ticket.rewind_step == REWIND_STEP
    assert_same_state(started, Snapshot(expected, kept.optimizer, REWIND_STEP))


def test_the_step_k_that_is_restored_has_moved_on_in_every_kind_of_state(late):
    initial = late.search.store.load_snapshot(INITIAL)
    kept = late.search.store.load_snapshot(REWIND)
    for key in ("hidden/kernel", "norm/moving_variance", "drop/seed_generator_state"):
        assert not np.array_equal(initial.variables[key], kept.variables[key]), key
    assert int(kept.optimizer[0]) == REWIND_STEP
    assert all(np.any(slot) for slot in kept.optimizer)


def test_late_tickets_go_on_with_the_data_and_the_steps_of_step_k(late):
    batches = batches_by_network(late)
    assert batches["ticket", 1] == batches["ticket", 2] == batches["ticket", 0][REWIND_STEP:]
    steps = [r.step for r in late.rows if (r.branch, r.level, r.name) == ("ticket", 1, "loss")]
    assert steps == [8, 8, 12, 12]
    final = late.observer.ended["ticket", 1].optimizer
    assert int(final[0]) == LEVEL_STEPS


def test_a_reinitialized_control_of_a_late_ticket_gets_the_k_steps_too(late):
    initial = late.search.store.load_snapshot(INITIAL)
    batches = batches_by_network(late)
    for branch in ("reinit", "reinit_2"):
        started = late.observer.started[branch, 2]
        assert (started.step, int(started.optimizer[0])) == (0, 0)
        assert batches[branch, 2] == batches["ticket", 0]
        assert late.search.store.ticket(branch, 2).mask == late.search.tickets[2].mask
        for key in ("norm/gamma", "drop/seed_generator_state"):
            np.testing.assert_array_equal(started.variables[key], initial.variables[key])
    one, other = (late.observer.started[b, 2].variables for b in ("reinit", "reinit_2"))
    kept = late.search.tickets[2].mask["hidden/kernel"]
    for a, b in ((one, other), (one, initial.variables), (other, initial.variables)):
        assert np.mean((a["hidden/kernel"] != b["hidden/kernel"])[kept]) > 0.99


def test_one_shot_pruning_prunes_the_dense_network_to_the_ticket_s_total(late):
    control = late.search.store.ticket("oneshot", 2)
    assert control.mask.kept == late.search.tickets[2].mask.kept
    dense = late.observer.ended["ticket", 0].variables
    flat = np.concatenate([dense[key].ravel() for key in control.mask])
    expected = strongest(flat, np.ones(flat.size, bool), control.mask.kept)
    actual = np.concatenate([mask.ravel() for mask in control.mask.values()])
    np.testing.assert_array_equal(actual, expected)
    assert late.observer.started["oneshot", 2].step == REWIND_STEP


def test_a_fresh_optimizer_has_empty_slots_and_goes_on_at_step_k():
    result = searched(
        compiled(network()), levels=1, rewind_step=REWIND_STEP, optimizer_state="fresh"
    )
    names = [variable.path for variable in result.model.optimizer.variables]
    started = result.observer.started["ticket", 1]
    for name, value in zip(names, started.optimizer, strict=True):
        if name.endswith("iteration"):
            assert int(value) == REWIND_STEP
        elif name.endswith("learning_rate"):
            assert value == np.float32(0.01)
        else:
            assert not value.any(), name
    kept = result.observer.steps["ticket", 0][REWIND_STEP]
    assert_same_arrays(started.variables, result.search.tickets[1].mask.apply(kept.variables))


def test_learning_rate_rewinding_goes_on_with_the_trained_weights_and_the_rates_of_step_k():
    result = searched(compiled(network()), rewind="learning_rate", rewind_step=REWIND_STEP)
    kept = result.observer.steps["ticket", 0][REWIND_STEP]
    for level in (1, 2):
        trained = result.observer.ended["ticket", level - 1].variables
        expected = result.search.tickets[level].mask.apply(trained)
        started = result.observer.started["ticket", level]
        assert_same_state(started, Snapshot(expected, kept.optimizer, REWIND_STEP))
    # The weights of the next ticket are those that training ended with, not the initial ones.
    assert_same_arrays(result.search.tickets[2].weights, expected)


def test_fine_tuning_goes_on_with_weights_optimizer_and_steps():
    result = searched(compiled(network()), rewind="none")
    for level in (1, 2):
        ended = result.observer.ended["ticket", level - 1]
        expected = result.search.tickets[level].mask.apply(ended.variables)
        started = result.observer.started["ticket", level]
        assert_same_state(started, Snapshot(expected, ended.optimizer, 0))
        assert int(started.optimizer[0]) == level * LEVEL_STEPS


def test_weights_can_be_scored_at_the_early_stop_step():
    model = compiled(network(), keras.optimizers.SGD(RisingRate()))
    result = searched(model, levels=1, score_at="early_stop", pruner=LayerwisePruner())
    step = result.search.results[0].early_stop_step
    assert step < LEVEL_STEPS
    states = result.observer.steps["ticket", 0]
    mask = result.search.tickets[1].mask
    for key, array in mask.items():
        scored = states[step].variables[key], states[LEVEL_STEPS].variables[key]
        early, end = (strongest(w, np.ones(w.shape, bool), mask.counts()[key]) for w in scored)
        np.testing.assert_array_equal(array, early)
        assert not np.array_equal(early, end)


def fitted_before(model):
    """Traps the masks: Keras has a traced step of this model already."""
    model.fit(feed().dataset(), shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: fitted_before(compiled(network())), id="fitted before"),
        pytest.param(lambda: compiled(Subclassed.built()), id="subclassed"),
        pytest.param(lambda: compiled(sparsify(network())), id="sparsified"),
        pytest.param(
            lambda: compiled(network(), keras.optimizers.SGD(0.1, global_clipnorm=0.5)),
            id="clipped by norm",
        ),
        pytest.param(
            lambda: compiled(
                network(policy="mixed_float16"),
                keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
            ),
            id="mixed precision",
        ),
    ],
)
def test_any_model_that_keras_can_fit_is_searched_without_leaks(make):
    model = make()
    initial = Snapshot.capture(model, step=0)
    plain = {key: v.constraint for key, v in named_variables(model).items()}
    result = searched(model, levels=1, rewind_step=REWIND_STEP)
    ticket = result.search.tickets[1]
    assert ticket.mask.kept == ticket.mask.total - round(0.3 * ticket.mask.total)
    kept = result.observer.steps["ticket", 0][REWIND_STEP]
    started = result.observer.started["ticket", 1]
    assert_same_state(
        started, Snapshot(ticket.mask.apply(kept.variables), kept.optimizer, REWIND_STEP)
    )
    assert_same_arrays(result.search.tickets[0].weights, initial.variables)
    assert leaked(model, ticket.mask) == 0
    final = result.observer.ended["ticket", 1].variables
    for key, mask in ticket.mask.items():
        moved = (final[key] != started.variables[key])[mask]
        assert np.mean(moved) > 0.7, "survivors learn, but for those of pixels that are blank"
    assert {key: v.constraint for key, v in named_variables(model).items()} == plain
    assert "apply" not in vars(model.optimizer)


def test_a_sparsified_model_keeps_the_last_mask_as_its_own():
    model = compiled(sparsify(network(), skip=["output/*"]))
    result = searched(model, levels=1)
    assert get_mask(model) == result.search.tickets[1].mask
    assert set(get_mask(model)) == {"hidden/kernel"}


def test_plain_arrays_are_enough():
    sets = digits()
    x, y = sets.train.x * sets.scale, sets.train.y
    model = compiled(network(), steps_per_execution=1)
    search = TicketSearch(
        IterativePruning(0.5, levels=1), level_steps=14, test_data=(x, y), skip=["output/*"]
    )
    epochs = search.epochs(steps_per_epoch=7)
    assert epochs == 4
    model.fit(x, y, batch_size=32, epochs=epochs, callbacks=[search], verbose=0)
    dense, sparse = search.results
    assert (dense.density, sparse.density) == (1.0, 0.5)
    # Nobody can tell an early-stop step without validation data.
    assert dense.early_stop_step is None
    assert dense.at_early_stop == {}
    assert set(dense.at_end) == {"loss", "accuracy"}
    assert len(model.history.epoch) == 4
    assert set(search.tickets[1].mask) == {"hidden/kernel"}


def test_more_epochs_than_needed_stop_when_the_last_network_ends(ended):
    assert len(ended.model.history.epoch) == 2 * LEVEL_STEPS // CHUNK


class Interrupts(keras.callbacks.Callback):
    """Ctrl-C while a batch is trained."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch:
            raise KeyboardInterrupt


def test_a_search_that_was_interrupted_goes_on_as_if_nothing_had_been(whole):
    model = compiled(network())
    batches = feed()
    search = TicketSearch(
        IterativePruning(0.3, levels=2),
        LEVEL_STEPS,
        feed=batches,
        store=MemoryStore(),
        test_data=unseen(),
        rewind_step=REWIND_STEP,
        controls=[ShuffledMask(), RandomMask()],
    )

    def fit(*others):
        model.fit(
            **batches.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=CHUNK),
            validation_data=validation(),
            callbacks=[search, *others],
            verbose=0,
        )

    for epoch in (1, 6, 5):  # in the dense network, the first control, the second ticket
        with pytest.raises(KeyboardInterrupt):
            fit(Interrupts(epoch))
    fit()

    assert_plain(model)
    assert [t.sha256 for t in search.tickets] == [t.sha256 for t in whole.search.tickets]
    last = Snapshot.capture(model, step=LEVEL_STEPS)
    assert_same_state(last, whole.observer.ended["random", 2])
    assert measured(search.store.rows) == measured(whole.rows)


def test_another_search_takes_over_a_model_whose_fit_was_interrupted():
    optimizer = keras.optimizers.SGD(0.1, clipnorm=1.0)
    model = compiled(network(), optimizer)
    with pytest.raises(KeyboardInterrupt):
        searched(model, levels=1, callbacks=[Interrupts(4)])
    assert np.any(values(model)["output/kernel"] == 0)
    result = searched(model, levels=1)
    dense = result.observer.ended["ticket", 0]
    assert np.all(dense.variables["output/kernel"] != 0)
    assert_plain(model)


def measured(rows):
    return [row for row in rows if row.name != "seconds"]


def test_a_search_in_another_process_needs_only_the_store(whole):
    store = MemoryStore()
    cut = searched(compiled(network()), levels=1, rewind_step=REWIND_STEP, store=store, cut_after=1)
    assert_plain(cut.model)
    # Another model: what it holds by chance must not matter.
    other = compiled(network(seed=99))
    rest = searched(other, levels=1, rewind_step=REWIND_STEP, store=store)
    assert [(r.trial.branch, r.trial.level) for r in rest.search.results] == [("ticket", 1)]
    assert rest.search.tickets[1].sha256 == whole.search.tickets[1].sha256
    assert_same_state(rest.observer.ended["ticket", 1], whole.observer.ended["ticket", 1])


def test_statistics_of_pruned_networks_are_taken_again_also_when_a_search_goes_on(
    whole,
):
    batches = [digits().train.x[:96] / 255.0, digits().train.x[96:140] / 255.0]
    options = {"levels": 1, "rewind_step": REWIND_STEP, "controls": [RandomMask()]}
    options["recalibrate"] = batches
    taken = searched(compiled(network()), **options)
    begun, as_it_was = taken.observer.started, whole.observer.started
    assert_same_state(begun["ticket", 0], as_it_was["ticket", 0])
    statistics = {"norm/moving_mean", "norm/moving_variance"}
    model = compiled(network())
    for trial in [("ticket", 1), ("random", 1)]:
        ours, theirs = begun[trial].variables, as_it_was[trial].variables
        changed = {key for key in ours if not np.array_equal(ours[key], theirs[key])}
        assert changed == statistics
        begun[trial].restore(model)
        recalibrate(model, batches)
        assert_same_arrays(Snapshot.capture(model, step=0).variables, ours)
    ticket = taken.search.tickets[1].weights
    for key in statistics:
        np.testing.assert_array_equal(ticket[key], begun["ticket", 1].variables[key])

    store = MemoryStore()
    searched(compiled(network()), **options, store=store, cut_after=1)
    rest = searched(compiled(network(seed=99)), **options, store=store)
    assert rest.search.tickets[1].sha256 == taken.search.tickets[1].sha256
    assert_same_state(rest.observer.ended["random", 1], taken.observer.ended["random", 1])


def test_a_search_that_is_finished_says_so(ended):
    result = ended
    assert result.search.epochs(steps_per_epoch=CHUNK) == 0
    arguments = {**result.feed.fit_arguments(), "callbacks": [result.search], "verbose": 0}
    before = Snapshot.capture(result.model, step=0)
    result.model.fit(**arguments, epochs=0)
    with pytest.raises(ModelError, match="Nothing is left to train"):
        result.model.fit(**arguments, epochs=1)
    assert_same_state(Snapshot.capture(result.model, step=0), before)
    assert_plain(result.model)


def refused(match, *, model=None, callbacks=(), steps=CHUNK, data=None, **options):
    """Fits with a search that raises, and leaves the model plain."""
    model = model or compiled(network(), keras.optimizers.SGD(0.1, clipnorm=1.0))
    search = TicketSearch(IterativePruning(0.3, levels=1), LEVEL_STEPS, **options)
    with pytest.raises(ModelError, match=match):
        model.fit(
            data or feed().dataset(endless=True),
            steps_per_epoch=steps,
            epochs=10,
            callbacks=[search, *callbacks],
            shuffle=False,
            verbose=0,
        )
    assert_plain(model)


def test_a_callback_that_changes_the_learning_rate_is_refused():
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))
    refused("must see the same learning rates", callbacks=[scheduler])


def test_a_learning_rate_that_another_callback_keeps_is_fine(ended):
    assert len(ended.search.tickets) == 2


@pytest.mark.parametrize(
    ("steps", "options", "divisor"),
    [(5, {}, 12), (4, {"rewind_step": 6}, 6), (6, {"rewind_step": 3}, 3)],
)
def test_epochs_that_do_not_end_with_the_networks_are_refused(steps, options, divisor):
    refused(rf"`steps_per_epoch` that divides {divisor}\.", steps=steps, **options)
    search = TicketSearch(IterativePruning(0.3, levels=1), LEVEL_STEPS, **options)
    with pytest.raises(ModelError, match=f"epochs of {steps} steps"):
        search.epochs(steps_per_epoch=steps)


def test_data_of_unknown_length_are_refused():
    refused("needs the number of steps of an epoch", steps=None)


def test_a_control_that_is_the_ticket_is_refused_before_it_is_trained():
    model = compiled(network(initializer="ones"))
    with pytest.raises(AssertionError, match=r"`reinit` of level 1 .* initialized to constants\?"):
        searched(model, levels=1, controls=[RandomReinit()], observer=(seen := Observer(model)))
    assert set(seen.started) == {("ticket", 0), ("ticket", 1)}
    assert_plain(model)


def early(search_options, fit_options, chunked=False):
    """A search of two networks; with validation data it is evaluated early, too."""
    model = compiled(network(seed=3), **fit_options)
    batches = feed()
    search = TicketSearch(
        IterativePruning(0.3, levels=1),
        LEVEL_STEPS,
        feed=batches,
        store=MemoryStore(),
        **search_options,
    )
    model.fit(
        **batches.fit_arguments(),
        epochs=search.epochs(steps_per_epoch=CHUNK),
        validation_data=validation(),
        callbacks=[search, *([ChunkedFit(batches)] if chunked else [])],
        verbose=0,
    )
    rows = [row for row in search.store.rows if row.name != "seconds"]
    return search, {
        split: [(r.level, r.step, r.name, r.value) for r in rows if r.split == split]
        for split in ("train", "validation")
    }


@pytest.fixture(scope="module")
def by_single_steps():
    return early({"validation_data": validation()}, {"steps_per_execution": 1})


def test_early_evaluations_show_more_and_change_nothing(by_single_steps):
    plain, without = early({}, {"steps_per_execution": 1})
    search, rows = by_single_steps
    assert rows["train"] == without["train"]
    assert set(without["validation"]) < set(rows["validation"])
    # A tenth of an epoch of 4 steps is one step; from 9 steps on an epoch is near enough.
    steps = [step for level, step, name, _ in rows["validation"] if (level, name) == (1, "loss")]
    assert steps == [1, 2, 3, 4, 5, 6, 8, 9, 12]
    for ours, theirs in zip(search.tickets, plain.tickets, strict=True):
        assert ours.mask == theirs.mask
        assert_same_arrays(ours.weights, theirs.weights)
    assert_same_state(search.store.final("ticket", 1), plain.store.final("ticket", 1))
    curve = search.results[1].validation_loss
    assert curve.steps == (1, 2, 3, 4, 5, 6, 8, 9, 12)
    assert search.results[1].early_stop_step == curve.steps[np.argmin(curve.losses)]


def test_early_evaluations_within_a_chunk_are_those_between_single_steps(by_single_steps):
    _, single = by_single_steps
    search, chunked = early(
        {"validation_data": validation()}, {"steps_per_execution": CHUNK}, chunked=True
    )
    for split in ("train", "validation"):
        assert [row[:3] for row in chunked[split]] == [row[:3] for row in single[split]]
        ours, theirs = ([row[3] for row in rows[split]] for rows in (chunked, single))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    _, without = early({}, {"steps_per_execution": CHUNK}, chunked=True)
    assert chunked["train"] == without["train"]
    assert search.results[0].validation_loss.steps[0] == 1


def test_executions_of_several_steps_are_evaluated_where_they_end():
    _, rows = early({"validation_data": validation()}, {"steps_per_execution": 2})
    steps = [step for level, step, name, _ in rows["validation"] if (level, name) == (0, "loss")]
    assert steps == [2, 4, 6, 8, 10, 12]


def test_a_ticket_that_begins_late_is_not_evaluated_before():
    search, _ = early(
        {"validation_data": validation(), "rewind_step": REWIND_STEP}, {"steps_per_execution": 1}
    )
    assert search.results[0].validation_loss.steps == (1, 2, 3, 4, 5, 6, 8, 9, 12)
    assert search.results[1].validation_loss.steps == (5, 6, 8, 9, 12)


# What people have: other callbacks, data that end, training steps of their own.


def plain_search(model=None, callbacks=(), levels=1, epochs=None, data=None, **options):
    """A search under plain `fit` on arrays of 8 batches, two epochs a network."""
    model = model or compiled(network(seed=1))
    x, y = (part[:128] for part in (digits().train.x / np.float32(16), digits().train.y))
    search = TicketSearch(IterativePruning(0.5, levels=levels), 16, **options)
    arrays = {"x": x, "y": y, "batch_size": 16, "shuffle": False}
    history = model.fit(
        **(arrays if data is None else data),
        epochs=search.epochs(steps_per_epoch=8) if epochs is None else epochs,
        validation_data=(x[:40], y[:40]),
        callbacks=[each if each is not ... else search for each in (*callbacks, ...)]
        if ... not in callbacks
        else [search if each is ... else each for each in callbacks],
        verbose=0,
    ).history
    return model, search, history


def test_a_checkpoint_holds_the_network_whose_metrics_are_logged(tmp_path):
    before, behind = (
        keras.callbacks.ModelCheckpoint(
            tmp_path / f"{order}{{epoch}}.weights.h5", save_weights_only=True
        )
        for order in ("before", "behind")
    )
    model, search, history = plain_search(callbacks=(before, ..., behind), levels=2)
    x, y = (part[:40] for part in (digits().train.x / np.float32(16), digits().train.y))
    for order, epoch in itertools.product(("before", "behind"), range(6)):
        model.load_weights(tmp_path / f"{order}{epoch + 1}.weights.h5")
        found = model.evaluate(x, y, verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(history["val_loss"][epoch], abs=1e-5)
    ends = [result.at_end["loss"] for result in search.results]
    assert ends == pytest.approx(history["val_loss"][1::2])


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (lambda path: keras.callbacks.BackupAndRestore(path), "half-trained weights"),
        (
            lambda path: keras.callbacks.EarlyStopping(restore_best_weights=True),
            "best epoch of all networks",
        ),
    ],
    ids=["BackupAndRestore", "EarlyStopping"],
)
@pytest.mark.parametrize("order", ["before", "behind"])
def test_callbacks_that_leave_other_weights_are_refused_by_name(callback, message, order, tmp_path):
    other = callback(tmp_path / "backup")
    with pytest.raises(ModelError, match=rf"`{type(other).__name__}.*{message}") as refused:
        plain_search(callbacks=(other, ...) if order == "before" else (..., other))
    assert "\n" not in str(refused.value)


def test_a_fit_that_ends_too_soon_says_how_many_networks_are_left():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    for options in ({"epochs": 3}, {"callbacks": (Stop(), ...)}):
        with pytest.warns(UserWarning, match="2 of 3 networks of the search still to train"):
            _, search, _ = plain_search(levels=2, **options)
        assert len(search.results) == 1


def test_a_search_that_goes_on_keeps_its_results():
    model = compiled(network(seed=1))
    x, y = (part[:128] for part in (digits().train.x / np.float32(16), digits().train.y))
    search = TicketSearch(IterativePruning(0.5, levels=1), 16)
    with pytest.warns(UserWarning, match="to go on"):
        model.fit(x, y, batch_size=16, epochs=2, callbacks=[search], verbose=0)
    epochs = search.epochs(steps_per_epoch=8)
    assert epochs == 2
    model.fit(x, y, batch_size=16, epochs=epochs, callbacks=[search], verbose=0)
    assert [result.trial.level for result in search.results] == [0, 1]
    with pytest.raises(ModelError, match="Nothing is left to train"):
        model.fit(x, y, batch_size=16, epochs=2, callbacks=[search], verbose=0)
    assert [result.trial.level for result in search.results] == [0, 1]
    assert [ticket.level for ticket in search.tickets] == [0, 1]


@pytest.mark.filterwarnings("ignore:.*ran out of data")
@pytest.mark.parametrize("executed", [1, 4])
def test_data_that_run_out_are_refused(executed):
    x, y = (part[:96] for part in (digits().train.x / np.float32(16), digits().train.y))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    model = compiled(network(seed=1), steps_per_execution=executed)
    with pytest.raises(ModelError, match=r"ran out after \d of the 8 steps .*repeat"):
        plain_search(model, data={"x": data, "steps_per_epoch": 8, "shuffle": False})


@pytest.mark.parametrize("executed", [1, 8])
def test_data_that_repeat_and_accumulated_gradients_are_counted_right(executed):
    x, y = (part[:96] for part in (digits().train.x / np.float32(16), digits().train.y))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16).repeat()
    sgd = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = compiled(network(seed=1), sgd, steps_per_execution=executed)
    _, search, _ = plain_search(model, data={"x": data, "steps_per_epoch": 8, "shuffle": False})
    assert len(search.results) == 2


class OwnStep(Subclassed):
    """Two updates a step, by two optimizers, and a count of steps."""

    def __init__(self):
        super().__init__()
        self.second = keras.optimizers.Adam(0.01)
        self.seen = keras.Variable(0, dtype="int32", trainable=False, name="seen")

    def train_step(self, data):
        x, y = data
        for optimizer in (self.optimizer, self.second):
            with tf.GradientTape() as tape:
                predicted = self(x, training=True)
                loss = self.compute_loss(x, y, predicted)
            variables = self.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
        self.seen.assign_add(1)
        return self.compute_metrics(x, y, predicted)


def test_all_that_a_step_of_ones_own_changes_is_rewound():
    model = compiled(OwnStep.built())
    model.second.build(model.trainable_variables)
    begins = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: begins.append(
            (int(model.optimizer.iterations), int(model.second.iterations), int(model.seen.value))
        )
    )
    plain_search(model, callbacks=(..., watch), levels=2)
    assert begins == [(0, 0, 0), (8, 8, 8)] * 3


def test_an_optimizer_that_training_would_build_is_refused():
    model = compiled(OwnStep.built())
    with pytest.raises(ModelError, match=r"`second` .*isn't built.*model\.second\.build"):
        plain_search(model)


def test_plain_numbers_that_training_changes_are_refused():
    class Counts(Subclassed):
        def train_step(self, data):
            self.steps_seen = getattr(self, "steps_seen", 0) + 1
            return super().train_step(data)

    model = compiled(Counts.built(), run_eagerly=True)
    with pytest.raises(ModelError, match=r"`steps_seen`.*keras\.Variable"):
        plain_search(model)


def test_metrics_may_be_vectors_and_test_data_may_be_weighted():
    model = network(seed=1)
    model.compile(
        "sgd",
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.F1Score(name="f1")],
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )
    x = digits().train.x[:128] / np.float32(16)
    y = keras.utils.to_categorical(digits().train.y[:128], 10)
    half = (np.arange(128) < 64).astype("float32")
    search = TicketSearch(IterativePruning(0.5, levels=1), 8, test_data=(x, y, half))
    model.fit(x, y, batch_size=16, epochs=2, callbacks=[search], verbose=0)
    at_end = search.results[-1].at_end
    assert sum(name.startswith("f1_") for name in at_end) == 10
    expected = model.evaluate(x[:64], y[:64], verbose=0, return_dict=True)
    assert at_end["accuracy"] == pytest.approx(expected["accuracy"])


def test_a_pruner_that_will_refuse_says_so_before_anything_is_trained():
    model = compiled(network(seed=1))
    with pytest.raises(MaskError, match=r"would stop at level 2 of 4: At least one weight.*output"):
        plain_search(model, levels=4, pruner=LayerwisePruner({"output/*": 1.98}))
    assert int(model.optimizer.iterations) == 0
    assert_plain(model)


def test_an_eager_model_is_evaluated_meanwhile():
    x, y = np.ones((4, 2), "float32"), np.zeros(4, "int32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    search = TicketSearch(IterativePruning(0.5, levels=1), 2, skip=())
    model.fit(x, y, batch_size=2, epochs=2, validation_data=(x, y), verbose=0, callbacks=[search])
    assert len(search.tickets) == 2
