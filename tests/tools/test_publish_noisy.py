import json
import shutil

import numpy as np
import pytest
from scipy import stats
from tiny_noisy import recipe

from tfticket.errors import RunError
from tfticket.files import read_arrays
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.report import render
from tfticket.studies.summaries import summarize
from tools.publish import CARD, publish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    given = recipe(
        "seeds=[0, 1]",
        'methods=["cross_entropy", "coteaching"]',
        "selection={epochs=20, iterations=1}",
    )
    place = RunDir(tmp_path_factory.mktemp("runs") / "tiny_noisy" / "default")
    with writing(place, given, toml=b"") as run:
        runner.run(given, run)
    return run


@pytest.fixture(scope="module")
def reported(run, tmp_path_factory):
    """The same with its report. Not to be changed."""
    copy = shutil.copytree(run.path, tmp_path_factory.mktemp("reported") / "tiny_noisy" / "default")
    render(copy)
    return RunDir(copy)


def test_without_a_report_there_is_nothing_to_publish(run, tmp_path):
    with pytest.raises(RunError, match="Make it by `tfticket report"):
        publish(run.path, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_card_says_what_the_run_holds(reported, tmp_path):
    run = reported
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


def test_the_card_has_a_table_of_results_and_of_rates(reported, tmp_path):
    run = reported
    folder = publish(run.path, tmp_path)
    card = json.loads((folder / CARD).read_text())
    assert {"name": "digits", **card["data"]} == run.environment_facts()["data"]
    assert len(card["data"]["fingerprint"]) == 64
    assert [(row["noise"], row["method"]) for row in card["results"]] == [
        (cell["noise"], cell["method"]) for cell in card["cells"]
    ]
    plain, coteaching = card["results"]
    for row, cell in zip(card["results"], card["cells"], strict=True):
        found = np.array([of_seed["accuracy_last"] for of_seed in cell["measured"].values()])
        half = stats.t.ppf(0.5 + card["confidence"] / 2, 1) * found.std(ddof=1) / np.sqrt(2)
        accuracy = row["accuracy_last"]
        assert accuracy["seeds"] == 2
        assert accuracy["mean"] == pytest.approx(found.mean())
        assert accuracy["upper"] - accuracy["mean"] == pytest.approx(half)
        assert accuracy["mean"] - accuracy["lower"] == pytest.approx(half)
    assert plain["gain"] is None
    assert coteaching["gain"]["mean"] == pytest.approx(
        coteaching["accuracy_last"]["mean"] - plain["accuracy_last"]["mean"]
    )
    assert [row["seed"] for row in card["noise_rates"]] == [0, 1]
    for row in card["noise_rates"]:
        seed = f"seed_{row['seed']}"
        of_seed = card["cells"][1]["measured"][seed]
        assert row["realized"] == card["cells"][1]["receipts"][seed]["realized_rate"]
        assert row["estimated"] == of_seed["estimated_rate"]
        assert (row["low"], row["high"]) == (of_seed["estimated_low"], of_seed["estimated_high"])


@pytest.mark.parametrize("older", [{"complete": False}, {"seeds": [0]}, {"trainings": []}])
def test_a_report_from_before_the_end_of_the_run_is_refused(reported, tmp_path, older):
    run, folder = RunDir(shutil.copytree(reported.path, tmp_path / "run")), tmp_path / "published"
    path = run.report / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | older))
    with pytest.raises(RunError, match="Make it again by `tfticket report"):
        publish(run.path, folder)
    assert not folder.exists()
