"""Each published artifact is what its card says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tfticket.lottery import Ticket

ROOT = Path(__file__).parents[1] / "saved_models"
FOLDERS = sorted(path.parent for path in ROOT.glob("*/card.json"))


def test_there_are_some() -> None:
    assert {folder.name for folder in FOLDERS} >= {"lth_cifar10", "lth_mnist"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_card_tells_the_truth(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    found = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } - {"card.json"}
    assert found == set(card["files"])
    for name, facts in card["files"].items():
        content = (folder / name).read_bytes()
        assert len(content) == facts["bytes"] <= 2_000_000
        assert hashlib.sha256(content).hexdigest() == facts["sha256"]
    ticket = Ticket.load(folder / "ticket.npz")
    assert ticket.level == card["level"]
    assert ticket.mask.density == pytest.approx(card["density"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_exported_model_runs(folder: Path) -> None:
    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.isfinite(outputs.astype(np.float64)).all()
