import json

import pytest
from click.testing import CliRunner

from benchmarks import early_learning

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.mark.parametrize("method", early_learning.METHODS)
def test_each_method_is_trained_and_counted(method):
    setting = {"data": "digits", "network": "lenet_300_100", "examples": 500, "epochs": 3}
    found = early_learning.train(method, "symmetric", 0, data_dir=None, **setting)
    assert found["noise_rate"] == pytest.approx(0.4, abs=0.06)
    assert found["test_accuracy"] > 0.5
    assert 0 <= found["wrong_predicted"] + found["right_predicted"] <= 1


def test_what_was_trained_before_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(early_learning, "use_cores", lambda cores: None)
    numbers = {"noise_rate": 0.4, "test_accuracy": 0.9, "wrong_predicted": 0.1}
    calls = []
    monkeypatch.setattr(
        early_learning, "train", lambda *where, **_: (calls.append(where), dict(numbers))[1]
    )
    file = tmp_path / "found.json"
    for seeds, count in (("1", 12), ("2", 24), ("2", 24)):
        done = CliRunner().invoke(early_learning.main, [str(file), "--seeds", seeds])
        assert done.exit_code == 0, done.output
        assert len(calls) == count
    assert len(json.loads(file.read_text())["trainings"]) == 24
    assert "early_learning 90.0 % (90.0 to 90.0) 10.0 %" in " ".join(done.output.split())
