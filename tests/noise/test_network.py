import numpy as np
import pytest
from tiny_labels import write_images

from tfticket.errors import ModelError
from tfticket.noise import LabeledData, Network

pytestmark = pytest.mark.slow


@pytest.fixture
def labeled(tmp_path):
    return LabeledData.load(write_images(tmp_path / "images.npz"))


def test_what_is_left_out_follows_from_the_data(labeled):
    network = Network()
    assert network.model_for(labeled) == "conv4"
    assert network.width_for(labeled) == 0.25
    assert network.batch_size_for(labeled) == 30
    assert network.epochs_for(labeled) == 60
    assert any(
        "batch" in layer.name or "norm" in layer.name for layer in network.build(labeled, 0).layers
    )
    assert network.model_for(LabeledData.load("digits")) == "conv4"


def test_colors_and_rows_have_networks_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    for shape, name, width in (((32, 32, 3), "vgg", 0.25), ((7,), "lenet_300_100", 0.5)):
        path = tmp_path / f"{name}.npz"
        np.savez(path, x=rng.random((60, *shape), np.float32), y=np.arange(60) % 3)
        labeled = LabeledData.load(f"npz:{path}")
        assert Network().model_for(labeled) == name
        assert Network().width_for(labeled) == width
        assert Network().build(labeled, 0).output_shape == (None, 3)


def test_what_is_given_counts(labeled):
    network = Network("lenet_300_100", epochs=3, batch_size=8)
    assert network.model_for(labeled) == "lenet_300_100"
    assert (network.epochs_for(labeled), network.batch_size_for(labeled)) == (3, 8)


def test_networks_are_new_and_differ_by_seed(labeled):
    network = Network("lenet_300_100", width=0.05, learning_rate=0.02)
    one, same, other = (network.build(labeled, seed) for seed in (1, 1, 2))
    first = [model.get_layer("dense1").kernel.numpy() for model in (one, same, other)]
    assert (first[0] == first[1]).all()
    assert (first[0] != first[2]).any()
    assert float(one.optimizer.learning_rate) == pytest.approx(0.02)
    assert one.output_shape == (None, 3)


def test_a_name_that_is_no_network_is_refused(labeled):
    with pytest.raises(ModelError, match="conv22"):
        Network("conv22").build(labeled, 0)
