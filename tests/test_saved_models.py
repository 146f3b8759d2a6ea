"""Each published artifact is what its card says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tfticket.files import read_arrays
from tfticket.lottery import Ticket
from tfticket.norms.landscape import SmoothnessRecord

ROOT = Path(__file__).parents[1] / "saved_models"
FOLDERS = sorted(path.parent for path in ROOT.glob("*/card.json"))
# The cards of the first tickets don't say their kind.
KINDS = {f: json.loads((f / "card.json").read_text()).get("kind", "lottery") for f in FOLDERS}
OF_KIND = {
    kind: [folder for folder in FOLDERS if KINDS[folder] == kind]
    for kind in ("lottery", "norms", "noisy")
}
TRACKED = [folder for folder in OF_KIND["norms"] if (folder / "curves.npz").is_file()]


def test_there_are_some() -> None:
    assert all(OF_KIND.values())


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*/page.html")), ids=lambda page: page.parent.name
)
def test_a_page_names_no_folder_of_the_machine_that_made_it(page: Path) -> None:
    text = re.sub(r'\b(href|d)="[^"]*"', "", page.read_text("utf-8"))
    assert re.findall(r"(?<![\w.</])/(?:[\w.-]+/)+[\w.-]+", text) == []


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


@pytest.mark.parametrize("folder", OF_KIND["lottery"], ids=lambda folder: folder.name)
def test_the_ticket_is_the_one_of_the_card(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    ticket = Ticket.load(folder / "ticket.npz")
    assert ticket.level == card["level"]
    assert ticket.mask.density == pytest.approx(card["density"])


@pytest.mark.parametrize("folder", TRACKED, ids=lambda folder: folder.name)
def test_the_curves_are_those_of_the_networks_of_the_card(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    _, arrays = read_arrays(folder / "curves.npz", kind="curves")
    networks = {f"seed_{seed}/{cell['branch']}" for cell in card["cells"] for seed in cell["seeds"]}
    assert {"/".join(name.split("/")[:2]) for name in arrays} == networks
    for network in networks:
        prefix = f"{network}/landscape/"
        fields = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        assert len(SmoothnessRecord.from_arrays(fields)) > 0


@pytest.mark.parametrize("folder", OF_KIND["noisy"], ids=lambda folder: folder.name)
def test_the_summary_is_of_the_trainings_of_the_card(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    trainings = {training["branch"]: training["measures"] for training in summary["trainings"]}
    assert trainings.keys() == {cell["branch"] for cell in card["cells"]}
    for cell in card["cells"]:
        assert len(cell["measured"]) == len(cell["receipts"]) == len(card["seeds"])
        if cell["method_kind"] == "held_out":
            continue  # trains nothing that could be tested
        found = [of_seed["accuracy_last"] for of_seed in cell["measured"].values()]
        assert trainings[cell["branch"]]["accuracy_last"]["mean"] == pytest.approx(np.mean(found))


@pytest.mark.parametrize("folder", OF_KIND["noisy"], ids=lambda folder: folder.name)
def test_the_labels_are_as_wrong_as_the_card_says(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    realized = {}
    for cell in card["cells"]:
        for seed in card["seeds"]:
            receipt = cell["receipts"][f"seed_{seed}"]
            rate = receipt["wrong"] / receipt["examples"]
            assert receipt["realized_rate"] == pytest.approx(rate)
            # All methods of a seed meet the same labels.
            assert realized.setdefault((cell["noise"], seed), receipt) == receipt
    assert summary["complete"]
    for row in summary["selections"]:
        receipt = realized[row["noise"], row["seed"]]
        assert row["true_rate"] == pytest.approx(receipt["realized_rate"])
        assert 0 <= row["low"] <= row["rate"] <= row["high"] <= 1


@pytest.mark.parametrize("folder", OF_KIND["noisy"], ids=lambda folder: folder.name)
def test_the_tables_of_the_card_follow_from_what_was_measured(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for row, cell in zip(card["results"], card["cells"], strict=True):
        assert (row["noise"], row["method"]) == (cell["noise"], cell["method"])
        accuracy = row["accuracy_last"]
        assert (accuracy is None) == (cell["method_kind"] == "held_out")
        if accuracy is None:
            continue
        found = [of_seed["accuracy_last"] for of_seed in cell["measured"].values()]
        assert accuracy["mean"] == pytest.approx(np.mean(found))
        assert accuracy["seeds"] == len(found)
        if len(found) == 1:  # one seed has no interval
            assert accuracy["lower"] is accuracy["upper"] is None
        else:
            assert accuracy["lower"] <= accuracy["mean"] <= accuracy["upper"]
    realized = {
        (cell["noise"], seed): cell["receipts"][f"seed_{seed}"]["realized_rate"]
        for cell in card["cells"]
        for seed in card["seeds"]
    }
    for row in card["noise_rates"]:
        assert row["realized"] == pytest.approx(realized[row["noise"], row["seed"]])


@pytest.mark.parametrize("folder", OF_KIND["lottery"], ids=lambda folder: folder.name)
def test_exported_model_runs(folder: Path) -> None:
    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.isfinite(outputs.astype(np.float64)).all()
