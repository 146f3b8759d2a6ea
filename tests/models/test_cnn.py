import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models import cnn9
from tfticket.state import named_variables, prunable_variables


def test_nine_convolutions_and_the_output():
    model = cnn9((32, 32, 3), 10)
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    widths = [128, 128, 128, 256, 256, 256, 512, 256, 128]
    assert [shape[-1] for shape in shapes.values()] == [*widths, 10]
    assert all(shape[:2] == (3, 3) for shape in list(shapes.values())[:-1])
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 4_428_416
    # Three convolutions without padding: 8, 6, 4, 2 pixels.
    assert model.get_layer("conv9").output.shape == (None, 2, 2, 128)
    assert "conv9_norm/gamma" in named_variables(model)
    assert "conv1/bias" not in named_variables(model)


def test_rectifiers_leak():
    model = cnn9((28, 28, 1), 3, width=0.05)
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert len(relus) == 9
    np.testing.assert_allclose(relus[0](np.array([-1.0, 1.0], np.float32)), [-0.01, 1.0])


def test_whole_channels_are_dropped_while_training_and_never_else(seeded):
    model = cnn9((28, 28, 1), 3, width=0.25, dropout=0.5, seed=1)
    one, two = model.get_layer("pool1_dropout"), model.get_layer("pool2_dropout")
    assert one.rate == two.rate == 0.5
    assert one.seed_generator.state.numpy()[0] != two.seed_generator.state.numpy()[0]
    x = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    upto = keras.Model(model.inputs[0], one.output)
    dropped = np.all(np.asarray(upto(x, training=True)) == 0, axis=(1, 2))
    assert 0.3 < dropped.mean() < 0.7
    np.testing.assert_array_equal(model(x, training=False), model(x, training=False))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


def test_images_that_are_too_small_for_it():
    with pytest.raises(ModelError, match="at least 28x28 pixels"):
        cnn9((27, 28, 1), 10)
    assert cnn9((28, 28, 1), 10, width=0.1).output_shape == (None, 10)
