import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from legacy_files import legacy_files, quick_reader

from tfticket.cli import main
from tfticket.lottery import Ticket


@pytest.fixture
def legacy(tmp_path_factory, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return legacy_files(tmp_path_factory)


@pytest.fixture
def quick(legacy, monkeypatch):
    """No child is started."""
    monkeypatch.setattr("tfticket.interop.tfmot.read_in_child", quick_reader(legacy))


def test_a_model_and_its_ticket_are_written(legacy, quick, capsys):
    assert main(["import-tfmot", str(legacy / "stripped.h5"), "-o", "brought.keras"]) == 0
    streams = capsys.readouterr()
    *rows, model, ticket = streams.out.splitlines()
    assert (model, ticket) == ("brought.keras", "brought.npz")
    assert rows[0].split() == ["block_conv/kernel", "43", "of", "108", "39.81", "%"]
    assert rows[-1].startswith("all ")
    assert "The wrappers were stripped, so every weight that is exactly zero" in streams.err
    assert keras.saving.load_model(model).name == "images"
    assert Ticket.load(ticket).mask.counts()["block_conv/kernel"] == 43


def test_as_json_beside_the_legacy_file(legacy, quick, capsys):
    Path("pruned.keras").write_bytes((legacy / "sequence.keras").read_bytes())
    assert main(["import-tfmot", "pruned.keras", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["ticket"]) == ("pruned-keras3.keras", "pruned-keras3.npz")
    assert told["unmasked"] == ["embedding/embeddings"]
    assert told["max_difference"] <= 1e-5
    assert Path(told["model"]).is_file()
    assert Path(told["ticket"]).is_file()


def test_what_is_refused_is_refused_before_tensorflow_starts(legacy):
    code = """
import sys
from tfticket.cli import main
status = main(["import-tfmot", sys.argv[1]])
print(sorted({"tensorflow", "keras"} & sys.modules.keys()), file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(legacy / "refused.h5")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.endswith("\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["refused.h5"], 1, "`code` (Lambda)"),
        (["weights.h5"], 1, "holds weights alone"),
        (["none.h5"], 1, "No such file"),
        (["stripped.h5", "-o", "a.h5"], 2, "must end in .keras"),
        (["stripped.h5", "-o", "there.keras"], 2, "there.keras exists; give --overwrite"),
        (["stripped.h5", "-o", "a.keras", "--ticket", "there.npz"], 2, "there.npz exists"),
        (["stripped.h5", "--timeout", "0"], 2, "--timeout"),
        (["stripped.h5", "-o", "a.keras", "--timeout", "0.01"], 1, "took longer"),
    ],
)
def test_what_is_refused_leaves_nothing(legacy, tmp_path, capsys, arguments, status, message):
    Path("there.keras").touch()
    Path("there.npz").touch()
    name, *options = arguments
    assert main(["import-tfmot", str(legacy / name), *options]) == status
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.keras", "there.npz"]
