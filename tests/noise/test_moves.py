import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfticket.errors import DataError, RunError
from tfticket.noise import moves
from tfticket.noise.moves import Move, MoveReceipt, free_names, free_receipt, move_files

NAMES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/sub/3.png")


def content(folder):
    """Name to bytes of all files, and all folders."""
    found = sorted(folder.rglob("*"))
    files = {str(f.relative_to(folder)): f.read_bytes() for f in found if f.is_file()}
    return files, [str(f.relative_to(folder)) for f in found if f.is_dir()]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def planned(folder):
    wanted = [
        ("cat/1.png", "dog/1.png"),
        ("cat/2.png", "owl/new/2.png"),
        ("dog/sub/3.png", "cat/sub/3.png"),
    ]
    return free_names(folder, wanted)


def test_files_move_and_come_back(folder, tmp_path):
    before = content(folder)
    receipt = move_files(folder, planned(folder), tmp_path / "moved.json", table="t.csv")
    files, _ = content(folder)
    assert files == {
        "dog/1.png": b"dog/1.png",
        "dog/1-2.png": b"cat/1.png",
        "owl/new/2.png": b"cat/2.png",
        "cat/sub/3.png": b"dog/sub/3.png",
    }
    said = json.loads((tmp_path / "moved.json").read_text())
    assert (said["state"], said["table"], said["folder"]) == ("done", "t.csv", str(folder))
    assert said["created"] == ["owl", "owl/new", "cat/sub"]
    assert [(each["from"], each["to"], each["size"]) for each in said["moves"]] == [
        ("cat/1.png", "dog/1-2.png", 9),
        ("cat/2.png", "owl/new/2.png", 9),
        ("dog/sub/3.png", "cat/sub/3.png", 13),
    ]
    again = MoveReceipt.load(tmp_path / "moved.json")
    assert again == receipt
    assert again.finish() == receipt  # all is done
    assert content(folder)[0] == files
    assert again.undo().state == "undone"
    assert content(folder) == before
    assert again.undo().state == "undone"
    assert content(folder) == before
    assert MoveReceipt.load(tmp_path / "moved.json").finish().state == "done"  # and again
    assert content(folder)[0] == files


def test_files_that_swap_classes_keep_their_names(folder):
    swapped = free_names(folder, [("cat/1.png", "dog/1.png"), ("dog/1.png", "cat/1.png")])
    assert [each.target for each in swapped] == ["dog/1-2.png", "cat/1-2.png"]
    same = free_names(folder, [("cat/1.png", "owl/x"), ("cat/2.png", "owl/x")])
    assert [each.target for each in same] == ["owl/x", "owl/x-2"]


@pytest.mark.parametrize("stop", [0, 1, 2])
@pytest.mark.parametrize("way", ["finish", "undo"])
def test_what_stops_halfway_is_finished_or_undone(folder, tmp_path, monkeypatch, stop, way):
    before, plan, rename = content(folder), planned(folder), moves.rename
    done = []

    def stopped(old, new):
        if len(done) == stop:
            raise OSError(28, "No space left on device")
        done.append(rename(old, new))

    monkeypatch.setattr(moves, "rename", stopped)
    with pytest.raises(RunError, match=r"No space.*Nothing is lost.*moves the rest.*undo"):
        move_files(folder, plan, tmp_path / "moved.json")
    monkeypatch.undo()
    receipt = MoveReceipt.load(tmp_path / "moved.json")
    assert receipt.state == "planned"
    if way == "finish":
        receipt.finish()
        assert {each.target for each in plan} <= content(folder)[0].keys()
        receipt.undo()
    else:
        receipt.undo()
    assert content(folder) == before


KILLED = """
import os, sys
from tfticket.noise import moves
unlink, left = os.unlink, [int(sys.argv[3])]
class Path(type(moves.Path())):
    def unlink(self, *args, **kwargs):
        if not left[0]:
            os._exit(9)  # the file has both names now
        left[0] -= 1
        super().unlink(*args, **kwargs)
moves.Path = Path
plan = [moves.Move("cat/1.png", "dog/9.png"), moves.Move("cat/2.png", "owl/2.png")]
moves.move_files(sys.argv[1], plan, sys.argv[2])
"""


@pytest.mark.parametrize("after", [0, 1])
def test_a_process_that_is_killed_between_two_names_loses_nothing(folder, tmp_path, after):
    before, path = content(folder), tmp_path / "moved.json"
    arguments = [sys.executable, "-c", KILLED, str(folder), str(path), str(after)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 9, done.stderr
    both = ("cat/1.png", "dog/9.png") if after == 0 else ("cat/2.png", "owl/2.png")
    assert (folder / both[0]).samefile(folder / both[1])
    MoveReceipt.load(path).undo()
    assert content(folder) == before
    MoveReceipt.load(path).finish()
    assert content(folder)[0].keys() == {"dog/9.png", "owl/2.png", "dog/1.png", "dog/sub/3.png"}


def test_undo_refuses_where_a_file_was_changed_or_another_has_its_name(folder, tmp_path):
    before = content(folder)
    receipt = move_files(folder, planned(folder), tmp_path / "moved.json")
    moved = content(folder)
    (folder / "owl/new/2.png").write_bytes(b"retouched")
    (folder / "cat/1.png").write_bytes(b"another")
    with pytest.raises(RunError, match="2 files") as refused:
        receipt.undo()
    assert "cat/1.png is there already, another file" in str(refused.value)
    assert "owl/new/2.png was changed since" in str(refused.value)
    assert content(folder)[0] == moved[0] | {"owl/new/2.png": b"retouched", "cat/1.png": b"another"}
    (folder / "cat/1.png").unlink()
    with pytest.raises(RunError, match="1 file "):
        receipt.undo()
    receipt.undo(changed=True)
    assert content(folder)[0] == before[0] | {"cat/2.png": b"retouched"}


def test_undo_names_what_is_missing_and_keeps_folders_with_other_files(folder, tmp_path):
    receipt = move_files(folder, planned(folder), tmp_path / "moved.json")
    (folder / "dog/1-2.png").rename(tmp_path / "kept.png")
    with pytest.raises(RunError, match=r"dog/1-2.png is missing"):
        receipt.undo()
    (tmp_path / "kept.png").rename(folder / "dog/1-2.png")
    (folder / "owl/mine.txt").write_text("mine")
    receipt.undo()
    assert content(folder)[0].keys() == {*NAMES, "owl/mine.txt"}
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"isn't there. Give --data"):
        receipt.finish()
    moved = MoveReceipt.load(tmp_path / "moved.json", folder=tmp_path / "elsewhere")
    assert moved.finish().folder == tmp_path / "elsewhere"


def test_a_file_system_without_hard_links(folder, tmp_path, monkeypatch):
    def no_links(*args, **kwargs):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    before = content(folder)
    receipt = move_files(folder, planned(folder), tmp_path / "moved.json")
    with pytest.raises(FileExistsError):
        moves.rename(folder / "dog/1.png", folder / "dog/1-2.png")
    receipt.undo()
    assert content(folder) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../photos/cat/1.png", "without `..`"),
        ("/etc/passwd", "path below the folder"),
        ("cat//1.png", "path below"),
        ("cat/./1.png", "path below"),
        ("", "path below"),
        ("cat/\0", "path below"),
        ("link/1.png", "Links aren't followed"),
        ("cat/link.png", "Links aren't followed"),
        ("cat/pipe", "neither a file"),
    ],
)
def test_no_name_leads_out_of_the_folder(folder, tmp_path, name, message):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.png").write_bytes(b"outside")
    (folder / "link").symlink_to(outside)
    (folder / "cat/link.png").symlink_to(outside / "1.png")
    os.mkfifo(folder / "cat/pipe")
    for each in (Move(name, "dog/9.png"), Move("cat/1.png", name)):
        with pytest.raises(DataError, match=message):
            move_files(folder, [each], tmp_path / "moved.json")
    assert not (tmp_path / "moved.json").exists()
    receipt = move_files(folder, [Move("cat/1.png", "dog/9.png")], tmp_path / "moved.json")
    said = json.loads((tmp_path / "moved.json").read_text())
    said["moves"][0]["from"] = name
    (tmp_path / "moved.json").write_text(json.dumps(said))
    with pytest.raises((DataError, RunError), match=message):
        MoveReceipt.load(tmp_path / "moved.json").undo()
    assert receipt.undo().state == "undone"
    assert (outside / "1.png").read_bytes() == b"outside"


def test_receipts_are_numbered_and_never_written_over(folder, tmp_path):
    assert free_receipt(tmp_path) == tmp_path / "moved.json"
    move_files(folder, [], tmp_path / "moved.json")
    assert free_receipt(tmp_path) == tmp_path / "moved-2.json"
    with pytest.raises(RunError, match="exists"):
        move_files(folder, [], tmp_path / "moved.json")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"kind": "label_moves"}', '{"kind": "label_moves", "folder": 3, "moves": 4}'],
)
def test_what_is_no_receipt(tmp_path, text):
    (tmp_path / "moved.json").write_text(text)
    with pytest.raises(RunError, match=r"moved\.json"):
        MoveReceipt.load(tmp_path / "moved.json")
