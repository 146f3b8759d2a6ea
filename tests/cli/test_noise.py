import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_labels import OPTIONS, write_images

from tfticket.cli import main
from tfticket.noise import Corruption

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_images(Path("images.npz"))


def test_corrupted_labels_are_found_again(data, capsys):
    corrupted = ["noise", "corrupt", data, "--rate", "0.2", "--exact", "-o", "labels.npz"]
    assert main(corrupted) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "labels.npz"
    assert "60 of 300" in lines[2]
    receipt = Corruption.load("labels.npz")
    assert receipt.realized_rate == pytest.approx(0.2)

    arguments = [data, "--labels", "labels.npz", *OPTIONS, "--keep", "keep"]
    assert main(["noise", "clean", *arguments, "--iterations", "1", "-o", "out"]) == 0
    streams = capsys.readouterr()
    assert "At most 2 networks, 250 steps" in streams.err
    assert streams.err.count("Training network") == 2
    assert streams.out.splitlines()[-4:] == [
        "out/labels.csv",
        "out/suspects.csv",
        "out/index.html",
        "out/pred_probs.npy",
    ]
    told = {line.split("  ")[0]: line for line in streams.out.splitlines()}
    assert told.keys() >= {"estimated rate", "interval", "type", "identifiable", "label issues"}
    assert "20.00 %" in told["realized rate"]
    with Path("out/suspects.csv").open(newline="") as file:
        ids = [int(row["id"]) for row in csv.DictReader(file)]
    hits = receipt.changed[ids].sum()
    assert hits / 60 > 0.9
    assert hits / len(ids) > 0.9

    # The networks are kept: asked otherwise, nothing is trained again.
    assert main(["noise", "estimate", *arguments, "--json"]) == 0
    streams = capsys.readouterr()
    assert "Training" not in streams.err
    estimate = json.loads(streams.out)
    assert estimate["low"] <= 0.2 <= estimate["high"]
    assert main(["noise", "diagnose", *arguments]) == 0
    rows = [line.rsplit(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[1:4]] == [
        "accuracy against given labels",
        "label precision",
        "label recall",
    ]


def test_rows_of_numbers_are_looked_at_without_a_network(data, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(240) % 4
    x = 4 * np.eye(4, 8)[y] + rng.normal(size=(240, 8))
    given = np.where(np.arange(240) % 12 == 5, (y + 1) % 4, y)
    np.savez("rows.npz", x=x, y=given)
    assert main(["noise", "clean", "npz:rows.npz", "-o", "out"]) == 0
    streams = capsys.readouterr()
    assert "Rows of 8 numbers, scaled by column, predicted by" in streams.err
    assert "Training" not in streams.err
    with Path("out/suspects.csv").open(newline="") as file:
        ids = {int(row["id"]) for row in csv.DictReader(file)}
    assert len(ids & set(range(5, 240, 12))) > 15
    assert main(["noise", "estimate", "npz:rows.npz", *OPTIONS, "--json"]) == 0
    streams = capsys.readouterr()
    assert streams.err.count("Training network") == 2  # a network was asked for


def test_labels_that_nothing_can_be_learned_from_are_told(data, capsys):
    rng = np.random.default_rng(0)
    np.savez("lots.npz", x=rng.normal(size=(300, 5)), y=rng.integers(0, 3, 300))
    assert main(["noise", "clean", "npz:lots.npz", "-o", "out"]) == 0
    told = capsys.readouterr().out
    assert "nothing was learned from these labels" in told
    assert "none are named" in told
    assert Path("out/suspects.csv").read_text().count("\n") == 1
    assert "No label issues." not in Path("out/index.html").read_text()


def test_any_matrix_and_noise_by_looks(data, capsys):
    Path("matrix.csv").write_text("1,0,0\n0,0.5,0.5\n0,0,1\n")
    assert main(["noise", "corrupt", data, "--matrix", "matrix.csv", "--exact", "-o", "a.npz"]) == 0
    made = Corruption.load("a.npz")
    np.testing.assert_allclose(made.realized, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], atol=0.01)
    for kind in ("instance", "human_like"):
        looks = ["--kind", kind, "--rate", "0.3"]
        assert main(["noise", "corrupt", data, *looks, "-o", f"{kind}.npz"]) == 0
        made = Corruption.load(f"{kind}.npz")
        assert made.kind.startswith(kind)
        assert made.realized_rate == pytest.approx(0.3, abs=0.1)
        assert main(["noise", "corrupt", data, *looks, "--exact", "-o", "c.npz"]) == 2
        assert "no --exact number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["diagnose", "digits"], 2, "Give --labels, --rate or --matrix"),
        (["corrupt", "digits", "-o", "labels.npz"], 2, "Give --rate or --matrix"),
        (["corrupt", "digits", "--matrix", "rows.csv", "-o", "labels.npz"], 1, "sum to 1"),
        (["corrupt", "digits", "--matrix", "words.csv", "-o", "labels.npz"], 1, "table of numbers"),
        (
            ["corrupt", "digits", "--matrix", "rows.csv", "--kind", "pair", "-o", "labels.npz"],
            2,
            "--kind is about --rate",
        ),
        (["corrupt", "digits", "--rate", "0.2", "-o", "labels.csv"], 2, "must end in .npz"),
        (["corrupt", "digits", "--rate", "0.2", "-o", "images.npz"], 2, "give --overwrite"),
        (["corrupt", "digits", "--rate", "20", "-o", "labels.npz"], 2, "not in the range"),
        (["estimate", "digitz"], 1, "Did you mean 'digits'"),
        (["estimate", "digits", "--labels", "short.npy"], 1, "1,797 training examples"),
        (["estimate", "digits", "--labels", "none.npy"], 2, "does not exist"),
    ],
)
def test_what_is_refused(data, capsys, arguments, status, message):
    np.save("short.npy", np.zeros(4, int))
    Path("rows.csv").write_text("0.5,0.6\n0.1,0.9\n")
    Path("words.csv").write_text("a,b\n")
    assert main(["noise", *arguments]) == status
    assert message in capsys.readouterr().err
