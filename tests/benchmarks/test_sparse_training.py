import json

import pytest
from click.testing import CliRunner

from benchmarks import sparse_training

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

SETTING = {"data": "digits", "network": "lenet_300_100", "width": 0.2}
# One training of 10 % of the weights, plus what a method trains before or beside it.
COSTS = {
    "dense": (1.0, 1.0),
    "ticket": (sum(0.1 ** (n / 5) for n in range(6)), 0.01),
    "rigl": (0.1 + 3 / 500 / 3 * 0.9, 0.001),
    "snip": (0.1, 0.001),
    "fine-tuned": (1.1, 0.001),
}


@pytest.mark.parametrize("method", sparse_training.METHODS)
def test_each_method_ends_at_its_density_and_costs_what_it_trains(method):
    steps = 2_500 if method == "early ticket" else 500  # five masks, 250 steps apart, must agree
    setting = {**SETTING, "steps": steps}
    found = sparse_training.train(method, 0, data_dir=None, sparsity=0.9, batch_size=50, **setting)
    assert found["density"] == pytest.approx(1.0 if method == "dense" else 0.1, abs=0.001)
    assert found["test_accuracy"] > 0.6
    if method in COSTS:
        cost, room = COSTS[method]
        assert found["cost"] == pytest.approx(cost, abs=room)
    assert found["cost"] > 0.09


def test_finished_trainings_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse_training, "use_cores", lambda cores: None)
    file = tmp_path / "found.json"
    rows = [
        {
            "method": method,
            "seed": seed,
            "test_accuracy": 0.9 + seed / 100,
            "density": 0.1,
            "cost": 1.0,
        }
        for seed in (0, 1)
        for method in sparse_training.METHODS
    ]
    file.write_text(json.dumps({"trainings": rows}))
    done = CliRunner().invoke(sparse_training.main, [str(file), "--seeds", "2"])
    assert done.exit_code == 0, done.output
    assert "rigl 10.0 % 1.00 90.50 (84.15 to 96.85) 0.00 (0.00 to 0.00)" in " ".join(
        done.output.split()
    )
