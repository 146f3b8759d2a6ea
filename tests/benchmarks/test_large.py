import keras
import pytest

from benchmarks import large

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("way", ["wanda", "surgeon", "rigl"])
def test_a_way_has_its_time_and_memory(way, monkeypatch):
    def network(shape):
        layers = keras.layers
        return keras.Sequential(
            [keras.Input(shape), layers.Conv2D(4, 3, strides=8), layers.Flatten(), layers.Dense(10)]
        )

    monkeypatch.setattr(large, "use_cores", lambda cores: None)
    monkeypatch.setattr(large, "network", network)
    seconds, mebibytes = large.measured(way)
    assert -5 < seconds < 60  # of `rigl` it is a difference
    assert 0 <= mebibytes < 1000
