import json

import numpy as np
import pytest
from tiny_norms import recipe

from tfticket.errors import RunError
from tfticket.files import read_arrays, write_arrays, write_json
from tfticket.metrics import Row
from tfticket.recipe import parsing
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.norms.conditions import conditions
from tools.publish import CARD, publish

pytestmark = pytest.mark.slow

CHANGES = ("seeds=[0, 1]", "landscape={every=2}")
FIGURES = tuple(f"{number:02d}_figure.png" for number in range(8))


@pytest.fixture
def run(tmp_path):
    """A complete run of two norms and two seeds, with numbers made up and a report."""
    given = recipe(*CHANGES)
    with writing(RunDir(tmp_path / "runs" / "tiny_norms" / "default"), given, toml=b"") as run:
        planned = conditions(given)
        write_json(run.cells, {"cells": [cell.to_dict() for cell in planned]})
        for seed in given.seeds:
            for cell in planned:
                accuracy = 0.5 + 0.1 * seed
                run.append_rows(
                    [Row(seed, cell.branch, 0, 4, 0.5, "test", "accuracy_at_end", accuracy)]
                )
                write_arrays(
                    run.ticket(seed, cell.branch, 0),
                    kind="cell",
                    header=cell.to_dict(),
                    arrays={"landscape/loss": np.arange(2.0), "shift/layers": np.array(["a"])},
                )
        for name in FIGURES:
            path = run.report / "figures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        write_json(run.report / "summary.json", {"headline": "so and so"})
        run.mark_complete({})
    return run


def test_the_folder_holds_summary_figures_curves_and_the_card(run, tmp_path):
    folder = publish(run.path, tmp_path / "saved")
    card = json.loads((folder / CARD).read_text())
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == card["files"].keys() | {CARD}
    assert files == {
        CARD,
        "summary.json",
        "curves.npz",
        *(f"figures/{name}" for name in FIGURES[:6]),
    }
    assert (card["recipe"], card["kind"], card["seeds"]) == ("tiny_norms", "norms", [0, 1])
    assert card["recipe_sha256"] == parsing.sha256(run.resolved())


def test_the_card_says_what_each_network_is_and_came_to(run, tmp_path):
    card = json.loads((publish(run.path, tmp_path / "saved") / CARD).read_text())
    by_branch = {cell["branch"]: cell for cell in card["cells"]}
    assert set(by_branch) == {"none", "batch"}
    assert by_branch["batch"]["norm"] == "batch"
    assert by_branch["batch"]["measured"]["seed_1"] == {"accuracy_at_end": 0.6}


def test_the_curves_of_all_networks_are_in_one_file(run, tmp_path):
    path = publish(run.path, tmp_path / "saved") / "curves.npz"
    header, arrays = read_arrays(path, kind="curves")
    assert [cell["branch"] for cell in header["cells"]] == ["none", "batch"]
    assert set(arrays) == {
        f"seed_{seed}/{branch}/{name}"
        for seed in (0, 1)
        for branch in ("none", "batch")
        for name in ("landscape/loss", "shift/layers")
    }
    assert arrays["seed_1/batch/landscape/loss"].tolist() == [0.0, 1.0]


def test_a_run_without_its_report_is_refused(run, tmp_path):
    (run.report / "summary.json").unlink()
    with pytest.raises(RunError, match="Make it by `tfticket report"):
        publish(run.path, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
