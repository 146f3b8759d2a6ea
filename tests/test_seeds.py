import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfticket.seeds import generator, sub_seed

NAMES = st.lists(st.one_of(st.text(max_size=4), st.integers(0, 99)), max_size=3).map(tuple)
STREAMS = st.tuples(st.integers(-3, 2**40), NAMES)


def test_values_never_change():
    # Pinned: results of earlier runs depend on these numbers.
    assert sub_seed(0, "init", "conv1") == 1377364028
    assert generator(0, "order", 3).integers(0, 1000, 4).tolist() == [813, 8, 995, 72]


@given(STREAMS)
def test_sub_seed_is_a_31_bit_number_and_repeats(stream):
    seed, names = stream
    value = sub_seed(seed, *names)
    assert 0 <= value < 2**31
    assert value == sub_seed(seed, *names)


@given(STREAMS, STREAMS)
def test_different_streams_get_different_seeds(one, other):
    same = one == other and [type(n) for n in one[1]] == [type(n) for n in other[1]]
    assert (sub_seed(one[0], *one[1]) == sub_seed(other[0], *other[1])) is same


def test_how_names_are_split_matters():
    assert sub_seed(0, "a", "bc") != sub_seed(0, "ab", "c")
    assert sub_seed(1, 2) != sub_seed(12)


def test_generators_of_one_stream_are_equal_and_of_two_independent():
    draws = generator(7, "control").random(1000)
    np.testing.assert_array_equal(draws, generator(7, "control").random(1000))
    other = generator(7, "order").random(1000)
    assert abs(np.corrcoef(draws, other)[0, 1]) < 0.1
