"""A small run of `benchmarks/noise_coverage.py`, which `docs/results-noise.md` quotes at length."""

import pytest

from benchmarks import noise_coverage as coverage

pytestmark = pytest.mark.slow

SETTINGS = (("digits", "quadratic"), ("embeddings", "linear"), ("wine", "linear"))


@pytest.mark.parametrize("family", coverage.FAMILIES)
def test_intervals_that_are_called_identifiable_hold_the_truth(family):
    # Few and many examples and classes; the same draws each time.
    draws = [coverage.draw(family, *SETTINGS[seed % len(SETTINGS)], seed=seed) for seed in range(6)]
    found = coverage.covered(draws)
    assert found.identifiable >= 1
    assert found.held >= found.identifiable - 1
    assert found.wrong_clean == 0


def test_a_network_that_has_not_learned_gives_no_rate():
    for family in ("symmetric", "human-like"):
        for seed in range(2):
            made = coverage.draw(family, "400 digits", "untrained", seed=seed)
            assert not made.estimate.identifiable


def test_the_command_prints_a_line_a_family(capsys):
    coverage.main(["--draws", "2", "--family", "clean", "--learner", "quadratic"])
    told = capsys.readouterr().out
    assert told.startswith("clean")
    assert "2 draws" in told
    coverage.main(["--draws", "1", "--family", "pair", "--learner", "linear", "--json"])
    assert '"family": "pair"' in capsys.readouterr().out
