import json
import shutil
import subprocess
import sys

import pytest
import synthetic_runs
from parsed_page import Page
from PIL import Image

from tfticket.display import charts
from tfticket.errors import RunError
from tfticket.studies.lottery.summary import summarize
from tfticket.studies.report import render

pytestmark = pytest.mark.slow

FIGURES = ["hypothesis", "plane", "accuracy_at_end", "early_stop", "loss_curves", "accuracy_curves"]
INSIDES = ["layers", "overlap", "inputs", "masks"]


def page_of(run):
    return Page(render(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full_run(tmp_path_factory, run):
    path = tmp_path_factory.mktemp("full") / "lth_synthetic" / "default"
    shutil.copytree(run, path)
    synthetic_runs.write_extras(path)
    return path


@pytest.fixture(scope="module")
def page(full_run):
    return page_of(full_run)


def test_the_page_is_well_formed_and_holds_every_figure(page):
    assert page.open == []
    assert page.figures() == [*FIGURES, *INSIDES, "connectivity"]


def test_the_page_stands_alone(full_run, page):
    page.check_alone(full_run)


def test_the_page_says_what_the_summary_says(full_run, page):
    summary = summarize(full_run)
    assert summary.headline in page.text
    assert summary.hypothesis in page.text
    assert "All levels considered" in page.text
    assert json.loads((full_run / "report/summary.json").read_text()) == summary.to_dict()


def test_the_page_holds_claims_deviations_exports_and_the_command(page):
    for text in (
        "Minimum validation loss 38 % earlier than dense",
        "The curves are formulas, not measurements.",
        "seed_0_level_06.int8.tflite",
        "The smallest stable k is 1000",
        "tfticket recipe run lth_synthetic --seeds 0,1,2",
    ):
        assert text in page.text
    assert ("a", {"href": "https://arxiv.org/abs/1803.03635"}) in page.elements


def test_points_of_figures_describe_themselves(page):
    told = [found.get("aria-label", "") for tag, found in page.elements if tag == "path"]
    assert any(text.startswith("ticket; weights left (%): 100; ") for text in told)


def test_the_figures_are_files_too(full_run, page):
    files = sorted((full_run / "report/figures").iterdir())
    assert [file.stem[3:] for file in files] == [*FIGURES, "connectivity", *INSIDES]
    for file in files:
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert min(image.size) > charts._DOTS_PER_INCH  # an inch


def test_rendering_again_gives_the_same_page_and_drops_old_figures(full_run, page):
    before = (full_run / "report/index.html").read_bytes()
    stray = full_run / "report/figures/99_old.png"
    stray.write_bytes(b"")
    assert render(full_run) == full_run / "report/index.html"
    assert (full_run / "report/index.html").read_bytes() == before
    assert not stray.exists()


def test_an_unfinished_run_has_a_page_that_says_so(unfinished_run, tmp_path):
    run = shutil.copytree(unfinished_run, tmp_path / "run")
    page = page_of(run)
    assert "This run is not finished." in page.text
    assert "ticket, seed 1: levels 3 to 4 not finished" in page.text
    assert page.figures() == [*FIGURES, *INSIDES]


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    recipe = {"name": "new", "title": "A <b>new</b> run", "seeds": [0], "lottery": {"levels": 2}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    page = page_of(tmp_path)
    assert page.figures() == []
    assert "No network is trained yet" in page.text
    assert "ticket, seed 0: levels 0 to 2 not finished" in page.text
    assert "A <b>new</b> run" in page.text
    assert page.open == []


def test_one_seed_without_controls(tmp_path):
    run = synthetic_runs.write_lottery(tmp_path, seeds=(0,), levels=2, controls=(), steps=600)
    page = page_of(run)
    assert "In the only seed" in page.text
    assert "overlap" not in page.figures()
    assert "Is it the ticket" not in page.text
    assert "whiskers are the" not in page.text


def test_a_damaged_ticket_does_not_keep_the_page_from_being_made(tmp_path):
    run = synthetic_runs.write_lottery(tmp_path, seeds=(0, 1), levels=2, steps=600)
    (run / "seeds/seed_0/ticket/level_02.npz").write_bytes(b"damaged")
    page = page_of(run)
    assert "Some ticket files could not be read" in page.text
    assert page.figures()[:2] == ["hypothesis", "plane"]


def test_a_convolutional_run_with_a_control_of_ones_own(tmp_path):
    shapes = {"conv1/kernel": (3, 3, 3, 8), "dense1/kernel": (4 * 8, 12), "output/kernel": (12, 10)}
    run = synthetic_runs.write_lottery(
        tmp_path, shapes=shapes, seeds=(0, 1), levels=2, controls=("a<b", "oneshot"), steps=600
    )
    page = page_of(run)
    assert "inputs" in page.figures()
    assert "against a<b, points" in page.text


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="run directory"):
        render(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_tensorflow_is_imported(run):
    code = (
        "import sys; from tfticket.report import render, summarize; "
        f"summarize({str(run)!r}); print({{'keras', 'tensorflow'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
