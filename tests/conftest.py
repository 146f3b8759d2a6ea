"""A quiet TensorFlow, the same random numbers for each test, and no test that watches the clock.

A file of tests is marked `slow` as a whole when it takes more than about two seconds: it trains,
traces, converts or starts processes. The others are run by `-m "not slow"` in under a minute, and
something of each area is among them.
"""

import gc
import os
import signal
import sys

os.environ.pop("TFTICKET_DATA_DIR", None)  # whoever runs the tests may have set it
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # threads would only wait for each other
if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

# A background job of a script ignores SIGINT, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import pytest
import synthetic_runs

from tfticket.display import charts

hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("tests")


# What is imported until then stays: see `pytest_collection_finish`.
gc.disable()


def pytest_collection_finish():
    """What was imported stays: the garbage collector needn't go through it again and again.

    Tracing makes many objects and little garbage.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def collected():
    """What a file leaves behind for good isn't searched for garbage in each run of the next ones.

    Studies collect garbage after each network.
    """
    yield
    if "tensorflow" in sys.modules:
        gc.collect()
        gc.freeze()


@pytest.fixture
def seeded():
    """Keras from a fixed seed, with its type policy as before afterwards.

    Sessions aren't cleared: that collects garbage for a second, and keys don't depend on it.
    """
    import keras  # imported late: most tests need no TensorFlow

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(7)
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session", autouse=True)
def dots_per_inch():
    """What PNG files have for users. Those of tests have fewer: half of a page's time is theirs."""
    users = charts._DOTS_PER_INCH
    charts._DOTS_PER_INCH = 72
    return users


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A complete run: three seeds, six levels, two controls. Not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "lth_synthetic" / "default"
    return synthetic_runs.write_lottery(path, controls=("reinit", "random"))


@pytest.fixture(scope="session")
def unfinished_run(tmp_path_factory):
    """Two seeds, the second of which stopped after level 2 of 4. Not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "lth_synthetic" / "part"
    return synthetic_runs.write_lottery(
        path, seeds=(0, 1), levels=4, complete=False, finished_levels=2
    )
