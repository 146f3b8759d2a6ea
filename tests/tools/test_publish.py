import hashlib
import json

import pytest
import synthetic_runs

from tfticket.cli import main, run_command
from tfticket.errors import RunError
from tfticket.lottery.ticket import Ticket
from tfticket.recipe import parsing
from tfticket.studies.registry import KINDS
from tools import publish as publishing
from tools.publish import CARD, MOST_BYTES, publish

pytestmark = pytest.mark.slow

FIGURES = ("01_accuracy.png", "02_early_stop.png", "03_a.png", "04_b.png", "05_c.png")


@pytest.fixture
def run(tmp_path):
    """A complete run with a report and exported levels 0, 4 and 6; 6 is the sparsest."""
    path = synthetic_runs.write_lottery(
        tmp_path / "runs" / "lth_synthetic" / "default", seeds=(0, 1)
    )
    for name, size in {
        "seed_0_level_00.fp32": 900,
        "seed_0_level_04.fp32": 800,
        "seed_0_level_06.fp32": 700,
        "seed_0_level_06.int8": 300,
        "seed_1_level_06.int8": 200,
    }.items():
        export = path / "export" / f"{name}.tflite"
        export.parent.mkdir(exist_ok=True)
        export.write_bytes(name.encode() * size)
        export.with_suffix(".report.json").write_text(json.dumps({"format": name[-4:]}))
    win(path, None)
    for name in FIGURES:
        figure = path / "report" / "figures" / name
        figure.parent.mkdir(exist_ok=True)
        figure.write_bytes(name.encode())
    return path


def win(path, level):
    """Writes a summary in which this level is the smallest winning one."""
    (path / "report").mkdir(exist_ok=True)
    summary = {"smallest_winning": None if level is None else {"level": level}}
    (path / "report" / "summary.json").write_text(json.dumps(summary))


def test_the_folder_holds_the_small_set_and_a_card_of_it(run, tmp_path):
    folder = publish(run, tmp_path / "saved")
    assert folder == tmp_path / "saved" / "lth_synthetic"
    card = json.loads((folder / CARD).read_text())
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == card["files"].keys() | {CARD}
    assert files == {
        CARD,
        "ticket.npz",
        "model.tflite",
        "model.json",
        "summary.json",
        *(f"figures/{name}" for name in FIGURES[:4]),
    }
    for name, facts in card["files"].items():
        content = (folder / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_card_says_where_it_is_from_and_what_was_measured(run, tmp_path):
    folder = publish(run, tmp_path / "saved")
    card = json.loads((folder / CARD).read_text())
    ticket = Ticket.load(folder / "ticket.npz")
    recipe = json.loads((run / "recipe.json").read_text())
    assert (card["recipe"], card["seed"], card["level"]) == ("lth_synthetic", 0, ticket.level)
    assert card["recipe_sha256"] == parsing.sha256(recipe)
    assert card["density"] == pytest.approx(ticket.mask.density)
    assert 0 < card["ticket"]["accuracy_at_early_stop"] < 1
    assert card["dense"]["density"] == 1.0
    assert card["versions"]["keras"] == "3.15.1"


@pytest.mark.parametrize(("winning", "level"), [(None, 6), (4, 4), (5, 6)])
def test_the_smallest_winning_ticket_is_taken_if_it_was_exported(run, tmp_path, winning, level):
    win(run, winning)
    folder = publish(run, tmp_path / "saved")
    assert Ticket.load(folder / "ticket.npz").level == level


def test_of_its_files_the_smallest_of_the_first_seed_is_taken(run, tmp_path):
    content = (publish(run, tmp_path / "saved") / "model.tflite").read_bytes()
    assert content.startswith(b"seed_0_level_06.int8")


@pytest.mark.parametrize(("size", "published"), [(MOST_BYTES, True), (MOST_BYTES + 1, False)])
def test_the_page_of_the_run_is_published_unless_it_is_too_large(run, tmp_path, size, published):
    (run / "report" / "index.html").write_bytes(bytes(size))
    folder = publish(run, tmp_path / "saved")
    assert (folder / "page.html").is_file() == published
    assert ("page.html" in json.loads((folder / CARD).read_text())["files"]) == published


def test_publishing_again_replaces_what_was_there(run, tmp_path):
    folder = publish(run, tmp_path / "saved")
    note = folder / "NOTES.md"
    note.write_text("by hand")
    (run / "report" / "figures" / FIGURES[0]).unlink()
    publish(run, tmp_path / "saved")
    assert not (folder / "figures" / FIGURES[0]).exists()
    assert (folder / "figures" / FIGURES[4]).exists()
    assert note.read_text() == "by hand"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("COMPLETE", "Only a complete run"),
        ("recipe.json", "must be a directory with a recipe.json"),
        ("report/summary.json", "Make it by `tfticket report"),
        ("seeds/seed_0/ticket/level_06.npz", "level_06.npz can't be read"),
        ("export", "Nothing of .* has been exported yet"),
    ],
)
def test_what_lacks_something_is_refused_and_nothing_is_written(run, tmp_path, missing, message):
    (run / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=message):
        publish(run, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_file_that_is_too_large_is_refused(run, tmp_path):
    win(run, 4)
    (run / "export" / "seed_0_level_04.fp32.tflite").write_bytes(bytes(MOST_BYTES + 1))
    with pytest.raises(RunError, match=r"has 2,000,001 bytes.*at most 2,000,000"):
        publish(run, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    "listed", ["../../precious.txt", "/precious.txt", "figures/../../../precious.txt", "", ".git",
               "figures/a/b", "x\0", "..", "card.json/../../precious.txt", "a\nb", "x" * 300],
)  # fmt: skip
def test_a_card_that_lists_what_is_not_published_is_refused(run, tmp_path, listed):
    folder = tmp_path / "saved" / "lth_synthetic"
    folder.mkdir(parents=True)
    (tmp_path / "precious.txt").write_text("precious")
    text = json.dumps({"files": {listed: {}}})
    (folder / CARD).write_text(text)
    with pytest.raises(RunError, match=r"lists .* Nothing was changed"):
        publish(run, tmp_path / "saved")
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert [path.name for path in folder.rglob("*")] == [CARD]
    assert (folder / CARD).read_text() == text


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"files": 3}', b"\xff", b"[" * 10_000])
def test_a_damaged_card_is_refused(run, tmp_path, content):
    folder = tmp_path / "saved" / "lth_synthetic"
    folder.mkdir(parents=True)
    (folder / CARD).write_bytes(content)
    with pytest.raises(RunError, match=r"card\.json"):
        publish(run, tmp_path / "saved")
    assert [path.name for path in folder.rglob("*")] == [CARD]


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "..", ".git", "", "a/b", "x" * 300])
def test_a_recipe_whose_name_leads_elsewhere_is_not_published(run, tmp_path, name):
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**recipe, "name": name}))
    with pytest.raises(RunError, match="which can't name a folder"):
        publish(run, tmp_path / "root" / "saved")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("link", ["lth_synthetic", "lth_synthetic/figures"])
def test_links_out_of_the_root_are_not_followed(run, tmp_path, link):
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "saved" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link that leads out of"):
        publish(run, tmp_path / "saved")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("report/summary.json", "[" * 9000),
        ("report/summary.json", '{"smallest_winning": 3}'),
        ("recipe.json", '{"kind": "none", "name": "lth_synthetic"}'),
        ("recipe.json", '{"kind": "lottery"}'),
        ("environment.json", '{"looks": 3}'),
        ("metrics.csv", "no table"),
    ],
)
def test_files_of_a_run_that_make_no_sense_are_told_and_nothing_is_written(
    run, tmp_path, file, content
):
    (run / file).write_text(content)
    with pytest.raises(RunError):
        publish(run, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_what_kinds_add_is_of_kinds_that_there_are():
    assert publishing._OF_KIND.keys() <= KINDS.keys()


def test_a_kind_that_adds_nothing_is_published_by_its_report(run, tmp_path, monkeypatch):
    monkeypatch.delitem(publishing._OF_KIND, "lottery")
    card = json.loads((publish(run, tmp_path / "saved") / CARD).read_text())
    assert card["files"].keys() == {"summary.json", *(f"figures/{name}" for name in FIGURES)}
    assert card["kind"] == "lottery"


def command(*arguments):
    return run_command(publishing.main, arguments, name="publish")


def test_publish_prints_the_folder(tmp_path, capsys):
    run = synthetic_runs.write_lottery(tmp_path / "lth_synthetic" / "default", seeds=(0,), levels=1)
    (run / "export").mkdir()
    (run / "export" / "seed_0_level_01.int8.tflite").write_bytes(b"model")
    (run / "export" / "seed_0_level_01.int8.report.json").write_text("{}")
    assert main(["report", str(run)]) == 0
    capsys.readouterr()
    assert command(str(run), "--root", str(tmp_path / "saved")) == 0
    folder = tmp_path / "saved" / "lth_synthetic"
    assert capsys.readouterr().out == f"{folder}\n"
    assert (folder / "card.json").is_file()


def test_help_keeps_the_line_of_its_example(capsys):
    assert command("--help") == 0
    assert "\n  python tools/publish.py runs/" in capsys.readouterr().out


def test_a_run_that_is_not_complete_is_refused(tmp_path, capsys):
    run = synthetic_runs.write_lottery(tmp_path / "run", seeds=(0,), levels=1, complete=False)
    assert command(str(run), "--root", str(tmp_path / "saved")) == 1
    assert "Only a complete run can be published" in capsys.readouterr().err
