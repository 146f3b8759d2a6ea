import base64
import io

import numpy as np
import pytest
from drawn import legend, panels, series
from PIL import Image

from tfticket.display import charts
from tfticket.lottery import analysis
from tfticket.sparsity.mask import Mask
from tfticket.studies.lottery import insides


def picture_of(panel):
    """How dark the picture in a panel is, in [0, 1]."""
    address = panel["layer"][0]["data"]["values"][0]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    return np.asarray(image)[..., 3] / 255


def random_mask(shape, seed=0, density=0.3):
    return np.random.default_rng(seed).random(shape) < density


def test_layers_are_drawn_by_level():
    densities = {0: {"a/kernel": 1.0, "b/kernel": 1.0}, 1: {"a/kernel": 0.6, "b/kernel": 0.9}}
    figure = insides.layer_density(densities, {0: 1.0, 1: 0.7})
    drawn = series(figure, place=None)
    assert list(drawn) == legend(figure) == ["whole network", "a", "b"]
    assert drawn["a"]["x"] == [100, 70]
    assert drawn["b"]["y"] == [100, 90]


def test_many_layers_are_named_at_the_ends_only():
    densities = {level: {f"conv{i}/kernel": 0.5**level for i in range(20)} for level in range(3)}
    figure = insides.layer_density(densities, {0: 1.0, 1: 0.5, 2: 0.25})
    assert legend(figure) == ["whole network", "conv0", "conv19"]


def test_one_level_is_no_curve():
    assert insides.layer_density({0: {"a": 1.0}}, {0: 1.0}) is None


def test_the_overlap_of_seeds_beside_chance():
    pairs = [
        analysis.overlap({"k": random_mask((30, 30), 1)}, {"k": random_mask((30, 30), seed)})
        for seed in (2, 3)
    ]
    figure = insides.seed_overlap({0.3: pairs, 0.1: [pairs[0]], 0.05: []})
    drawn = series(figure)
    assert drawn["two seeds"]["x"] == [10, 30]
    assert drawn["two seeds"]["y"][1] == pytest.approx(
        100 * np.mean([pair.jaccard for pair in pairs])
    )
    assert drawn["chance"]["y"][0] == 100 * pairs[0].expected_jaccard


def test_one_seed_has_no_overlap():
    assert insides.seed_overlap({0.3: []}) is None


@pytest.mark.parametrize(
    ("shape", "width"), [((8, 8), 8), ((8, 8, 1), 8), ((3, 3, 3), 11), ((3, 3, 16), 3)]
)
def test_pictures_of_inputs(shape, width):
    picture = np.random.default_rng(0).random(shape)
    figure = insides.surviving_inputs({0: picture, 4: picture}, {0: 1.0, 4: 0.41})
    assert [panel["title"] for panel in panels(figure)] == [
        "dense",
        "41.0\N{NARROW NO-BREAK SPACE}%",
    ]
    assert picture_of(panels(figure)[0]).shape == (shape[0], width)


def test_no_pictures_no_figure():
    assert insides.surviving_inputs({}, {}) is None
    assert insides.masks(Mask({})) is None


def test_a_mask_that_kept_nothing_is_a_blank_picture():
    figure = insides.surviving_inputs({9: np.zeros((4, 4))}, {9: 0.0})
    assert charts.to_svg(figure, name="blank").startswith("<svg")


def test_large_masks_are_reduced_to_shares():
    kernel = random_mask((784, 300))
    mask = Mask({"a/kernel": kernel, "b/kernel": random_mask((3, 3, 4, 5))})
    figure = insides.masks(mask)
    large, small = map(picture_of, panels(figure))
    assert large.shape == (240, 240)
    assert small.shape == (36, 5)
    assert 0 < np.mean(large) < 1
    np.testing.assert_array_equal(small == 1, mask["b/kernel"].reshape(36, 5))
