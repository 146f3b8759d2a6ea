import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import ExportError
from tfticket.export.flatbuffer import Constant
from tfticket.export.zeros import count_zeros


def constant(values, name="t"):
    return Constant(name, np.asarray(values), np.asarray(0), 0)


def sparse(rng, shape, density=0.4):
    return np.where(rng.random(shape) < density, rng.normal(size=shape), 0.0)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.randoms(), st.integers(0, 2**31))
def test_a_kernel_is_found_in_any_order_of_its_axes(shape, random, seed):
    kernel = sparse(np.random.default_rng(seed), shape)
    order = random.sample(range(len(shape)), len(shape))
    (count,) = count_zeros({"k": kernel}, [constant(kernel.transpose(order))])
    assert count.zeros == count.zeros_in_file == int((kernel == 0).sum())
    assert (count.tensor, count.size) == ("t", kernel.size)


def test_zeros_that_rounding_adds_are_counted():
    kernel = np.array([[0.0, 0.1], [2.0, 3.0]])
    (count,) = count_zeros({"k": kernel}, [constant(np.array([[0, 2], [0, 3]], np.int8))])
    assert (count.zeros, count.zeros_in_file) == (1, 2)


def test_the_nearest_of_several_tensors_is_taken():
    rng = np.random.default_rng(0)
    thin, thick = sparse(rng, (6, 6), 0.1), sparse(rng, (6, 6), 0.9)
    counts = count_zeros(
        {"thick": thick, "thin": thin}, [constant(thin.T, "thin"), constant(thick.T, "thick")]
    )
    assert [count.tensor for count in counts] == ["thick", "thin"]


def test_a_lost_zero_is_an_error():
    kernel = sparse(np.random.default_rng(0), (4, 5))
    back = kernel.copy()
    back.flat[np.flatnonzero(kernel == 0)[0]] = 1e-9
    with pytest.raises(ExportError, match=r"0 zeros where the Keras model has \d+, in `k`"):
        count_zeros({"k": kernel}, [constant(np.ones((4, 5)))])
    with pytest.raises(ExportError, match="in `k`"):
        count_zeros({"k": kernel}, [constant(back)])


def test_kernels_that_were_split_are_counted_together():
    rng = np.random.default_rng(1)
    gates = sparse(rng, (3, 8))
    parts = [constant(part.T, str(i)) for i, part in enumerate(np.split(gates, 4, axis=1))]
    (count,) = count_zeros({"gates": gates}, parts)
    assert (count.tensor, count.zeros_in_file) == (None, None)
    with pytest.raises(ExportError, match="`gates`"):
        count_zeros({"gates": gates}, parts[1:])
