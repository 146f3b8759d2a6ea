import json

import pytest

from benchmarks import __main__ as command_line
from benchmarks import catalog, paired
from benchmarks.paired import Benchmark, Memory
from tfticket.cli import run_command

pytestmark = pytest.mark.slow

MIB = 2**20


def main(arguments):
    return run_command(command_line.main, arguments, name="python -m benchmarks")


@pytest.fixture
def tiny(monkeypatch):
    """A benchmark that takes no time, and more memory than the other."""

    def fresh(_, contender):
        return Memory(100 * MIB, 30 * MIB if contender == "ours" else 20 * MIB, 3 * MIB)

    def task():
        sum(range(1000))

    contenders = {"ours": lambda: task, "other": lambda: task, "third": lambda: task}
    monkeypatch.setitem(
        catalog.BENCHMARKS, "tiny", Benchmark("tiny", "a title", contenders, 2, lambda: task)
    )
    monkeypatch.setattr(paired, "can_measure_memory", lambda: True)
    monkeypatch.setattr(paired, "memory_in_fresh_process", fresh)


def test_a_benchmark_prints_its_ratio_and_writes_it(tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["group_norm", "-o", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "ratio to keras GroupNormalization: CPU 0." in printed
    assert "memory" not in printed
    found = json.loads(file.read_text())
    assert found["results"][0]["benchmark"] == "group_norm"
    assert found["results"][0]["wall_ratios"]["keras GroupNormalization"]["median"] > 0
    assert {"host", "cpus", "versions"} <= found.keys()


def test_memory_stands_beside_time(tiny, capsys):
    assert main(["tiny"]) == 0
    printed = capsys.readouterr().out
    assert "memory 30.0 MiB (30.0 to 30.0)  variables 3.0 MiB" in printed
    for other in ("other", "third"):
        (line,) = [each for each in printed.splitlines() if f"ratio to {other}: CPU" in each]
        assert "memory 1.500 (1.500 to 1.500)" in line


def test_json_has_all_of_it(tiny, capsys):
    assert main(["tiny", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["memory_ratios"]["third"]["median"] == 1.5
    assert result["variable_bytes"] == dict.fromkeys(("ours", "other", "third"), 3 * MIB)
    assert result["cpu_ratios"].keys() == {"other", "third"}


def test_the_listing_names_every_benchmark(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in catalog.BENCHMARKS)


def test_an_earlier_run_is_held_against(tiny, tmp_path, capsys):
    file = tmp_path / "then.json"
    then = {"median": 1e-9, "low": 1e-9, "high": 1e-9}
    file.write_text(json.dumps({"results": [{"benchmark": "tiny", "cpu_ratios": {"other": then}}]}))
    assert main(["tiny", "--against", str(file)]) == 0
    printed = capsys.readouterr().out
    assert f"against {file}: other: CPU ratio 0.000 then" in printed
    assert "slower" in printed
    assert "third: not measured then" in printed


def test_more_processors_than_there_are_are_refused(capsys):
    assert main(["tiny", "--cores", "4096"]) == 1
    assert "--cores asks for 4096" in capsys.readouterr().err


def test_help_keeps_the_lines_of_its_examples(capsys):
    assert main(["--help"]) == 0
    assert "\n  python -m benchmarks lenet --cores 1\n" in capsys.readouterr().out


def test_an_unknown_benchmark_is_refused_with_those_there_are(capsys):
    assert main(["speed"]) == 2
    assert "there is no speed; there are lenet, masks_lenet, masks_conv2" in capsys.readouterr().err
