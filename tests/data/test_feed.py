import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfticket.data.dataset import Split
from tfticket.data.feed import Feed, flip_crop
from tfticket.errors import DataError

pytestmark = pytest.mark.slow


def numbered(count, shape=(2,)):
    """Examples that can be told apart: example i is full of i, its label is i."""
    x = np.broadcast_to(np.arange(count).reshape(-1, *[1] * len(shape)), (count, *shape))
    return Split(x.astype(np.uint8), np.arange(count, dtype=np.int32))


def labels(batches):
    return np.array([y.numpy() for _, y in batches])


def test_each_epoch_is_a_permutation_and_batches_cross_its_end():
    feed = Feed(numbered(10), batch_size=4, seed=0, chunk_steps=5)
    assert feed.batches_per_epoch == 2.5
    order = feed.indices(0, 10).ravel()
    epochs = order.reshape(4, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 4


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 40),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 5),
    step=st.integers(0, 200),
    chunk=st.integers(1, 9),
)
def test_indices_are_a_pure_function_of_seed_and_step(count, share, seed, step, chunk):
    batch = max(1, int(count * share))
    split = numbered(count)
    feed = Feed(split, batch_size=batch, seed=seed, chunk_steps=1)
    feed.indices(step // 2, 3)  # whatever was asked for before
    at_once = feed.indices(step, chunk)
    fresh = Feed(split, batch_size=batch, seed=seed, chunk_steps=1)
    one_by_one = [fresh.indices(step + i, 1)[0] for i in reversed(range(chunk))][::-1]
    np.testing.assert_array_equal(at_once, one_by_one)
    assert at_once.shape == (chunk, batch)
    assert at_once.dtype == np.int32


def test_seeds_differ():
    orders = [
        Feed(numbered(50), batch_size=50, seed=s, chunk_steps=1).indices(0, 1) for s in (0, 1)
    ]
    assert not np.array_equal(*orders)


def test_each_iterator_serves_the_next_chunk():
    feed = Feed(numbered(20), batch_size=3, seed=1, chunk_steps=4)
    data = feed.dataset()
    assert int(data.cardinality()) == 4
    for chunk in range(3):
        assert feed.step == 4 * chunk
        np.testing.assert_array_equal(labels(data), feed.indices(4 * chunk, 4))
    assert feed.step == 12


def test_an_iterator_given_up_early_changes_nothing():
    feed = Feed(numbered(20), batch_size=3, seed=1, chunk_steps=4)
    data = feed.dataset()
    next(iter(data))
    list(itertools.islice(data, 3))
    iter(data)
    assert feed.step == 0
    np.testing.assert_array_equal(labels(data), feed.indices(0, 4))


def test_an_endless_iterator_goes_on_and_can_be_sought():
    feed = Feed(numbered(20), batch_size=3, seed=1, chunk_steps=4)
    iterator = iter(feed.dataset(endless=True))
    np.testing.assert_array_equal(labels(itertools.islice(iterator, 8)), feed.indices(0, 8))
    feed.seek(2)
    np.testing.assert_array_equal(labels(itertools.islice(iterator, 8)), feed.indices(2, 8))


def test_chunks_of_one_step():
    feed = Feed(numbered(5), batch_size=5, seed=0, chunk_steps=1)
    assert [len(list(feed.dataset())) for _ in range(3)] == [1, 1, 1]
    assert feed.step == 3


def test_inputs_belong_to_their_labels_and_are_scaled():
    feed = Feed(numbered(20), batch_size=8, seed=0, chunk_steps=3, scale=0.5, offset=-1.0)
    for x, y in feed.dataset():
        assert x.dtype == "float32"
        np.testing.assert_array_equal(x, np.stack([y.numpy() * 0.5 - 1] * 2, axis=1))


class Recorder(keras.Model):
    """Writes down which examples each step of `fit` sees."""

    def __init__(self, steps, batch):
        super().__init__()
        self.seen = self.add_weight(shape=(steps, batch), dtype="int32", trainable=False)
        self.count = self.add_weight(shape=(), dtype="int32", trainable=False, initializer="zeros")

    def call(self, x):
        return x

    def train_step(self, data):
        _, y = data
        row = tf.reshape(self.count.value, (1, 1))
        self.seen.assign(tf.tensor_scatter_nd_update(self.seen.value, row, y[None]))
        self.count.assign(self.count + 1)
        return {"steps": self.count.value}  # Keras wants something to log


@pytest.mark.parametrize("steps_per_execution", [1, 2, 4])
def test_fit_sees_each_step_once_and_a_callback_may_seek(seeded, steps_per_execution):
    feed = Feed(numbered(20), batch_size=3, seed=1, chunk_steps=4)
    model = Recorder(20, 3)
    model.compile(steps_per_execution=steps_per_execution)
    ends = []

    def end(epoch, logs):
        ends.append(feed.step)
        if epoch == 2:
            feed.seek(4)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=end)
    model.fit(**feed.fit_arguments(), epochs=5, verbose=0, callbacks=[callback])
    assert ends == [4, 8, 12, 8, 12]
    expected = np.concatenate([feed.indices(0, 12), feed.indices(4, 8)])
    np.testing.assert_array_equal(model.seen.numpy(), expected)


def test_augmentation_depends_on_the_step_only():
    def feed():
        split = Split(np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1), np.uint8),
                      np.arange(20, dtype=np.int32))  # fmt: skip
        return Feed(split, batch_size=4, seed=0, chunk_steps=6, augment="flip_crop")

    straight = [x.numpy() for x, _ in feed().dataset()]
    resumed = feed()
    resumed.seek(4)
    for expected, (x, _) in zip(straight[4:], resumed.dataset(), strict=False):
        np.testing.assert_array_equal(x, expected)
    plain = feed()
    plain.augment = "none"
    assert not np.array_equal(straight[0], next(iter(plain.dataset()))[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 11}, "batch_size=11 and 10 examples"),
        ({"chunk_steps": 0}, "`chunk_steps` must be at least 1"),
        ({"augment": "flip"}, "none, flip_crop"),
        ({"augment": "flip_crop"}, "needs images"),
    ],
)
def test_bad_options(change, words):
    options = {"batch_size": 5, "seed": 0, "chunk_steps": 1, **change}
    with pytest.raises(DataError, match=words):
        Feed(numbered(10), **options)


def test_seek_before_the_start():
    with pytest.raises(DataError, match="`step` must be 0 or more"):
        Feed(numbered(10), batch_size=5, seed=0, chunk_steps=1).seek(-1)


_IMAGES = np.random.default_rng(0).integers(1, 256, (200, 6, 5, 3), dtype=np.uint8)


def outcomes(image):
    """All 9 x 9 x 2 images that `flip_crop` may make of one."""
    height, width = image.shape[:2]
    padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
    crops = [padded[t : t + height, w : w + width] for t in range(9) for w in range(9)]
    return [crop[:, ::-1] for crop in crops] + crops


def test_each_result_is_a_shifted_or_mirrored_image():
    results = flip_crop(tf.constant(_IMAGES), seed=3, step=tf.constant(0)).numpy()
    assert results.dtype == np.uint8
    assert results.shape == _IMAGES.shape
    for image, result in zip(_IMAGES, results, strict=True):
        assert any(np.array_equal(result, outcome) for outcome in outcomes(image))


def test_all_outcomes_are_about_equally_frequent():
    # One bright pixel shows shift and direction: 81 places, or none when it was shifted out.
    image = np.zeros((1, 9, 9, 1), np.uint8)
    image[0, 4, 2] = 1
    results = flip_crop(tf.constant(np.repeat(image, 20_000, axis=0)), seed=0, step=tf.constant(5))
    counts = results.numpy().sum(axis=0, dtype=int)[..., 0]
    expected = np.zeros((9, 9))
    for outcome in outcomes(image[0]):
        expected += outcome[..., 0] * (20_000 / 162)
    np.testing.assert_array_less(np.abs(counts - expected), 5 * np.sqrt(expected) + 1)


def test_it_is_a_pure_function_of_seed_and_step():
    def run(seed, step):
        return flip_crop(tf.constant(_IMAGES), seed=seed, step=tf.constant(step)).numpy()

    np.testing.assert_array_equal(run(1, 7), run(1, 7))
    for other in (run(1, 8), run(2, 7)):
        assert not np.array_equal(run(1, 7), other)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_other_types_stay_as_they_are(dtype):
    result = flip_crop(tf.constant(_IMAGES.astype(dtype)), seed=0, step=tf.constant(0))
    assert result.dtype == dtype
