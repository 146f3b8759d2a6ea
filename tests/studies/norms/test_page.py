import json
import shutil
import subprocess
import sys

import pytest
from parsed_page import Page
from PIL import Image
from synthetic_runs import cell, write_norms

from tfticket.display import charts
from tfticket.studies.report import render
from tfticket.studies.summaries import summarize

pytestmark = pytest.mark.slow

LANDSCAPE = ["figure4", "paper", "norms", "beta_curves", "relative", "gauge", "sharpness", "usable"]
SHIFT = ["shift_cosine", "shift_l2"]
CURVES = ["loss_curves", "accuracy_curves"]


def page_of(run):
    return Page(render(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full_run(panels_run, tmp_path_factory):
    return shutil.copytree(panels_run, tmp_path_factory.mktemp("page") / "default")


@pytest.fixture(scope="module")
def page(full_run):
    return page_of(full_run)


def test_the_page_is_well_formed_and_holds_every_figure(page):
    assert page.open == []
    assert page.figures() == [*LANDSCAPE, *SHIFT, "learning_rates", *CURVES]


def test_the_page_stands_alone(full_run, page):
    page.check_alone(full_run)


def test_the_page_says_what_the_summary_says(full_run, page):
    summary = summarize(full_run)
    assert summary.headline in page.text
    written = (full_run / "report/summary.json").read_text()
    assert json.loads(written) == json.loads(json.dumps(summary.to_dict(), allow_nan=False))


def test_the_page_holds_claims_definitions_deviations_and_the_command(page):
    for text in (
        "The gradient-predictiveness band is narrower with BN",
        "figure 4(b), digitized",
        "The curves are formulas, not measurements.",
        "What was measured, and how",
        "t over seeds, 95 %",
        "What measuring cost",
        "a cross at the foot marks a learning rate",
        "tfticket recipe run norms_synthetic --seeds 0,1,2",
    ):
        assert text in page.text
    assert ("a", {"href": "https://arxiv.org/abs/1805.11604"}) in page.elements


def test_the_figures_are_files_too(full_run, page):
    files = sorted((full_run / "report/figures").iterdir())
    assert {file.stem[3:] for file in files} == set(page.figures())
    assert [file.name for file in files][:2] == ["01_figure4.png", "02_paper.png"]
    for file in files:
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert min(image.size) > charts._DOTS_PER_INCH  # an inch


def test_batch_sizes_have_their_figures_and_rendering_again_gives_the_same(batches_run, tmp_path):
    run = shutil.copytree(batches_run, tmp_path / "run")
    page = page_of(run)
    assert page.figures() == ["batch_sizes", "statistics", *CURVES]
    assert "change by statistics taken again" in page.text
    assert "From batches of 64 to batches of 2" in page.text
    assert page.open == []
    before = (run / "report/index.html").read_bytes()
    assert render(run).read_bytes() == before


def test_tickets_have_their_figure(tickets_run, tmp_path):
    page = page_of(shutil.copytree(tickets_run, tmp_path / "run"))
    assert "subnetworks" in page.figures()
    assert "Is a ticket smoother?" in page.text
    assert "weights left" in page.text


def test_wrong_labels_have_the_first_section(noise_run, tmp_path):
    run = shutil.copytree(noise_run, tmp_path / "run")
    page = page_of(run)
    assert page.open == []
    assert page.figures()[:2] == ["memorization", "figure4"]
    assert (run / "report/figures/01_memorization.png").is_file()
    for text in (
        "What is memorized of wrong labels?",
        "symmetric noise of 40",
        "39.80\N{NARROW NO-BREAK SPACE}% of the training labels",
        "Differences, seed by seed",
        "mean of the last 3 evaluations",
    ):
        assert text in page.text
    written = json.loads((run / "report/summary.json").read_text())
    assert written["memorization"]["noise"].startswith("symmetric noise of 40")


def test_without_noise_nothing_is_said_of_it(page, full_run):
    assert "memorized" not in page.text
    assert "memorization" not in json.loads((full_run / "report/summary.json").read_text())


def test_a_regression_has_losses_and_no_accuracies(tmp_path):
    run = write_norms(tmp_path, regression=True, recipe={"model": {"name": "dln", "depth": 25}})
    page = page_of(run)
    # The paper's curves are of its VGG: nothing of another network is laid over them.
    assert "paper" not in page.figures()
    assert "accuracy_curves" not in page.figures()
    assert "loss_curves" in page.figures()
    assert "dln, depth 25" in page.text


@pytest.mark.parametrize("finished", [1, 0])
def test_an_unfinished_run_has_a_page_that_says_so(tmp_path, finished):
    cells = [cell("none"), cell("batch")]
    networks = [(each["branch"], seed) for seed in (0, 1, 2) for each in cells]
    run = write_norms(tmp_path, cells, complete=False, unfinished=networks[finished:])
    page = page_of(run)
    assert "This run is not finished." in page.text
    assert "batch-lr0.1-b128-dense: seeds 0 to 2 not finished" in page.text
    assert ("figure4" in page.figures()) == (finished > 0)
    assert ("No network is trained yet" in page.text) == (finished == 0)
    assert page.open == []


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    recipe = {"name": "new", "kind": "norms", "title": "A <b>new</b> run", "seeds": [0]}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    page = page_of(tmp_path)
    assert page.figures() == []
    assert "No network is trained yet" in page.text
    assert "A <b>new</b> run" in page.text


def test_a_damaged_cell_does_not_keep_the_page_from_being_made(tmp_path):
    run = write_norms(tmp_path, landscape=False)
    (run / "seeds/seed_0/none-lr0.1-b128-dense/level_00.npz").write_bytes(b"damaged")
    page = page_of(run)
    assert "Some cell files could not be read" in page.text
    assert "seeds/seed_0/none-lr0.1-b128-dense/level_00.npz" in page.text
    assert str(run) not in page.text
    assert "shift_cosine" in page.figures()


def test_no_tensorflow_is_imported(panels_run):
    code = (
        "import sys; from tfticket.report import summarize; "
        f"summarize({str(panels_run)!r}); "
        "print({'keras', 'tensorflow', 'vl_convert'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_headline_is_green_when_all_that_was_asked_for_is_met(tmp_path):
    claim = {"claim": "c", "measure": "loss_band", "norm": "batch", "against": "none"}
    for at_least, expected in ((1.0, "headline winning"), (100.0, "headline ")):
        recipe = {"expect": [claim | {"at_least": at_least}], "model": {}}
        run = write_norms(tmp_path / str(at_least), shift=False, every=300, recipe=recipe)
        assert ("p", {"class": expected}) in page_of(run).elements
