import csv
import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

from tfticket.cli import main
from tfticket.noise import moves
from tfticket.noise.table import COLUMNS, csv_text

FILES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/3.png")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of photos and the table of its audit, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for value, name in enumerate(FILES):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 40 * value).save(Path("photos", name))
    Path("out").mkdir()
    rows = [
        ("0", FILES[0], "0", "cat", "1", "dog", "0.95", "true"),
        ("3", FILES[3], "1", "dog", "0", "cat", "0.6", "true"),
        ("1", FILES[1], "0", "cat", "0", "cat", "0.1", "false"),
        ("2", FILES[2], "1", "dog", "1", "dog", "0.1", "false"),
    ]
    Path("out/labels.csv").write_text(csv_text(COLUMNS, rows))
    summary = {"data": f"folder:{tmp_path / 'photos'}", "labels": None}
    Path("out/summary.json").write_text(json.dumps(summary))
    return tmp_path / "photos"


def state(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_files_are_moved_after_a_dry_run_and_brought_back(photos, capsys):
    before = state(photos)
    apply = ["noise", "apply", "out/labels.csv", "--move"]
    assert main(apply) == 0
    streams = capsys.readouterr()
    assert streams.out.splitlines() == [
        "2 labels to change",
        "",
        "cat  ->  dog  1",
        "dog  ->  cat  1",
        "",
        "cat/1.png  ->  dog/1-2.png",
        "dog/3.png  ->  cat/3.png",
    ]
    assert "Nothing was changed. Give --yes" in streams.err
    assert state(photos) == before
    assert main([*apply, "--min-score", "0.9", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "out/moved.json"
    assert state(photos).keys() == {"cat/2.png", "dog/1.png", "dog/1-2.png", "dog/3.png"}
    assert main(["noise", "apply", "out/moved.json"]) == 0
    streams = capsys.readouterr()
    assert "done" in streams.out
    assert main(["noise", "undo", "out/moved.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "undone"
    assert state(photos) == before
    assert main(["noise", "apply", "out/moved.json", "--yes"]) == 0
    assert state(photos) != before
    assert main([*apply, "--yes"]) == 1
    assert "1 file of `out/labels.csv` is missing" in capsys.readouterr().err


def test_a_copy_and_a_label_file(photos, capsys):
    apply = ["noise", "apply", "out/labels.csv"]
    assert main([*apply, "--copy-to", "copy", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["moves"][0]["target"] == "dog/1-2.png"
    assert (told["done"], len(told["changes"])) == (False, 2)
    assert not Path("copy").exists()
    assert main([*apply, "--copy-to", "copy", "--yes"]) == 0
    assert state(Path("copy")).keys() == {"cat/2.png", "cat/3.png", "dog/1.png", "dog/1-2.png"}
    assert main([*apply, "--output", "labels.csv"]) == 0
    assert not Path("labels.csv").exists()
    assert main([*apply, "--output", "labels.csv", "--yes"]) == 0
    capsys.readouterr()
    with Path("labels.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["1", "0", "1", "0"]
    assert main([*apply, "--output", "labels.csv", "--yes"]) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert main([*apply, "--output", "labels.csv", "--yes", "--overwrite"]) == 0
    Path("photos").rename("moved")
    assert main([*apply, "--move"]) == 1
    assert "Give --data folder:PATH" in capsys.readouterr().err
    assert main([*apply, "--move", "--data", "folder:moved"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("out/labels.csv --yes", 2, "Say what to do"),
        ("out/labels.csv --move --copy-to copy", 2, "one of them"),
        ("out/labels.csv --receipt r.json", 2, "--receipt is about --move"),
        ("out/labels.csv --min-score 2 --move", 2, "not in the range"),
        ("out/none.csv", 2, "does not exist"),
        ("out/summary.json", 1, "is no receipt"),
        ("out/summary.json --move", 2, "A receipt says everything"),
        ("out/labels.csv --copy-to out", 1, "Nothing is written over"),
        ("out/labels.csv --move --data npz:a.npz", 1, "is no image folder"),
        ("out/labels.csv --output a.csv --data digits", 1, "it is of another data set"),
    ],
)
def test_what_is_refused(photos, capsys, arguments, status, message):
    before = state(photos.parent)
    assert main(["noise", "apply", *shlex.split(arguments)]) == status
    assert message.lower() in capsys.readouterr().err.lower()
    assert state(photos.parent) == before


def test_without_a_choice_it_says_what_there_is_to_do(photos, capsys):
    assert main(["noise", "apply", "out/labels.csv"]) == 0
    streams = capsys.readouterr()
    assert "cat/1.png  ->  dog" in streams.out
    assert "Choose --output FILE, --copy-to FOLDER or --move" in streams.err
    assert main(["noise", "apply", "out/labels.csv", "--min-score", "0.99", "--move", "--yes"]) == 0
    assert capsys.readouterr().out == "0 labels to change\n"
    assert not Path("out/moved.json").exists()


@pytest.mark.parametrize("command", ["apply", "undo"])
def test_ctrl_c_says_how_to_go_on_and_loses_nothing(photos, capsys, monkeypatch, command):
    before, rename, moved = state(photos), moves.rename, []

    def interrupted(old, new):
        if moved:
            raise KeyboardInterrupt
        moved.append(rename(old, new))

    apply = ["noise", "apply", "out/labels.csv", "--move", "--yes"]
    if command == "undo":
        assert main(apply) == 0
    monkeypatch.setattr(moves, "rename", interrupted)
    assert main(apply if command == "apply" else ["noise", "undo", "out/moved.json"]) == 130
    again = {"apply": "noise apply out/moved.json --yes", "undo": "noise undo out/moved.json"}
    assert f"Nothing is lost. Go on by `tfticket {again[command]}`" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(photos.parent)
    assert main(again[command].split()) == 0
    assert (state(photos) == before) == (command == "undo")
    assert main(["noise", "undo", "out/moved.json"]) == 0
    assert state(photos) == before


def test_a_class_name_steers_no_terminal(photos, capsys):
    row = ("0", FILES[0], "0", "cat", "1", "dog\x1b[2J", "0.95", "true")
    Path("out/suspects.csv").write_text(csv_text(COLUMNS, [row]))
    assert main(["noise", "apply", "out/suspects.csv"]) == 0
    assert "\x1b" not in capsys.readouterr().out
