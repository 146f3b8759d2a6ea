import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import ExportError
from tfticket.export.runtime import Session, TensorSpec

pytestmark = pytest.mark.slow


@given(st.floats(-3, 3), st.floats(0.01, 1), st.integers(-128, 127))
def test_a_number_that_fits_comes_back_to_half_a_step(value, scale, zero_point):
    spec = TensorSpec((1, 1), "int8", scale, zero_point)
    lowest, highest = (-128 - zero_point) * scale, (127 - zero_point) * scale
    back = spec.dequantize(spec.quantize(np.array([value], np.float32)))[0]
    assert back == pytest.approx(np.clip(value, lowest, highest), abs=scale * 0.501 + 1e-5)


def test_floats_pass_as_they_are():
    spec = TensorSpec((1, 2), "float32")
    values = np.array([1.5, -2.0], np.float32)
    np.testing.assert_array_equal(spec.dequantize(spec.quantize(values)), values)


def test_both_ways_to_run_agree(exported):
    for report in exported.reports.values():
        content, x = report.path.read_bytes(), exported.x[:10]
        with_delegate = Session(content, source="it").run(x)
        without = Session(content, source="it", delegate=False).run(x)
        np.testing.assert_allclose(with_delegate, without, atol=0.05 * np.abs(without).max())


def test_an_example_of_another_shape_is_refused(exported):
    session = Session(exported.reports["fp32"].path.read_bytes(), source="The file")
    with pytest.raises(ExportError, match=r"^The file must load and run"):
        session.run(np.zeros((1, 5, 5, 1), np.float32))
