import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfticket import quiet

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

CHATTER = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1795371969.418179   14694 port.cc:153] oneDNN custom operations are on.\n",
    b"2026-11-22 18:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN\n",
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow "
    b"with the appropriate compiler flags.\n",
]
WORTH_SAYING = [
    b"W0000 00:00:1795371969.418179   14694 thing.cc:1] This will be slow.\n",
    b"E0000 00:00:1795371969.418179   14694 thing.cc:1] Out of memory.\n",
    b"/site/lib.py:3: UserWarning: numpy is old\n",
    b"  import numpy\n",
    b"Illegal instruction\n",
]
NO_DRIVER = b"E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)\n"


def test_chatter_is_left_out_and_warnings_are_not():
    mixed = [line for pair in zip(CHATTER, WORTH_SAYING, strict=False) for line in pair]
    assert list(quiet.worth_saying(CHATTER)) == []
    assert list(quiet.worth_saying(WORTH_SAYING)) == WORTH_SAYING
    assert list(quiet.worth_saying(mixed)) == WORTH_SAYING[: len(CHATTER)]


@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_driver_that_does_not_answer_matters_only_with_a_gpu(monkeypatch, has_gpu):
    monkeypatch.setattr(quiet, "_GPUS", ("/dev/null",) if has_gpu else ("/dev/no-such-gpu",))
    assert list(quiet.worth_saying([NO_DRIVER])) == ([NO_DRIVER] if has_gpu else [])


def test_starting_tensorflow_says_nothing_and_later_warnings_come_through():
    code = """
import os, sys, warnings
os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
from tfticket.quiet import start_tensorflow
start_tensorflow()
assert "tensorflow" in sys.modules
assert not {"matplotlib", "pandas", "sklearn"} & sys.modules.keys()
import pandas, sklearn
warnings.warn("a real warning")
os.write(2, b"straight to the descriptor\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].endswith("UserWarning: a real warning")
    assert lines[-1] == "straight to the descriptor"
    assert len(lines) <= 3


def test_what_a_dying_tensorflow_says_is_not_lost():
    code = """
import os
from tfticket import quiet
with quiet._filtered_stderr():
    os.write(2, b"I0000 00:00:1.2 3 port.cc:153] chatter\\nIllegal instruction\\n")
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode < 0
    assert done.stderr == "Illegal instruction\n"


def test_that_each_network_is_compiled_is_no_news():
    def record(message):
        return logging.LogRecord("tensorflow", logging.WARNING, __file__, 1, message, (), None)

    assert not quiet._worth_logging(record("5 calls to <f> triggered tf.function retracing. ..."))
    assert quiet._worth_logging(record("Something else is slow."))


def test_other_warnings_of_tensorflow_come_through_and_the_filter_goes(caplog):
    import tensorflow as tf

    logger = tf.get_logger()
    logger.propagate, before = True, (logger.propagate, list(logger.filters))
    try:
        with quiet.retracing_expected():
            logger.warning("5 calls to <f> triggered tf.function retracing.")
            logger.warning("Something else is slow.")
        assert [found.getMessage() for found in caplog.records] == ["Something else is slow."]
        assert list(logger.filters) == before[1]
    finally:
        logger.propagate = before[0]


def test_chatter_is_dropped_and_all_else_comes_out(capfd):
    with quiet.quiet():
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
        with quiet.quiet():
            os.write(2, b"the reason\n")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "the reason\nafterwards\n"
