import json
import shutil
import subprocess
import sys

import pytest
from parsed_page import Page
from synthetic_runs import SELECTION, THEORY, write_noisy

from tfticket.studies.report import render
from tfticket.studies.summaries import summarize

pytestmark = pytest.mark.slow

METHODS = {
    "cross_entropy": (0.70, 0.72, 0.71),
    "coteaching": (0.80, 0.83, 0.82),
    "incv": (0.84, 0.86, 0.85),
}
CLAIM = {"claim": "INCV beats co-teaching", "source": "table 2", "method": "incv",
         "against": "coteaching", "noise": "pair0.4", "value": 0.015, "at_least": 0.0}  # fmt: skip


def page_of(run):
    return Page(render(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    return write_noisy(
        tmp_path_factory.mktemp("noisy") / "study" / "default",
        METHODS,
        noises={"symmetric": 0.5, "pair": 0.4},
        measures={"incv": SELECTION, "coteaching": {"events": 2.0, "forget_rate": 0.49}},
        recipe={"expect": [CLAIM], "paper": "arXiv:1905.05040"},
    )


@pytest.fixture(scope="module")
def page(full_run):
    return page_of(full_run)


def test_the_page_is_well_formed_and_holds_what_the_run_holds(page):
    assert page.open == []
    assert page.figures() == ["gains", "accuracy", "quality", "rates", "matrices", "rounds"]
    names = [found["id"] for _, found in page.elements if "id" in found]
    assert len(names) == len(set(names))


def test_the_page_stands_alone(full_run, page):
    page.check_alone(full_run)


def test_the_page_says_what_the_summary_says(full_run, page):
    summary = summarize(full_run)
    assert summary.headline in page.text
    written = (full_run / "report/summary.json").read_text()
    assert json.loads(written) == json.loads(json.dumps(summary.to_dict(), allow_nan=False))


@pytest.mark.parametrize(
    "text",
    [
        "INCV beats co-teaching",
        "above plain cross-entropy",
        "+14.00",
        "49.3\N{NARROW NO-BREAK SPACE}%",
        "91.2\N{NARROW NO-BREAK SPACE}%",
        "contains the truth",
        "misses the truth",
        "Smaller.",
        "the last 3 evaluations",
        "tfticket recipe run study",
        "49.75\N{NARROW NO-BREAK SPACE}%",
    ],
)
def test_the_page_holds(page, text):
    assert text in page.text


def test_the_page_is_the_same_each_time(full_run, page, tmp_path):
    assert page.open == []  # it is rendered
    other = shutil.copytree(full_run, tmp_path / "study" / "default")
    render(other)
    for name in ("index.html", "summary.json"):
        assert (other / "report" / name).read_bytes() == (full_run / "report" / name).read_bytes()


def test_held_out_predictions_alone_give_theory_and_no_accuracies(tmp_path):
    measures = {"held_out": {**SELECTION, **THEORY}}
    page = page_of(write_noisy(tmp_path / "run", {"held_out": (0, 0)}, measures=measures))
    assert page.open == []
    assert page.figures() == ["rates", "matrices", "rounds", "theory"]
    assert page.text.count("62.2\N{NARROW NO-BREAK SPACE}%") == 3
    assert "Accuracy on clean test data" not in page.text


def test_an_unfinished_run_and_one_without_trainings_have_pages(tmp_path):
    run = write_noisy(tmp_path / "part", unfinished=[("coteaching", 0), ("coteaching", 1)])
    page = page_of(run)
    assert "coteaching: seeds 0 to 1 not finished" in page.text
    assert page.figures() == ["accuracy", "quality"]
    for name in ("cells.json", "metrics.csv"):
        (run / name).unlink()
    page = page_of(run)
    assert "Nothing is trained yet" in page.text
    assert page.figures() == []


def test_a_damaged_file_is_named_and_left_out(tmp_path):
    run = write_noisy(tmp_path / "run", measures={"coteaching": SELECTION})
    (run / "seeds/seed_0/coteaching/level_00.npz").write_bytes(b"broken")
    page = page_of(run)
    assert "could not be read" in page.text
    assert "seeds/seed_0/coteaching/level_00.npz" in page.text
    assert str(run) not in page.text
    assert "matrices" in page.figures()


def test_one_seed_without_intervals_is_drawn(tmp_path):
    page = page_of(write_noisy(tmp_path, {"cross_entropy": (0.7,), "jocor": (0.8,)}))
    assert "gains" in page.figures()
    assert "one seed, so no interval" in page.text
    assert "inf" not in page.text.split("infer")[0]


def test_a_page_is_made_without_tensorflow(full_run, tmp_path):
    run = shutil.copytree(full_run, tmp_path / "run")
    code = (
        "import sys; from tfticket.studies.report import render; render(sys.argv[1]); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)
