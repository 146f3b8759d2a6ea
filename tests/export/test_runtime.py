import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import ExportError
from tfticket.export.runtime import Session, TensorSpec
from tfticket.quiet import quiet

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


def test_chatter_is_dropped_and_all_else_comes_out(capfd):
    with quiet():
        print("Saved artifact at '/tmp/x'")
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"I0000 00:00:1.2 3 loader.cc:236] Restoring SavedModel bundle.\n")
        os.write(2, b"W0000 00:00:1.2 3 a.cc:364] Ignored output_format.\n")
        os.write(2, b"fully_quantize: 0, inference_type: 6\n")
        os.write(2, b"W0000 00:00:1.2 3 b.cc:1] something is wrong\n")
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "W0000 00:00:1.2 3 b.cc:1] something is wrong\n"


def test_what_was_said_before_an_error_comes_out(capfd):
    def fail():
        with quiet():
            os.write(2, b"the reason\n")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "the reason\nafterwards\n"
