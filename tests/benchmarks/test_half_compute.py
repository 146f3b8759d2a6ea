import json

import pytest
from click.testing import CliRunner

from benchmarks import half_compute

pytestmark = pytest.mark.slow

STEPS = ["--dense-steps", "60", "--round-steps", "10", "--rounds", "1"]


def test_half_of_the_multiply_adds_and_its_control(tmp_path, monkeypatch):
    monkeypatch.setattr(half_compute, "use_cores", lambda cores: None)
    monkeypatch.setitem(half_compute.WIDTHS, "conv4", 0.25)
    arguments = [str(tmp_path), "--network", "conv4", "--data", "digits", "--limit", "600", *STEPS]
    done = CliRunner().invoke(half_compute.main, arguments)
    assert done.exit_code == 0, done.output
    rows = {row.pop("file"): row for row in json.loads((tmp_path / "conv4.json").read_text())}
    assert list(rows) == [
        "dense.fp32", "dense.int8", "half.fp32", "half.int8", "control.fp32", "control.int8",
    ]  # fmt: skip
    assert rows["half.int8"]["multiply-adds"] <= rows["dense.int8"]["multiply-adds"] / 2
    sizes = {name: (row["parameters"], row["multiply-adds"]) for name, row in rows.items()}
    assert sizes["control.fp32"] == sizes["half.fp32"]
    assert rows["dense.fp32"]["test"] > 0.25  # chance is 0.1
    assert all(row["microseconds"] > 0 for row in rows.values())
    assert "half.int8" in done.output
