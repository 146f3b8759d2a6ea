import numpy as np
import pytest
from tiny_labels import CLASSES, NETWORK, write_images

from tfticket.errors import RunError
from tfticket.noise import LabelAudit, LabeledData, symmetric

pytestmark = pytest.mark.slow


@pytest.fixture
def labeled(tmp_path):
    whole = LabeledData.load(write_images(tmp_path / "images.npz"))
    return whole.corrupted(symmetric(CLASSES, 0.2), seed=0, exact=True)


def test_an_audit_tells_its_cost_then_finds_the_wrong_labels(labeled, tmp_path):
    audit = LabelAudit(labeled, NETWORK, seed=3)
    assert (audit.cost.fits, audit.cost.epochs, audit.cost.steps) == (2, 25.0, 250)
    told = []
    split = audit.run(folder=tmp_path / "keep", tell=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]
    wrong = labeled.corruption.changed
    assert wrong[split.clean].mean() < 0.05
    assert (split.probabilities.argmax(axis=1) == labeled.corruption.true).mean() > 0.9

    again = audit.run(folder=tmp_path / "keep", tell=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]  # nothing was trained
    np.testing.assert_array_equal(again.probabilities, split.probabilities)
    with pytest.raises(RunError, match="same data, labels"):
        LabelAudit(labeled, NETWORK, seed=4).run(folder=tmp_path / "keep")
