from synthetic_runs import cell, write_norms

from tfticket.display.words import THIN
from tfticket.report.reading import read_run
from tfticket.studies.norms.page import facts
from tfticket.studies.norms.summary import summarize_files


def facts_of(run):
    return dict(facts(summarize_files(read_run(run))))


def test_the_facts_of_a_run(panels_run):
    found = facts_of(panels_run)
    assert found["Recipe"] == "norms_synthetic (default)"
    assert found["Network"] == "vgg, width 0.25\N{MULTIPLICATION SIGN}"
    assert found["Normalization"] == "none, batch, group"
    assert found["Training"] == f"1{THIN}500 iterations, batches of 128, sgd at 0.1"
    assert found["Landscape"] == (
        "8 points from 0.5 to 4 times the step, along the gradient, on the training batch, "
        "every 15 iterations"
    )
    assert found["Networks"] == "18 of 18 finished"
    assert found["Time"].startswith(f"18{THIN}min of training")


def test_what_varies_is_given_as_a_range(tmp_path):
    cells = [cell("batch", batch_size=64, steps=100), cell("batch", batch_size=2, steps=3200)]
    run = write_norms(tmp_path, cells, landscape=False, shift=False,
                    unfinished=[("batch-lr0.1-b2-dense", 0)])  # fmt: skip
    found = facts_of(run)
    assert found["Training"].startswith(f"100 to 3{THIN}200 iterations, batches of 2 to 64")
    assert found["Networks"] == "5 of 6 finished"
    assert "Landscape" not in found


def test_what_is_not_known_is_left_out(tmp_path):
    (tmp_path / "recipe.json").write_text('{"kind": "norms"}')
    assert list(facts_of(tmp_path)) == ["Recipe"]
