import numpy as np
import pytest

from tfticket.report.reading import RunFiles
from tfticket.studies.norms.figures import PAPER, figure_of, paper_figure4


def files(tmp_path, **recipe):
    return RunFiles(tmp_path, recipe, {}, False, {}, {}, (), None)


def test_the_digitized_figure_has_the_widths_it_is_quoted_with():
    panels = paper_figure4()
    assert set(panels) == {"loss_band", "predictiveness", "beta"}
    for curves in panels.values():
        assert set(curves) == {"none", "batch"}
        for curve in curves.values():
            assert curve.share[0] == 0
            assert curve.share[-1] == 1
            assert (np.diff(curve.share) > 0).all()
            assert (curve.low <= curve.high).all()
    width = {name: (c.high - c.low).mean() for name, c in panels["predictiveness"].items()}
    assert width["none"] == pytest.approx(49.7, abs=0.1)
    assert width["batch"] == pytest.approx(9.0, abs=0.1)
    band = {name: np.log10(c.high / c.low).mean() for name, c in panels["loss_band"].items()}
    assert band["none"] / band["batch"] == pytest.approx(3.6, abs=0.05)
    # Beta sits at 1 / (0.5 * 0.1) for both: it is saturated in most of the paper's figure.
    late = {name: c.low[c.share > 1 / 3] for name, c in panels["beta"].items()}
    assert {name: round(float(np.median(values))) for name, values in late.items()} == {
        "none": 20, "batch": 20,
    }  # fmt: skip


def test_it_is_laid_behind_the_paper_s_own_experiment_only(tmp_path):
    assert figure_of(files(tmp_path, paper=PAPER, model={"name": "vgg"}))
    assert not figure_of(files(tmp_path, paper=PAPER, model={"name": "dln"}))
    assert not figure_of(files(tmp_path, paper="arXiv:1803.08494", model={"name": "vgg"}))
    assert not figure_of(files(tmp_path, paper=PAPER, model={"name": None}))
