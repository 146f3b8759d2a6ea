import os

import pytest

from tfticket.export.quiet import quiet


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
