import numpy as np
import pytest
import tensorflow as tf

from tfticket.data.feed import flip_crop

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
