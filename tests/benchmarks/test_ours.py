import io
import json
import sys
from dataclasses import replace

import pytest

from benchmarks import ours
from benchmarks.workloads import WORKLOADS


@pytest.mark.usefixtures("seeded")
def test_ours_trains_once_for_each_line(monkeypatch, capsys):
    small = replace(WORKLOADS["conv2"], input_shape=(8, 8, 1), examples=60, steps=2, chunk_steps=1)
    monkeypatch.setitem(WORKLOADS, "conv2", small)
    monkeypatch.setattr(sys, "stdin", io.StringIO("run\nrun\n"))
    ours.train("conv2")
    ready, *times = capsys.readouterr().out.splitlines()
    assert ready == "ready"
    assert len(times) == 2
    assert all(json.loads(each)["cpu"] > 0 for each in times)
