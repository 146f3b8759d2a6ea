import pytest

from tfticket.recipe.noise import Noise, noise_problems


@pytest.mark.parametrize(
    ("noise", "key"),
    [
        (Noise(kind="pair"), "noise.rate"),
        (Noise(kind="none", rate=0.1), "noise.rate"),
        (Noise(kind="none", exact=True), "noise.exact"),
        (Noise(kind="instance", rate=0.2, exact=True), "noise.exact"),
        (Noise(kind="matrix", matrix=((0.5, 0.5), (0, 1)), rate=0.2), "noise.rate"),
        (Noise(kind="matrix", matrix=((0.5, 0.6), (0, 1))), "noise.matrix"),
        (Noise(kind="matrix", matrix=((0.5, 0.5, 0), (0, 1, 0))), "noise.matrix"),
        (Noise(kind="matrix"), "noise.matrix"),
        (Noise(kind="file"), "noise.path"),
        (Noise(kind="pair", rate=0.2, path="labels.npz"), "noise.path"),
        (Noise(kind="file", path="labels.npz", exact=True), "noise.exact"),
        (Noise(kind="open_set", rate=0.2), "noise.foreign"),
        (Noise(kind="open_set", foreign="mnist"), "noise.rate"),
        (Noise(kind="open_set", rate=0.2, foreign="mnist", exact=True), "noise.exact"),
        (Noise(kind="pair", rate=0.2, foreign="mnist"), "noise.foreign"),
    ],
)
def test_what_does_not_fit_together(noise, key):
    assert [problem.key for problem in noise_problems(noise, "noise")] == [key]


def test_a_noise_is_called_after_its_kind_and_rate():
    assert Noise(kind="symmetric", rate=0.5).label == "symmetric0.5"
    assert Noise(kind="none").label == "none"
    assert Noise(kind="file", path="my labels/of:mine.npz").label == "file-of_mine"
    foreign = Noise(kind="open_set", rate=0.4, foreign="npz:a/b.npz")
    assert foreign.label == "open_set0.4-b"
    assert not list(noise_problems(Noise(kind="symmetric", rate=0.5), "noise"))


def test_keys_that_came_later_are_not_in_older_recipes():
    assert set(Noise(kind="pair", rate=0.2).model_dump()) == {"kind", "rate", "exact"}
    assert "path" in Noise(kind="file", path="a.npy").model_dump()
