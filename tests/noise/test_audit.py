from dataclasses import replace

import numpy as np
import pytest
from tiny_labels import CLASSES, NETWORK, write_images

from tfticket.errors import ModelError, RunError
from tfticket.noise import CleanSplit, LabelAudit, LabeledData, Network, audit_labels, symmetric
from tfticket.noise.audit import choice, networks

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
    # Each was trained on once, and its margin there tells as much.
    assert (split.margins[wrong] < 0).mean() > 0.9
    assert (split.margins[~wrong] > 0).mean() > 0.9
    read = CleanSplit.load(split.save(tmp_path / "split.npz"))
    np.testing.assert_array_equal(read.margins, split.margins)
    np.testing.assert_array_equal(read.label_issues().ranking, split.label_issues().ranking)

    again = audit.run(folder=tmp_path / "keep", tell=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]  # nothing was trained
    np.testing.assert_array_equal(again.probabilities, split.probabilities)
    np.testing.assert_array_equal(again.margins, split.margins)
    with pytest.raises(RunError, match="same data, labels"):
        LabelAudit(labeled, NETWORK, seed=4).run(folder=tmp_path / "keep")


def test_networks_train_longer_while_they_gain(labeled, tmp_path, monkeypatch):
    monkeypatch.setattr(Network, "epochs_for", lambda network, labeled: network.epochs or 2)
    slow = Network("lenet_300_100", width=0.1, batch_size=30, learning_rate=0.02)
    audit = LabelAudit(labeled, slow)
    assert audit.cost.epochs == 2
    said = []
    split = audit.run(folder=tmp_path / "keep", say=said.append)
    (told,) = said
    assert "Held-out agreement still rises" in told
    assert told.endswith("Trained for 4 epochs instead.")
    assert audit.cost.epochs == 4
    again = LabelAudit(labeled, slow).run(folder=tmp_path / "keep")
    np.testing.assert_array_equal(again.probabilities, split.probabilities)
    # What was asked for is done.
    asked = LabelAudit(labeled, replace(slow, epochs=2))
    asked.run(say=said.append)
    assert len(said) == 1


def test_networks_that_never_learn_are_refused(labeled, monkeypatch):
    monkeypatch.setattr(Network, "epochs_for", lambda network, labeled: network.epochs or 1)
    idle = Network("lenet_300_100", width=0.1, batch_size=30, learning_rate=1e-9)
    said = []
    with pytest.raises(ModelError, match="haven't learned these data"):
        LabelAudit(labeled, idle).run(say=said.append)
    assert len(said) == 2


def test_examples_without_a_label_are_predicted_by_networks(labeled):
    given = labeled.given.copy()
    given[:20] = -1
    split = LabelAudit(LabeledData(labeled.data, given), NETWORK).run()
    predicted = split.probabilities[:20].argmax(axis=1)
    assert (predicted == labeled.corruption.true[:20]).mean() > 0.9
    assert set(range(20)) <= set(split.candidate.tolist())
    assert np.isnan(split.label_issues().score[:20]).all()


def test_simple_learners_are_taken_where_they_are_enough(labeled):
    said, started = [], []
    split = audit_labels(labeled, say=said.append, start=lambda: started.append(True))
    assert len(said) == 1
    assert said[0].startswith("Rows of 16 pixels, predicted by ")
    assert not started
    issues = split.label_issues(class_names=labeled.data.class_names)
    wrong = labeled.corruption.changed
    assert (wrong & issues.is_issue).sum() > 0.9 * wrong.sum()
    assert issues.learner == split.learner


def test_networks_are_tried_where_simple_learners_make_mistakes(labeled, monkeypatch):
    monkeypatch.setattr(choice, "_is_good_enough", lambda split: False)
    monkeypatch.setattr(networks, "Network", lambda: NETWORK)
    said, started, told = [], [], []
    split = audit_labels(
        labeled,
        say=said.append,
        tell=lambda *numbers: told.append(numbers),
        start=lambda: started.append(True),
    )
    assert started == [True]
    assert told == [(1, 2), (2, 2)]
    assert "networks may do better" in said[0]
    assert "At most 2 networks" in said[1]
    assert (split.learner == "network") == (len(said) == 2)  # else the simple one is likelier
    asked = audit_labels(labeled, network=NETWORK, say=said.append)
    assert asked.learner == "network"
