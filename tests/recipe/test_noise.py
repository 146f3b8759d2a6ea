import pytest

from tfticket.recipe.noise import Noise, noise_problems


@pytest.mark.parametrize(
    ("noise", "key"),
    [
        (Noise(kind="pair"), "noise.rate"),
        (Noise(kind="none", rate=0.1), "noise.rate"),
        (Noise(kind="none", exact=True), "noise.exact"),
        (Noise(kind="instance", rate=0.2, exact=True), "noise.exact"),
    ],
)
def test_what_does_not_fit_together(noise, key):
    assert [problem.key for problem in noise_problems(noise, "noise")] == [key]


def test_a_noise_is_called_after_its_kind_and_rate():
    assert Noise(kind="symmetric", rate=0.5).label == "symmetric0.5"
    assert Noise(kind="none").label == "none"
    assert not list(noise_problems(Noise(kind="symmetric", rate=0.5), "noise"))
