import json

from tfticket.cli import main


def test_a_benchmark_prints_its_ratio_and_writes_it(tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["bench", "group_norm", "-o", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "keras GroupNormalization" in printed
    assert "ratio  CPU" in printed
    found = json.loads(file.read_text())
    assert found["results"][0]["benchmark"] == "group_norm"
    assert found["results"][0]["wall_ratio"]["median"] > 0
    assert {"host", "cpus", "versions"} <= found.keys()


def test_an_unknown_benchmark_is_refused_with_those_there_are(capsys):
    assert main(["bench", "speed"]) == 2
    assert "there is no speed; there are tracker, group_norm" in capsys.readouterr().err
