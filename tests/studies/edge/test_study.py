"""A run of the kind `edge` from its searches to the file to ship."""

import json
import shutil

import numpy as np
import pytest
from tiny_edge import recipe

from tfticket.cli import main
from tfticket.errors import RunError
from tfticket.export import check_file, foreign, latency, read_provenance
from tfticket.export.inspect.check import check_in_child
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import read_metrics
from tfticket.runner import runner
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.report import render
from tfticket.studies.summaries import summarize
from tools.publish import publish

pytestmark = pytest.mark.slow


class Told(Silence):
    """Remembers the plan, and the networks that ended in each part."""

    def __init__(self, ended=None, name=""):
        self.ended = [] if ended is None else ended
        self.name = name

    def plan(self, plan):
        self.planned = plan

    def end(self, trial, summary):
        self.ended.append((self.name, trial.level))

    def part(self, name):
        return Told(self.ended, name)


def run_recipe(path, made, progress=None):
    directory = RunDir(path)
    with pytest.MonkeyPatch.context() as patch, writing(directory, made, toml=b"# tiny"):
        patch.setattr(latency, "_ROUNDS", 3)  # all files are timed, but not for long
        runner.run(made, directory, progress=progress)
    return directory


@pytest.fixture(scope="module")
def told():
    return Told()


@pytest.fixture(scope="module")
def run(tmp_path_factory, told):
    directory = run_recipe(tmp_path_factory.mktemp("edge") / "run", recipe(), told)
    render(directory.path)
    return directory


def test_progress_is_told_by_structure(run, told):
    assert told.ended == [
        ("structure unstructured, seed 0", 0),
        ("structure unstructured, seed 0", 1),
        ("structure unstructured, seed 1", 0),
        ("structure unstructured, seed 1", 1),
        ("structure channel, seed 0", 1),
        ("structure channel, seed 1", 1),
    ]
    assert told.planned.networks == len(told.ended)


@pytest.fixture(scope="module")
def table(run):
    return json.loads(run.edge.read_text())


def test_each_search_is_a_whole_run(run):
    for structure in ("unstructured", "channel"):
        search = run.search(structure)
        assert search.complete
        assert search.finished_levels() == {
            (seed, "ticket", level) for seed in (0, 1) for level in (0, 1)
        }
        assert "density" in render(search.path).read_text()


def test_its_networks_are_counted(run):
    assert run.networks() == 8
    assert json.loads(run.complete_file.read_text())["networks"] == 8


def test_the_dense_network_is_trained_once_and_is_the_same_in_all(run):
    first, second = run.search("unstructured"), run.search("channel")
    for seed in (0, 1):
        ours, theirs = (Ticket.load(search.ticket(seed, "ticket", 0)) for search in (first, second))
        assert ours.sha256 == theirs.sha256
        seconds = [
            next(
                row.value
                for row in read_metrics(search.metrics)
                if (row.seed, row.level, row.name) == (seed, 0, "seconds")
            )
            for search in (first, second)
        ]
        assert seconds[0] == seconds[1]  # a second training would take another time


def test_every_ticket_is_tried_in_every_format(table):
    assert [row["name"] for row in table["rows"]] == [
        "dense.fp32", "dense.int8", "dense.sparse_fc",
        "unstructured_01.fp32", "unstructured_01.int8", "unstructured_01.sparse_fc",
        "channel_01.fp32", "channel_01.int8", "channel_01.sparse_fc",
    ]  # fmt: skip
    rows = {row["name"]: row for row in table["rows"]}
    assert "better stored sparsely" in rows["dense.sparse_fc"]["failure"]
    assert rows["channel_01.fp32"]["units_removed"] > 5
    assert rows["channel_01.fp32"]["bytes"] < 0.8 * rows["dense.fp32"]["bytes"]
    sparse = rows["unstructured_01.sparse_fc"]
    assert sparse["bytes"] < 0.8 * rows["unstructured_01.fp32"]["bytes"]


def test_what_is_kept_is_on_a_front_or_chosen_or_dense_and_verifies(run, table):
    rows = {row["name"]: row for row in table["rows"]}
    kept = {path.stem for path in run.path.glob("export/*.tflite")}
    assert kept == set(table["files"])
    assert table["choice"]["name"] in kept
    seen = check_file(run.shipped(table["choice"]["name"]))
    assert seen.sizes.raw == rows[table["choice"]["name"]]["bytes"]
    for name in kept:
        chosen = name == table["choice"]["name"]
        assert chosen or rows[name]["fronts"] or rows[name]["structure"] == "dense"
        content = run.shipped(name).read_bytes()
        check_in_child(foreign.Request([(name, content)]))  # in this process
        assert len(content) == rows[name]["bytes"]
        about = read_provenance(run.shipped(name))["provenance"]
        assert (about["seed"], about["run"]) == (0, "run")


def test_choices_go_by_validation_data(run, table):
    rows = {row["name"]: row for row in table["rows"]}
    chosen = rows[table["choice"]["name"]]
    assert chosen["accuracy"] >= rows["dense.fp32"]["accuracy"] - 0.2
    costs = {
        name: row["bytes"] / row["speedup"]
        for name, row in rows.items()
        if row["failure"] is None
        and name != "dense.fp32"
        and row["accuracy"] >= rows["dense.fp32"]["accuracy"] - 0.2
    }
    assert table["choice"]["name"] == min(costs, key=costs.get)


def test_the_chosen_network_and_format_are_made_for_each_seed(table):
    assert [found["seed"] for found in table["replicates"]] == [0, 1]
    first, second = table["replicates"]
    assert first["failure"] is None
    assert second["failure"] is None
    assert first["test_accuracy"] != second["test_accuracy"]
    rows = {row["name"]: row for row in table["rows"]}
    assert first["bytes"] == rows[table["choice"]["name"]]["bytes"]


def test_the_page_says_which_file_to_ship(run, table):
    page = (run.path / "report/index.html").read_text()
    assert summarize(run.path).headline in page.replace("&#39;", "'")
    assert table["choice"]["name"] in page
    assert 'id="figure-plane"' in page
    assert "../searches/channel/report/index.html" in page
    assert "multiply-adds computed" in page


def test_published_are_the_file_and_its_numbers(run, tmp_path):
    folder = publish(run.path, tmp_path)
    card = json.loads((folder / "card.json").read_text())
    assert card["choice"]["name"] == json.loads(run.edge.read_text())["choice"]["name"]
    assert (folder / "model.tflite").read_bytes() == run.shipped(
        card["choice"]["name"]
    ).read_bytes()
    assert {row["name"] for row in card["results"]} >= {"dense.fp32", "channel_01.int8"}


def test_what_is_found_is_not_searched_again(run, tmp_path, monkeypatch):
    """The files alone are made when the searches are complete."""
    made = []

    def make_files(recipe, searches, run, progress):  # it makes them in the tests below
        made.append((tuple(searches), run.path))
        return []

    monkeypatch.setattr("tfticket.studies.edge.study.make_files", make_files)
    directory = without_files(run, tmp_path / "run")
    written = networks_of(directory)
    assert len(written) >= 8
    again = run_recipe(tmp_path / "run", recipe())
    assert made == [(("unstructured", "channel"), again.path)]
    assert again.complete
    assert networks_of(directory) == written


def networks_of(directory):
    """The files of all networks with the times of their writing."""
    files = directory.path.glob("searches/*/seeds/*/*/*.npz")
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def without_files(directory, copy):
    """A copy of a complete run in which its searches are left."""
    run = RunDir(shutil.copytree(directory.path, copy))
    run.complete_file.unlink()
    run.edge.unlink()
    shutil.rmtree(run.path / "export")
    return run


def hopeless():
    """A recipe whose tickets are far worse than its dense network."""
    made = recipe("seeds=[0]", "edge.formats=['fp32']", "edge.margin=0.0", "train.steps=30")
    raw = made.model_dump()
    searches = [{**search, "rate": 0.97} for search in raw["search"][:1]]
    return type(made).model_validate({**raw, "search": searches})


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Its run, up to the moment when the disk was full, and its networks. Not to be changed."""

    def full(*_, **__):
        raise RunError("The disk is full.")

    directory = RunDir(tmp_path_factory.mktemp("hopeless") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfticket.studies.edge.exporting.write_json", full)
        with pytest.raises(RunError, match="full"):
            run_recipe(directory.path, hopeless())
    return directory, networks_of(directory), directory.complete


@pytest.fixture(scope="module")
def hopeless_run(stopped):
    """The same, gone on with to its end. Not to be changed."""
    return run_recipe(stopped[0].path, hopeless())


def test_a_run_without_a_file_to_ship_is_complete_and_says_why(hopeless_run, tmp_path):
    directory = RunDir(shutil.copytree(hopeless_run.path, tmp_path / "run"))
    told = json.loads(directory.edge.read_text())
    assert (told["choice"]["name"], told["replicates"]) == (None, [])
    assert len(told["rows"]) == 2
    assert "dense.fp32" in told["files"]
    (reason,) = json.loads(directory.complete_file.read_text())["failed_exports"]
    assert "None did" in reason
    assert summarize(directory.path).headline == f"No file to ship. {reason}"
    page = render(directory.path).read_text()
    assert "None did" in page
    assert 'id="figure-plane"' in page
    with pytest.raises(RunError, match="has no file to ship"):
        publish(directory.path, tmp_path)


def test_what_the_libraries_raise_costs_no_run_its_report(hopeless_run, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError('The name "add" is used 2 times in the model.')

    monkeypatch.setattr("tfticket.export.comparison.draft", broken)
    without_files(hopeless_run, tmp_path / "run")
    directory = run_recipe(tmp_path / "run", hopeless())
    assert directory.complete
    assert not directory.edge.exists()
    headline = summarize(directory.path).headline
    assert headline.startswith("No file to ship. The table of files could not be made (ValueError")
    assert "used 2 times" in render(directory.path).read_text()


def test_a_full_disk_leaves_the_run_to_be_gone_on_with(stopped, hopeless_run):
    directory, networks, complete = stopped
    assert not complete
    assert len(networks) >= 2
    assert hopeless_run.complete
    assert networks_of(directory) == networks


def test_a_damaged_table_is_told(run, tmp_path):
    content = json.loads(run.edge.read_text())
    del content["choice"]
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "recipe.json").write_text(run.recipe_json.read_text())
    (copy / "edge.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="table of a run's files"):
        summarize(copy)


def test_dry_run_counts_the_dense_network_once(capsys, tmp_path):
    path = tmp_path / "tiny.toml"
    from tiny_edge import TOML

    path.write_text(TOML)
    assert main(["recipe", "run", str(path), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "search unstructured" in told
    assert "360 steps" in told  # two seeds: dense and two tickets, 60 steps each


def test_searches_of_an_edge_run_are_exported_as_runs(run, capsys):
    assert main(["export", str(run.path)]) == 1
    assert "Its searches lie under searches/" in capsys.readouterr().err


def test_claims_are_met_when_every_seed_meets_them(run, table):
    from tfticket.report.reading import read_run
    from tfticket.studies.edge.summary import summarize_files

    files = read_run(run.path)
    worst = min(found["smaller"] for found in table["replicates"])
    best = max(found["smaller"] for found in table["replicates"])
    expect = [
        {"claim": "a", "measure": "smaller", "at_least": worst},
        {"claim": "b", "measure": "smaller", "at_least": np.nextafter(best, 1e9)},
        {"claim": "c", "measure": "loss", "at_most": 1.0},
        {"claim": "d", "measure": "faster", "at_least": 1.0, "network": "nobody.int8"},
    ]
    object.__setattr__(files, "recipe", {**files.recipe, "expect": expect})
    found = summarize_files(files).expectations
    assert [str(each.verdict) for each in found] == ["met", "not met", "met", "not measured"]
    assert found[0].estimate.seeds == 2
    assert found[0].estimate.lower == worst
