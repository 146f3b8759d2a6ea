"""A quiet TensorFlow on one thread, and the same random numbers for each test."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import pytest


@pytest.fixture
def seeded():
    """Keras from a fixed seed, with its global settings as before afterwards."""
    import keras  # imported late: most tests need no TensorFlow

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(7)
    yield
    keras.config.set_dtype_policy(policy)
    keras.backend.clear_session()
