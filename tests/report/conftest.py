"""Runs that look real, written once."""

import pytest
import synthetic_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A complete run: three seeds, six levels, two controls. Not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "lth_synthetic" / "default"
    return synthetic_run.write_run(path, controls=("reinit", "random"))


@pytest.fixture(scope="session")
def unfinished_run(tmp_path_factory):
    """Two seeds, the second of which stopped after level 2 of 4. Not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "lth_synthetic" / "part"
    return synthetic_run.write_run(path, seeds=(0, 1), levels=4, complete=False, finished_levels=2)
