import tiny_norms
from tiny_recipe import TOML, recipe

from tfticket.recipe.rundir import RunDir
from tfticket.recipe.runs import list_runs
from tfticket.recipe.session import writing


def test_runs_are_listed_with_their_state(tmp_path):
    for name in ("default", "smoke"):
        with writing(RunDir(tmp_path / "tiny" / name), recipe(), toml=TOML.encode()) as run:
            path = run.ticket(0, "ticket", 0)
            path.parent.mkdir(parents=True)
            path.write_bytes(b"ticket")
    run.mark_complete({})
    (tmp_path / "other" / "folder").mkdir(parents=True)
    entries = list_runs(tmp_path)
    assert [(entry.recipe, entry.name, entry.state) for entry in entries] == [
        ("tiny", "default", "resumable after 1 level"),
        ("tiny", "smoke", "complete"),
    ]


def test_no_folder_has_no_runs(tmp_path):
    assert list_runs(tmp_path / "nowhere") == []


def test_a_run_of_the_kind_norms_counts_networks(tmp_path):
    with writing(RunDir(tmp_path / "tiny" / "default"), tiny_norms.recipe(), toml=b"") as run:
        path = run.ticket(0, "batch", 0)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"cell")
    (entry,) = list_runs(tmp_path)
    assert entry.state == "resumable after 1 network"
