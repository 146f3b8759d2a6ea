import re

import keras
import pytest
from click.testing import CliRunner

from benchmarks import one_shot
from tfticket import data, models

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def test_a_trained_model_is_pruned_by_all_methods(tmp_path, monkeypatch):
    monkeypatch.setattr(one_shot, "use_cores", lambda cores: None)
    digits = data.load("digits")
    model = models.build("lenet_300_100", digits.input_shape, 10, width=0.2, norm="batch")
    model.compile("adam", models.loss_for(model))
    model.fit(digits.inputs(digits.train), digits.train.y, epochs=10, verbose=0)
    path = models.save_file(model, tmp_path / "net.keras")
    keras.utils.clear_session()
    arguments = [str(path), "--data", "digits", "--examples", "300", "--seeds", "2"]
    done = CliRunner().invoke(one_shot.main, arguments)
    assert done.exit_code == 0, done.output
    rows = re.findall(r"^ *(\d+) %\s+(\w+)\s+(\d+\.\d+) \(", done.output, re.MULTILINE)
    accuracy = {(sparsity, method): float(mean) for sparsity, method, mean in rows}
    assert len(accuracy) == 10
    assert accuracy["0", "dense"] > 85
    assert accuracy["90", "surgeon"] > accuracy["90", "magnitude"]
