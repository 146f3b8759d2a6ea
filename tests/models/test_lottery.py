import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import build, conv2, conv6, lenet_300_100
from tfticket.state import prunable_variables


def prunable(model):
    return {key: int(np.prod(v.shape)) for key, v in prunable_variables(model).items()}


@pytest.mark.parametrize(
    ("name", "shape", "total"),
    [
        ("lenet_300_100", (28, 28, 1), 266_200),
        ("conv2", (32, 32, 3), 4_300_992),
        ("conv4", (32, 32, 3), 2_425_024),
        ("conv6", (32, 32, 3), 2_261_184),
    ],
)
def test_the_papers_numbers_of_weights(name, shape, total):
    assert sum(prunable(build(name, shape, 10)).values()) == total


def test_keys():
    assert list(prunable(lenet_300_100((8, 8, 1), 10))) == [
        "dense1/kernel", "dense2/kernel", "output/kernel",
    ]  # fmt: skip
    names = [*(f"conv{i}" for i in range(1, 7)), "dense1", "dense2", "output"]
    keys = prunable(conv6((8, 8, 1), 10, width=0.1))
    assert list(keys) == [f"{name}/kernel" for name in names]


def test_vectors_will_do_for_a_dense_network():
    assert lenet_300_100((20,), 3).output_shape == (None, 3)


def test_dropout_sits_behind_the_hidden_dense_layers_with_seeds_of_their_own(seeded):
    model = conv2((4, 4, 1), 10, width=0.1, dropout=0.5)
    one, two = model.get_layer("dense1_dropout"), model.get_layer("dense2_dropout")
    assert one.rate == two.rate == 0.5
    assert one.seed_generator.state.numpy()[0] != two.seed_generator.state.numpy()[0]
    x = np.ones((8, 4, 4, 1), np.float32)
    assert not np.array_equal(model(x, training=True), model(x, training=True))


@pytest.mark.parametrize("shape", [(28, 28), (784,), (7, 8, 3)])
def test_examples_that_do_not_fit(shape):
    with pytest.raises(ModelError, match="at least 8x8 pixels"):
        conv6(shape, 10)
