import pytest
from shared_folder import filled_once
from warm_children import WarmChildren

from tfticket import children
from tfticket.export import latency


@pytest.fixture(scope="session", autouse=True)
def warm_children():
    """Children that look at files don't import everything anew; elsewhere in the tests they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "run", WarmChildren())
        yield


@pytest.fixture(scope="session", autouse=True)
def usual_rounds():
    """Files are timed in three rounds: few tests care who is faster. How many there are else."""
    with pytest.MonkeyPatch.context() as patch:
        rounds = latency._ROUNDS
        patch.setattr(latency, "_ROUNDS", 3)
        yield rounds


@pytest.fixture
def timed_in_full(usual_rounds, monkeypatch):
    """Files are timed as users have them timed."""
    monkeypatch.setattr(latency, "_ROUNDS", usual_rounds)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """One trained network in all formats; see `exports.Exported`. Made once for all workers."""
    from exports import load_exported, train_and_export  # late: most tests need no TensorFlow

    return load_exported(filled_once(tmp_path_factory, "exported", train_and_export))
