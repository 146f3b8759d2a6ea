import numpy as np
from helpers import layers, mlp

from tfticket.interop.child import watched


def test_outputs_are_noted_and_nothing_stays(seeded):
    model = mlp()
    x = np.ones((4, 6), "float32")
    of = {layer.name: layer for layer in model.layers}
    with watched(of) as seen:
        y = model(x)
    assert seen.keys() == {"hidden_0", "hidden_1", "output"}
    np.testing.assert_array_equal(seen["output"][0], np.ravel(y))
    assert not any("call" in vars(layer) for layer in model.layers)


def test_several_outputs_and_several_calls():
    recurrent, dense = layers.GRU(2, return_state=True), layers.Dense(5)
    with watched({"gru": recurrent, "twice": dense}) as seen:
        dense(dense(recurrent(np.ones((3, 4, 5), "float32"))[0]) @ np.ones((5, 2), "float32"))
    assert seen.keys() == {"gru"}
    assert [each.size for each in seen["gru"]] == [6, 6]


def test_large_outputs_are_sampled_everywhere():
    columns = np.tile(np.arange(64, dtype="float32"), (1000, 1))
    identity = layers.Identity()
    with watched({"x": identity}) as seen:
        identity(columns)
    (sample,) = seen["x"]
    assert 3000 < sample.size <= 4096
    assert set(sample) == set(range(64))
