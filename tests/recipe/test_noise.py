import pytest
from pydantic import ValidationError

from tfticket.recipe.noise import Noise


@pytest.mark.parametrize(
    ("noise", "key"),
    [
        ({"kind": "pair"}, "rate"),
        ({"kind": "none", "rate": 0.1}, "rate"),
        ({"kind": "none", "exact": True}, "exact"),
        ({"kind": "instance", "rate": 0.2, "exact": True}, "exact"),
        ({"kind": "human_like", "rate": 0.2, "exact": True}, "exact"),
        ({"kind": "matrix", "matrix": ((0.5, 0.5), (0, 1)), "rate": 0.2}, "rate"),
        ({"kind": "matrix", "matrix": ((0.5, 0.6), (0, 1))}, "matrix"),
        ({"kind": "matrix", "matrix": ((0.5, 0.5, 0), (0, 1, 0))}, "matrix"),
        ({"kind": "matrix"}, "matrix"),
        ({"kind": "file"}, "path"),
        ({"kind": "pair", "rate": 0.2, "path": "labels.npz"}, "path"),
        ({"kind": "file", "path": "labels.npz", "exact": True}, "exact"),
        ({"kind": "open_set", "rate": 0.2}, "foreign"),
        ({"kind": "open_set", "foreign": "mnist"}, "rate"),
        ({"kind": "open_set", "rate": 0.2, "foreign": "mnist", "exact": True}, "exact"),
        ({"kind": "pair", "rate": 0.2, "foreign": "mnist"}, "foreign"),
    ],
)
def test_what_does_not_fit_together(noise, key):
    with pytest.raises(ValidationError) as caught:
        Noise(**noise)
    (error,) = caught.value.errors()
    assert [problem.key for problem in error["ctx"]["problems"]] == [key]


def test_a_noise_is_called_after_its_kind_and_rate():
    assert Noise(kind="symmetric", rate=0.5).label == "symmetric0.5"
    assert Noise(kind="none").label == "none"
    assert Noise(kind="file", path="my labels/of:mine.npz").label == "file-of_mine"
    foreign = Noise(kind="open_set", rate=0.4, foreign="npz:a/b.npz")
    assert foreign.label == "open_set0.4-b"


def test_keys_that_came_later_are_not_in_older_recipes():
    assert set(Noise(kind="pair", rate=0.2).model_dump()) == {"kind", "rate", "exact"}
    assert "path" in Noise(kind="file", path="a.npy").model_dump()
