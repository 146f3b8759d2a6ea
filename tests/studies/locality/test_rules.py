import numpy as np
import pytest

from tfticket.data import load
from tfticket.errors import DataError, MaskError, ModelError, RecipeError
from tfticket.recipe.parsing import parse
from tfticket.studies.locality.controls import windows
from tfticket.studies.locality.convolution import Design, proportion_of
from tfticket.studies.locality.study import LocalityStudy

RECIPE = {
    "name": "tiny",
    "title": "Tiny",
    "kind": "locality",
    "data": {"name": "mnist1d"},
    "model": {"name": "lenet_300_100"},
    "train": {"optimizer": {"name": "sgd"}, "learning_rate": 0.1, "steps": 100},
    "arrangement": [{"kind": "as_is"}, {"kind": "flipped", "masks_from": "as_is"}],
    "lottery": {"levels": 2},
}
CLAIM = {"claim": "c", "measure": "locality", "arrangement": "chunks", "density": 0.1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arrangement": [{"kind": "as_is"}] * 2}, "Received twice: as_is"),
        ({"arrangement": [{"kind": "chunks"}]}, "kind = 'chunks' needs.*chunk = None"),
        ({"arrangement": [{"kind": "flipped", "chunk": 4}]}, "no other takes"),
        ({"arrangement": [{"kind": "as_is", "masks_from": "as_is"}]}, "another arrangement"),
        ({"data": {"name": "friedman1"}}, "compared by their accuracy"),
        ({"expect": [CLAIM]}, "one of as_is, flipped. Received: 'chunks'"),
        ({"convolution": {"levels": [3], "widths": [3]}}, "beyond lottery.levels = 2"),
        (
            {"convolution": {"levels": [2], "widths": [3], "arrangement": "chunks"}},
            "convolution.arrangement: must be one of as_is, flipped",
        ),
    ],
)
def test_what_does_not_fit_together(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse({**RECIPE, **changes})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {"name": "digits"}}, DataError, "Only signals"),
        ({"arrangement": [{"kind": "chunks", "chunk": 7}]}, DataError, "must divide signals of 40"),
        ({"lottery": {"levels": 2, "skip": ["dense1/*"]}}, MaskError, "first layer skipped"),
        ({"convolution": {"levels": [2], "widths": [41]}}, ModelError, "must cover 1 to 40 points"),
        (
            {"convolution": {"levels": [2], "widths": [3]},
             "lottery": {"levels": 2, "skip": ["dense2/*"]}},
            ModelError, "first of two hidden dense layers",
        ),
    ],
)  # fmt: skip
def test_what_the_data_or_the_network_rule_out(changes, error, message):
    recipe = parse({**RECIPE, **changes})
    data = load(recipe.data.name, validation=0.1)
    with pytest.raises(error, match=message):
        LocalityStudy(recipe, data)


@pytest.mark.parametrize("width", [3, 10, 27, 40])
def test_a_design_has_the_weights_of_its_network_and_no_larger_one_fits(width):
    design = Design.of(width, 3190, points=40, classes=10, proportion=3.0)
    model = design.build(40, 10, seed=0)
    kernels = [w for w in model.trainable_variables if w.name == "kernel"]
    assert sum(int(np.prod(w.shape)) for w in kernels) == design.weights
    assert 0.85 * 3190 < design.weights <= 3190
    first, second, _ = kernels
    assert first.shape == (width, 1, design.channels)
    # Both hidden layers keep the proportion of LeNet-300-100, as near as channels allow.
    places = second.shape[0] // design.channels
    assert abs(places * design.channels - 3 * design.hidden) <= places / 2 + 1
    if width == 40:
        assert places == 1  # a dense network


def test_a_ticket_can_be_too_small_for_a_convolution():
    with pytest.raises(ModelError, match="has more weights than the ticket, which keeps 12"):
        Design.of(3, 12, points=40, classes=10, proportion=3.0)
    assert proportion_of({"a": (4, 6), "b": (6, 2), "c": (2, 3)}) == 3.0


def test_windows_keep_the_number_of_inputs_and_cover_the_signal_evenly():
    kernel = np.random.default_rng(0).random((40, 300)) < 0.2
    kernel[:, 0] = False
    kernel[:, 1], kernel[:, 2] = np.arange(40) < 3, np.arange(40) > 36  # the ends of the order
    moved = windows(kernel)
    np.testing.assert_array_equal(moved.sum(axis=0), kernel.sum(axis=0))
    for unit in range(1, 300):
        assert (np.diff(np.flatnonzero(moved[:, unit])) == 1).all()
    np.testing.assert_array_equal(moved[:, [1, 2]], kernel[:, [1, 2]])
    readers = moved.sum(axis=1)  # at the medians themselves, the ends would have none
    assert readers[4:36].min() > 0.4 * readers.max()
