import json

import pytest
from tiny_noisy import SELECTION, recipe

from tfticket.errors import RunError
from tfticket.files import read_arrays
from tfticket.recipe import runner
from tfticket.recipe.publish import CARD, publish
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.session import writing
from tfticket.report.page import render
from tfticket.report.summary import summarize


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    given = recipe("seeds=[0, 1]", 'methods=["cross_entropy", "coteaching"]', SELECTION)
    place = RunDir(tmp_path_factory.mktemp("runs") / "tiny_noisy" / "default")
    with writing(place, given, toml=b"") as run:
        runner.run(given, run)
    return run


def test_without_a_report_there_is_nothing_to_publish(run, tmp_path):
    with pytest.raises(RunError, match="Make it by `tfticket report"):
        publish(run.path, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_card_says_what_the_run_holds(run, tmp_path):
    render(run.path)
    folder = publish(run.path, tmp_path)
    card = json.loads((folder / CARD).read_text())
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == card["files"].keys() | {CARD}
    assert "summary.json" in files
    assert any(name.startswith("figures/") for name in files)
    assert (card["kind"], card["seeds"]) == ("noisy", [0, 1])
    trainings = {found["branch"]: found for found in summarize(run.path).to_dict()["trainings"]}
    assert trainings.keys() == {cell["branch"] for cell in card["cells"]}
    for cell in card["cells"]:
        mean = trainings[cell["branch"]]["measures"]["accuracy_last"]["mean"]
        accuracies = [cell["measured"][f"seed_{seed}"]["accuracy_last"] for seed in (0, 1)]
        assert mean == pytest.approx(sum(accuracies) / 2)
        for seed in (0, 1):
            header, _ = read_arrays(run.ticket(seed, cell["branch"], 0), kind="noisy_cell")
            assert cell["receipts"][f"seed_{seed}"] == header["receipt"]
            assert header["receipt"]["realized_rate"] == pytest.approx(0.3, abs=0.01)
