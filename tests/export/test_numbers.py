import numpy as np
import pytest

from tfticket.errors import ExportError
from tfticket.export.numbers import check_numbers


@pytest.mark.parametrize("values", [[1, 2], np.ones((2, 3), np.float16), [True], [1, None][:1]])
def test_finite_numbers_pass(values):
    np.testing.assert_array_equal(check_numbers(values, "x"), np.asarray(values))


def test_numbers_of_python_in_a_table_are_numbers():
    table = np.array([[1, 2.5], [3, 4]], object)
    assert check_numbers(table, "x", np.float32).dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_places(bad):
    x = np.zeros((10, 4), np.float32)
    x[[3, 7], 2] = bad
    message = r"`x` holds 2 numbers that are NaN or infinite .* in 2 of 10 examples: 3, 7\."
    with pytest.raises(ExportError, match=message):
        check_numbers(x, "x")


def test_what_gets_infinite_in_the_type_of_the_model_is_named():
    x = np.array([[1.0], [1e300]])
    assert check_numbers(x, "x") is x
    with pytest.raises(ExportError, match=r"\(in float32\), in 1 of 2 examples: 1\."):
        check_numbers(x, "x", np.float32)


@pytest.mark.parametrize(
    ("values", "kind"), [(["a"], "text"), ([{}], "objects"), (np.zeros(1, complex), "complex128")]
)
def test_what_is_no_number_is_refused(values, kind):
    with pytest.raises(ExportError, match=f"`x` holds {kind}"):
        check_numbers(values, "x")
