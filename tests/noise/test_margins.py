"""Margins along a training, against NumPy; and that an audit leaves nothing behind."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import Subclassed, batch, compiled, logits_loss, mlp, noisy_convnet
from small_pair import softmax

from tfticket.errors import DataError, ModelError, TicketError
from tfticket.noise import MarginAudit, MarginRecord, with_threshold_class

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
X, Y = batch(examples=20)


def identified(y, ids=None):
    return {"given": y, "id": np.arange(len(y)) if ids is None else ids}


def audited(model, x=X, y=Y, *, audit=None, epochs=3, **options):
    """The record of a training in the order of the data, in batches of 8, 8 and 4."""
    audit = audit or MarginAudit(len(x))
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    model.fit(x, identified(y), epochs=epochs, callbacks=[audit], **settings)
    return audit.record


def linear(last=None, units=3, loss=None, dtype=None, **options):
    """The same initial weights each time."""
    model = mlp((6, units), last=last, dtype=dtype)
    kernel = np.linspace(-1, 1, 18).reshape(6, 3)[:, :units]
    model.set_weights([kernel, np.zeros(units)])
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
    model.compile(keras.optimizers.SGD(0.5), loss, **{"jit_compile": False, **options})
    return model


def numpy_record(x, y, *, epochs, lr=0.5):
    """Softmax regression by gradient descent: margins, hits, forgettings, sums of probabilities."""
    w, b = np.linspace(-1, 1, 18).reshape(6, 3), np.zeros(3)
    margins, hits, p = np.zeros((3, epochs, len(x))), [], np.zeros((len(x), 3))
    for epoch in range(epochs):
        for rows in np.split(np.arange(len(x)), [8, 16]):
            z, one = x[rows] @ w + b, np.eye(3)[y[rows]]
            margins[0, epoch, rows] = (z * one).sum(1) - np.where(one, -np.inf, z).max(1)
            p[rows] += softmax(z)
            slope = (softmax(z) - one) / len(rows)
            w, b = w - lr * x[rows].T @ slope, b - lr * slope.sum(0)
    hits = margins[0] > 0
    return margins[0].sum(0), hits.sum(0), (hits[:-1] & ~hits[1:]).sum(0), p


def assert_as_numpy(record, *, epochs=3, atol=1e-5):
    margins, hits, forgettings, p = numpy_record(X, Y, epochs=epochs)
    np.testing.assert_allclose(record.margin_sums, margins, atol=atol)
    np.testing.assert_array_equal(record.correct, hits)
    np.testing.assert_array_equal(record.forgetting_events, forgettings)
    np.testing.assert_array_equal(record.epochs, epochs)
    np.testing.assert_array_equal(record.given, Y)
    np.testing.assert_allclose(record.probability_sums, p, atol=atol)
    np.testing.assert_array_equal(record.suggested, p.argmax(1))
    return forgettings


WAYS = {
    "graph": {"jit_compile": False},
    "XLA": {"jit_compile": True},
    "several steps a call": {"jit_compile": False, "steps_per_execution": 2},
    "XLA, several steps a call": {"jit_compile": True, "steps_per_execution": 2},
    "eagerly": {"run_eagerly": True},
}
ways = pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())


@ways
def test_as_in_ten_lines_of_numpy(options):
    forgettings = assert_as_numpy(audited(linear(**options), epochs=5), epochs=5)
    assert forgettings.any()


def test_probabilities_one_hot_labels_and_columns_give_the_same():
    assert_as_numpy(audited(linear("softmax")))
    rows = linear(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    assert_as_numpy(audited(rows, y=np.eye(3)[Y]))
    assert_as_numpy(audited(linear(), y=Y[:, None]))


def test_one_output_stands_for_two_classes():
    y = Y % 2
    by = {}
    for last in (None, "sigmoid"):
        loss = keras.losses.BinaryCrossentropy(from_logits=last is None)
        by[last] = audited(linear(last, 1, loss), y=y)
    np.testing.assert_allclose(by[None].margin, by["sigmoid"].margin, rtol=1e-4, atol=1e-4)
    p = by[None].probabilities
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    one = audited(linear(None, 1, loss), y=y, epochs=1, batch_size=20, audit=MarginAudit(20))
    z = X @ np.linspace(-1, 1, 18).reshape(6, 3)[:, 0]
    np.testing.assert_allclose(one.margin, np.where(y == 1, z, -z), atol=1e-5)


def test_a_subclassed_model_shows_by_its_loss_what_it_gives():
    record = audited(compiled(Subclassed()))
    assert np.isfinite(record.margin).all()


def trained(options, policy="float32", *, audit=None, order=None):
    """All that a training changes, in Keras' own random order; with and without an audit."""
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(3)
    model = noisy_convnet()
    x, y = batch((6, 6, 2), examples=20)
    rate = keras.optimizers.AdamW(0.01, clipnorm=0.5, use_ema=True)
    model.compile(rate, logits_loss(), metrics=["accuracy"], **options)
    history = model.fit(
        x,
        identified(y) if audit else y,
        sample_weight=np.linspace(0, 2, 20),
        validation_data=(x, y),
        batch_size=8,
        epochs=2,
        verbose=0,
        callbacks=[audit] if audit else [],
    ).history
    state = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.array(v.numpy()) for v in state], history, model


POLICIES = [(way, "float32") for way in WAYS if way != "XLA"] + [("graph", "mixed_float16")]


@pytest.mark.parametrize(("way", "policy"), POLICIES)
def test_training_stays_bit_identical_and_the_model_as_it_was(way, policy):
    without, history, _ = trained(WAYS[way], policy)
    audit = MarginAudit(20)
    observed, same, model = trained(WAYS[way], policy, audit=audit)
    assert history == same
    for ours, theirs in zip(observed, without, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "compute_loss" not in vars(model)
    assert model.train_function.__module__.startswith("keras.")
    np.testing.assert_array_equal(audit.record.epochs, 2)
    assert np.isfinite(audit.record.margin).all()
    np.testing.assert_array_equal(audit.record.given, batch((6, 6, 2), examples=20)[1])


def test_ids_come_with_tf_data_in_any_order_and_some_examples_are_never_seen():
    ids = np.array([17, 3, 5, 12, 0, 9])
    data = tf.data.Dataset.from_tensor_slices(ids).shuffle(6, seed=0).batch(4)
    data = data.map(lambda i: (tf.gather(X, i), {"given": tf.gather(Y, i), "id": i}))
    model, audit = linear(), MarginAudit(20)
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[audit])
    record = audit.record
    np.testing.assert_array_equal(np.flatnonzero(record.epochs == 2), np.sort(ids))
    np.testing.assert_array_equal(record.given[ids], Y[ids])
    unseen = np.setdiff1d(np.arange(20), ids)
    assert np.isnan(record.margin[unseen]).all()
    assert (record.suggested[unseen] == -1).all()
    assert sorted(record.ranking) == sorted(ids)
    assert record.to_rows()[1]["score"] is None
    assert "14 examples had no part in the training." in record.summary()


def test_a_training_in_two_parts_has_the_record_of_one(tmp_path):
    whole = audited(linear(), epochs=4)
    model, first = linear(), MarginAudit(20)
    path = audited(model, audit=first, epochs=2).save(tmp_path / "margins.npz")
    second = MarginAudit(20, start=MarginRecord.load(path))
    record = audited(model, audit=second, epochs=2)
    for name in ("margin_sums", "epochs", "correct", "forgetting_events", "probability_sums"):
        np.testing.assert_array_equal(getattr(record, name), getattr(whole, name))
    again = audited(linear(), audit=first, epochs=4)  # a callback begins anew with each fit
    np.testing.assert_array_equal(again.margin_sums, whole.margin_sums)


@pytest.mark.parametrize(
    ("y", "examples", "message"),
    [
        (Y, 20, "carry no ids"),
        ({"given": Y, "ids": Y}, 20, "Received: \\['given', 'ids'\\]"),
        (identified(Y), 12, "ids were outside of \\[0, 12\\)"),
        (identified(Y, np.arange(20) - 5), 20, "5 ids were outside"),
        (identified(Y, np.arange(20) // 2), 20, "10 ids came more than once .* 0, 2 times"),
    ],
)
def test_ids_that_are_missing_or_wrong_are_refused(y, examples, message):
    model = linear(jit_compile=examples == 12)  # XLA leaves out assertions
    with pytest.raises(DataError, match=message):
        model.fit(X, y, batch_size=20, verbose=0, callbacks=[MarginAudit(examples)])
    model.fit(X, Y, verbose=0)  # and nothing is left of it


def test_an_example_may_come_several_times_where_that_is_said():
    model, audit = linear(), MarginAudit(20, repeats=True, probabilities=False)
    ids = np.tile(np.arange(20), 3)
    model.fit(X[ids], identified(Y[ids], ids), verbose=0, callbacks=[audit])
    np.testing.assert_array_equal(audit.record.epochs, 3)
    with pytest.raises(DataError, match="weren't kept"):
        _ = audit.record.suggested
    assert "suggested" not in audit.record.to_rows()[0]


def test_a_validation_split_has_ids_that_are_ignored():
    model, audit = linear(metrics=["accuracy"]), MarginAudit(20)
    weight, options = np.linspace(1, 2, 20), {"batch_size": 8, "shuffle": False, "verbose": 0}
    labels = identified(Y)
    logs = model.fit(
        X, labels, sample_weight=weight, validation_split=0.25, callbacks=[audit], **options
    ).history
    assert np.flatnonzero(audit.record.epochs).tolist() == list(range(15))
    found = model.evaluate(X[15:], Y[15:], sample_weight=weight[15:], verbose=0, return_dict=True)
    assert logs["val_loss"] == pytest.approx([found["loss"]])
    assert logs["val_accuracy"] == pytest.approx([found["accuracy"]])


class Stopping(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_fit_can_be_followed_by_a_plain_one():
    model, audit = linear(), MarginAudit(20)
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            X, identified(Y), batch_size=8, verbose=0, shuffle=False, callbacks=[audit, Stopping()]
        )
    assert audit.record.epochs.tolist() == [1] * 8 + [0] * 12
    audit.on_train_end()
    model.fit(X, Y, verbose=0)
    assert model.train_function.__module__.startswith("keras.")


class OwnStep(keras.Model):
    """Trains without `compute_loss`."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        return {"loss": tf.reduce_sum(self(data[0]))}


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(ModelError, match="OwnStep shows no predictions"):
        audited(compiled(OwnStep()))
    model, other = linear(), keras.callbacks.LambdaCallback()
    other.on_train_batch_begin = lambda *_, **__: setattr(model, "train_function", print)
    with pytest.raises(ModelError, match="Another callback"):
        model.fit(X, identified(Y), verbose=0, callbacks=[other, MarginAudit(20)])
    for examples in (0, 2.5):
        with pytest.raises(DataError, match="number of examples"):
            MarginAudit(examples)
    with pytest.raises(DataError, match="no record yet"):
        _ = MarginAudit(3).record


def test_wrong_labels_are_found_while_the_network_is_trained_on_them():
    rng = np.random.default_rng(0)
    true = np.arange(600) % 3
    x = (rng.normal(size=(3, 10))[true] + 0.7 * rng.normal(size=(600, 10))).astype("float32")
    wrong = np.arange(600) % 5 == 0
    given = np.where(wrong, (true + rng.integers(1, 3, 600)) % 3, true)
    model = compiled(mlp((10, 32, 3)), keras.optimizers.Adam(0.01))
    record = audited(model, x, given, epochs=8, batch_size=32)
    assert wrong[record.ranking[:120]].mean() > 0.9
    assert (record.suggested[wrong] == true[wrong]).mean() > 0.9
    assert wrong[record.ids].mean() > 0.85 < wrong[record.ids].sum() / wrong.sum()


def record(margins, given=None, **more):
    n = len(margins)
    counts = {"correct": np.zeros(n, int), "forgetting_events": np.zeros(n, int)}
    return MarginRecord(
        given=np.zeros(n, int) if given is None else np.asarray(given),
        epochs=np.ones(n, int),
        margin_sums=np.asarray(margins, np.float32),
        last_correct=np.zeros(n, bool),
        **{**counts, **more},
    )


def test_threshold_examples_set_the_cut_and_are_not_judged():
    margins = [*np.linspace(-2, -1, 101), 5, -1.5, -0.5]
    found = record(margins, [3] * 101 + [0, 1, 2], threshold_class=3)
    assert found.cut == pytest.approx(-1.01)  # the 99th of 100 hundredths
    assert found.ids.tolist() == [102]
    assert found.ranking.tolist() == [102, 103, 101]
    assert (
        record(margins).ids.tolist()
        == [*range(101), 102, 103][:0] + np.argsort(margins, kind="stable")[:103].tolist()
    )


def test_a_fake_class_of_its_share():
    labels = np.arange(100) % 4
    found = with_threshold_class(labels, num_classes=4, seed=1)
    assert np.bincount(found)[4] == 20
    np.testing.assert_array_equal(found[found < 4], labels[found < 4])
    assert (found != with_threshold_class(labels, num_classes=4, seed=2)).any()
    sums = np.array([[0.1, 0.2, 0.7]], np.float32)
    fake = record([1.0], [2], probability_sums=sums, threshold_class=2)
    assert fake.suggested.tolist() == [1]


def test_records_of_several_networks_are_joined():
    one = record([2.0, -1.0], [0, 1])
    unseen = MarginRecord(
        given=np.array([0, -1]), epochs=np.array([2, 0]), correct=np.array([1, 0]),
        margin_sums=np.array([1, 0], np.float32), forgetting_events=np.array([1, 0]),
        last_correct=np.array([True, False]),
    )  # fmt: skip
    both = MarginRecord.joined([one, unseen])
    assert both.given.tolist() == [0, 1]
    assert both.margin.tolist() == [1.0, -1.0]
    assert both.forgetting_events.tolist() == [1, 0]
    with pytest.raises(DataError, match="different data"):
        MarginRecord.joined([one, record([1.0, 1.0], [1, 1])])
    with pytest.raises(DataError, match="different data"):
        MarginRecord.joined([one, record([1.0])])


def test_a_file_holds_the_record_and_others_are_refused(tmp_path):
    rows = np.array([[0.5, 0.5], [1, 0]], np.float32)
    saved = record([1.5, -2.0], probability_sums=rows, threshold_class=1)
    loaded = MarginRecord.load(saved.save(tmp_path / "record.npz"))
    for name, array in saved._arrays().items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        assert getattr(loaded, name).dtype == array.dtype
    assert loaded.threshold_class == 1
    with pytest.raises(TicketError, match="must exist"):
        MarginRecord.load(tmp_path / "nothing.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(TicketError, match="damaged"):
        MarginRecord.load(tmp_path / "bad.npz")
    with pytest.raises(DataError, match="a row for each example"):
        record([1.0], [0, 1])


def test_a_score_is_the_margin_on_the_scale_of_a_probability():
    found = record([-40.0, -20.0, 0.0, 3.0])
    np.testing.assert_allclose(found.score[2:], [0.5, 1 / (1 + np.exp(3))])
    assert (np.diff(found.score) < 0).all()
