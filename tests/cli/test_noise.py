import csv
import json
import re
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


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Features of two classes of names, a twelfth of the labels wrong, as a table and as arrays."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    true = np.arange(240) % 2
    x = rng.normal(size=(240, 3)) + 4 * true[:, None]
    wrong = np.arange(240) % 12 == 5
    names = np.array(["cat", "dog"])[np.where(wrong, 1 - true, true)]
    lines = [f"{a:.4f},{b:.4f},{c:.4f},{name}" for (a, b, c), name in zip(x, names, strict=True)]
    lines[7] = lines[7].rpartition(",")[0] + ","
    Path("pets.csv").write_text("\n".join(["tail,ear,nose,kind", *lines]) + "\n")
    np.save("features.npy", x)
    np.save("probs.npy", 0.02 + 0.96 * np.eye(2)[true])
    np.save("true.npy", true)
    return np.flatnonzero(wrong)


def read(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "option", [[], ["--features", "features.npy"], ["--pred-probs", "probs.npy"]]
)
def test_a_table_with_names_and_a_missing_label(rows, capsys, option):
    asked = ["csv:pets.csv", "--label-column", "kind", *option, "-o", "out"]
    assert main(["noise", "clean", *asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    everyone = read("out/labels.csv")
    assert sorted(int(row["id"]) for row in everyone) == list(range(240))
    assert {row["note"] for row in everyone[:-1]} == {""}
    last = everyone[-1]
    assert (last["id"], last["given"], last["suggested_name"]) == ("7", "", "dog")
    assert (last["score"], last["is_issue"], last["note"]) == ("", "false", "no label")
    found = {int(row["id"]) for row in read("out/suspects.csv")}
    assert len(found & set(rows)) / len(rows) >= 0.9
    assert len(found & set(rows)) / len(found) >= 0.9
    assert told["suspects"] == len(found)
    assert Path("out/clean_split.npz").exists() == ("--pred-probs" not in option)
    page = Path("out/index.html").read_text()
    assert "Without a label" in page
    assert '<th scope="row" class="text">nose</th>' in page
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["data"] == f"csv:{Path('pets.csv').absolute()}?label=kind"

    # What follows finds the data by the summary.
    assert main(["noise", "apply", "out/suspects.csv", "--output", "right.csv", "--yes"]) == 0
    before, after = (Path(name).read_text().splitlines() for name in ("pets.csv", "right.csv"))
    assert [place - 1 for place in range(241) if before[place] != after[place]] == sorted(found)


def test_where_true_labels_are_known_the_list_is_judged(rows, capsys):
    true = np.load("true.npy")
    given = np.where(np.isin(np.arange(240), rows), 1 - true, true)
    np.save("given.npy", np.where(np.arange(240) == 9, -1, given))
    Path("clean.csv").write_text(
        "x,label\n" + "".join(f"{n % 7},{'' if n == 7 else y}\n" for n, y in enumerate(true))
    )
    asked = ["csv:clean.csv", "--labels", "given.npy", "--pred-probs", "probs.npy", "-o", "out"]
    assert main(["noise", "clean", *asked]) == 0
    told = dict(re.split("  +", line) for line in capsys.readouterr().out.splitlines()[:-4])
    for name in ("precision", "recall", "average precision"):
        assert told[name] == "100.00 %"
    assert told["realized rate"] == "8.33 %"
    assert main(["noise", "clean", *asked, "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["detection"]
    assert hits == {"precision": 1, "recall": 1, "average_precision": 1}


@pytest.mark.parametrize(
    ("option", "status", "message"),
    [
        (["--pred-probs", "features.npy"], 1, "`features.npy`: `probabilities` must be finite"),
        (["--pred-probs", "three.npy"], 1, "a column for each of the 2 classes"),
        (["--pred-probs", "short.npy"], 1, "shape (240, classes)"),
        (["--features", "short.npy"], 1, "a row for each of the 240 labels"),
        (["--features", "none.npy"], 2, "does not exist"),
        (["--features", "pets.csv"], 1, "can't be read as rows of numbers"),
        (["--features", "features.npy", "--epochs", "3"], 2, "--epochs is about training"),
        (["--pred-probs", "probs.npy", "--folds", "3"], 2, "--folds is about training"),
        (["--pred-probs", "probs.npy", "--features", "features.npy"], 2, "one of them"),
        (["--label-column", "king"], 1, "Did you mean 'kind'"),
    ],
)
def test_predictions_and_features_that_do_not_fit(rows, capsys, option, status, message):
    np.save("three.npy", np.full((240, 3), 1 / 3))
    np.save("short.npy", np.full((200, 2), 0.5))
    column = [] if "--label-column" in option else ["--label-column", "kind"]
    assert main(["noise", "clean", "csv:pets.csv", *column, *option, "-o", "out"]) == status
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


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
