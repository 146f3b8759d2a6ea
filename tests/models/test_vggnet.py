import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import vgg
from tfticket.state import prunable_variables


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_depth_counts_the_papers_three_dense_layers(depth):
    keys = list(prunable_variables(vgg((16, 16, 3), 10, depth=depth, width=0.02)))
    assert keys == [*(f"conv{i}/kernel" for i in range(1, depth - 2)), "output/kernel"]


def test_weights():
    # Thirteen convolutions as in the paper's table 1, column D, and one dense layer of 512 x 10.
    sizes = [np.prod(v.shape) for v in prunable_variables(vgg((32, 32, 3), 10)).values()]
    assert sum(sizes) == 14_710_464 + 5_120


def test_depth_that_does_not_exist():
    with pytest.raises(ModelError, match=r"no depth 17\..*11, 13, 16, 19"):
        vgg((32, 32, 3), 10, depth=17)


def test_dropout_before_the_output():
    model = vgg((16, 16, 1), 10, depth=11, width=0.02, dropout=0.3)
    assert model.get_layer("pool5_dropout").rate == 0.3
