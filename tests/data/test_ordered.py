"""Batches of a split in its order, by `tf.data` and out of memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.data import ChunkedFit, Feed, Split, batches
from tfticket.data.arrays import aligned
from tfticket.data.ordered import Resident
from tfticket.errors import DataError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def numbered(count):
    return Split(np.arange(count, dtype=np.uint8)[:, None], np.arange(count, dtype=np.int32) % 3)


def assert_same_batches(first, second):
    for one, other in zip(first, second, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (5000, 1000, [1000] * 5),
        (239, 1000, [239]),
        (12, 5, [4, 4, 4]),
        (7, 3, [3, 3, 1]),
        (1, 1, [1]),
    ],
)
def test_batches_are_even_where_possible(count, size, sizes):
    split = Split(np.arange(count, dtype=np.float32)[:, None], np.arange(count, dtype=np.int32))
    made = batches(split, size, scale=2.0, offset=1.0)
    found = list(made)
    assert made.cardinality() == len(sizes)
    assert [len(y) for _, y in found] == sizes
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), split.y)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), split.x * 2 + 1)
    assert_same_batches(made.in_memory, found)
    assert_same_batches(made.in_memory, found)  # each loop begins anew


def model():
    keras.utils.set_random_seed(5)
    made = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("sgd", loss, metrics=["accuracy"], steps_per_execution=2)
    return made


class Looks(keras.callbacks.Callback):
    """Notes what Keras makes its iterators of."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_test_end(self, logs=None):
        self.kept.append(self.model._eval_epoch_iterator._distributed_dataset)


def fitted(made, chunked, held_out, callbacks=()):
    feed = Feed(numbered(40), batch_size=8, seed=1, chunk_steps=4, scale=0.01)
    more = [ChunkedFit(feed)] if chunked else []
    fit = {**feed.fit_arguments(), "epochs": 3, "validation_data": held_out, "verbose": 0}
    return made.fit(**fit, callbacks=[*callbacks, *more]).history


@pytest.mark.parametrize("count", [12, 7])
def test_a_chunked_fit_validates_without_tf_data(count):
    held_out = batches(numbered(count), 3, scale=0.01)
    expected = fitted(model(), False, held_out)
    made, looks = model(), Looks()
    found = fitted(made, True, held_out, [looks])
    assert looks.kept == [held_out.in_memory] * 3
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-6)
    again = made.evaluate(held_out, verbose=0, return_dict=True)  # by Keras' own function
    np.testing.assert_allclose(again["loss"], found["val_loss"][-1], rtol=1e-6)
    assert made.predict(held_out, verbose=0).shape == (count, 3)


def test_other_data_are_left_to_keras():
    held_out, looks = batches(numbered(12), 3, scale=0.01).take(2), Looks()
    fitted(model(), True, held_out, [looks])
    assert looks.kept == [held_out] * 3


def test_a_graph_cannot_hold_the_first_batches():
    made = batches(numbered(12), 3)

    @tf.function(autograph=False)
    def first():
        return next(iter(made.in_memory))[1]

    with pytest.raises(DataError, match="by Python alone"):
        first()


def test_the_graph_reads_the_array_itself():
    x, y = (
        aligned(np.arange(24, dtype=np.uint8).reshape(6, 4)),
        aligned(np.arange(6, dtype=np.int32)),
    )
    source = Resident(Split(x, y), 1.0, 0.0)
    gather = tf.function(source.gather)
    np.testing.assert_array_equal(gather(tf.constant([5, 0]))[0], x[[5, 0]])
    x[5] = 99  # nobody should; it shows that no copy was made, not even into the graph
    np.testing.assert_array_equal(gather(tf.constant([5, 0]))[0], x[[5, 0]])
    nodes = gather.get_concrete_function(tf.constant([5, 0])).graph.as_graph_def().node
    assert not any(x.tobytes() in node.SerializeToString() for node in nodes)


def test_any_other_array_is_copied_once():
    x = np.arange(24, dtype=np.float32).reshape(6, 4)[:, ::-1]
    x.flags.writeable = False
    source = Resident(Split(x, np.arange(6, dtype=np.int32)), 1.0, 0.0)
    gathered, labels = source.gather(tf.constant([3, 1]))
    np.testing.assert_array_equal(gathered, x[[3, 1]])
    np.testing.assert_array_equal(labels, [3, 1])


def test_normalize_is_scale_then_offset_by_channel():
    x = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    scale, offset = np.array([1, 0.5, 2], np.float32), np.array([0, -1, 3], np.float32)
    source = Resident(Split(x, np.zeros(2, np.int32)), scale, offset)
    result = source.normalize(tf.constant(x))
    assert result.dtype == tf.float32
    np.testing.assert_array_equal(result, x * scale + offset)
