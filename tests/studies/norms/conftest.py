"""Studies that look real, written once. Not to be changed."""

import pytest
from synthetic_runs import cell, write_norms

from tfticket.report.reading import read_run
from tfticket.studies.norms.networks import read_study

NORMS = ("none", "batch", "group")


@pytest.fixture(scope="session")
def panels_run(tmp_path_factory):
    """Three norms at two learning rates; one network diverged."""
    path = tmp_path_factory.mktemp("norms") / "norms_synthetic" / "default"
    cells = [cell(norm, learning_rate=rate) for norm in NORMS for rate in (0.1, 0.5)]
    return write_norms(path, cells, diverged=[("none-lr0.5-b128-dense", 1)])


@pytest.fixture(scope="session")
def panels_study(panels_run):
    return read_study(read_run(panels_run))


@pytest.fixture(scope="session")
def batches_run(tmp_path_factory):
    """Batch and group norm over batch sizes, with other statistics, without landscape."""
    path = tmp_path_factory.mktemp("norms") / "norms_synthetic" / "batches"
    cells = [
        cell(norm, batch_size=size, learning_rate=0.1 * size / 64)
        for norm in ("batch", "group")
        for size in (64, 8, 2)
    ]
    return write_norms(path, cells, statistics=True, landscape=False, shift=False)


@pytest.fixture(scope="session")
def tickets_run(tmp_path_factory):
    """Dense network, ticket and random subnetwork with two norms."""
    path = tmp_path_factory.mktemp("norms") / "norms_synthetic" / "tickets"
    cells = [
        cell(norm, subnetwork=kind)
        for norm in ("batch", "group")
        for kind in ("dense", "ticket", "random")
    ]
    return write_norms(path, cells, shift=False)


@pytest.fixture(scope="session")
def noise_run(tmp_path_factory):
    """The same under wrong labels; one random subnetwork diverged."""
    path = tmp_path_factory.mktemp("norms") / "norms_synthetic" / "noise"
    cells = [
        cell(norm, subnetwork=kind)
        for norm in ("batch", "group")
        for kind in ("dense", "ticket", "random")
    ]
    diverged = [("group-lr0.1-b128-random", 2)]
    return write_norms(path, cells, shift=False, noise=True, diverged=diverged)


@pytest.fixture(scope="session")
def noise_study(noise_run):
    return read_study(read_run(noise_run))
