"""The tutorials of the site run, and what they show is right."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"


@pytest.fixture
def run(tmp_path, monkeypatch, seeded):
    """Runs a tutorial in this process, as the site does, and returns its names."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> dict[str, Any]:
        return runpy.run_path(str(TUTORIALS / name))

    return run


def test_a_study_of_your_own_model_takes_12_lines(run) -> None:
    name = "01_your_own_model.py"
    first = (TUTORIALS / name).read_text("utf-8").split("# %%")[1]
    code = [line for line in first.splitlines() if line and not line.startswith("#")]
    assert code[-1] == "print(found.summary())"
    assert len(code) - 1 <= 12

    found = run(name)["found"]
    assert found.seeds == (0, 1, 2)
    assert [verdict.level for verdict in found.verdicts] == [1, 2, 3]
    for verdict in found.verdicts:
        assert verdict.density == 0.5**verdict.level
        assert verdict.twin is not None
    kept = {key: int(array.sum()) for key, array in found.tickets[0, 2].mask.items()}
    assert kept == {"hidden/kernel": 64 * 100 // 4, "output/kernel": 100 * 10 // 4}


def test_controls_of_equal_size_are_behind_the_ticket(run) -> None:
    found = run("02_initialization.py")["found"]
    assert [verdict.level for verdict in found.verdicts] == [1, 2]
    for verdict in found.verdicts:
        assert set(verdict.against_controls) == {"reinit", "shuffle", "random"}
        for branch in found.branches:
            density = found.level(branch, verdict.level).density
            assert density == pytest.approx(0.4**verdict.level, abs=1e-3)
    # Frankle & Carbin (2019), section 2: reinitialized, what wins learns slower and less.
    twin = found.verdicts[-1].twin
    assert twin is not None
    assert twin.gain.lower > 0
