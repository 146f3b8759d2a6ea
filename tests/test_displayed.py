"""Results of all areas show themselves: in a sentence, a table, a figure, a notebook."""

import re
from dataclasses import fields

import numpy as np
import pytest
from noisy_splits import estimate, split

from tfticket.display import Displayable
from tfticket.lottery import Ticket
from tfticket.noise import MarginRecord, find_label_issues
from tfticket.norms import CurvatureRecord, ShiftRecord
from tfticket.sparsity import Mask


def ticket():
    mask = Mask({"hidden/kernel": np.eye(4), "out/kernel": np.ones((4, 2))})
    weights = {key: np.ones(array.shape) for key, array in mask.items()}
    provenance = {"result": {"at_early_stop": {"accuracy": 0.97}}}
    return Ticket(mask, weights, level=2, rewind_step=100, provenance=provenance)


def shift():
    values = np.array([[0.5, np.nan], [0.7, 0.1]])
    return ShiftRecord(np.array([0, 10]), np.array(["b", "c"]), values, values, values)


def curvature():
    names = {field.name for field in fields(CurvatureRecord)}
    arrays = {name: np.array([4.0, 8.0]) for name in names}
    arrays |= {name: np.array([[4.0, 1.0], [8.0, 2.0]]) for name in CurvatureRecord.TABLES}
    arrays |= {"step": np.array([0, 10]), "names": np.array(["model/1", "model/2"])}
    arrays |= {"residuals": np.array([[0.0, 0.0], [9.0, 0.0]])}
    return CurvatureRecord(**{**arrays, "learning_rate": np.array([0.2, 0.1])})


def issues():
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05]] * 20)
    labels = np.array([0, 1, 0] * 20)
    labels[4] = 0
    return find_label_issues(labels, pred_probs=probabilities, transition=[[0.9, 0.1], [0.1, 0.9]])


def margins():
    counts = np.array([2, 2, 0])
    return MarginRecord(
        given=np.array([0, 1, -1]),
        epochs=counts,
        margin_sums=np.array([8, -3, 0], np.float32),
        correct=np.array([2, 0, 0]),
        forgetting_events=0 * counts,
        last_correct=counts > 2,
        probability_sums=np.array([[1.9, 0.1], [1.4, 0.6], [0, 0]], np.float32),
    )


RESULTS = {
    "margins": (
        margins,
        "1 label issue in 3 labels, by the margin over 2 epochs: below 0.00. 1 example had .*",
        {"id": [0, 1, 2], "suggested": [0, 0, -1], "is_issue": [False, True, False]},
    ),
    "ticket": (
        ticket,
        "Ticket of level 2: 50.0.%.* kept (12 of 24 weights), .* step 100. .* accuracy of 97.00.%.",
        {"key": ["hidden/kernel", "out/kernel"], "kept": [4, 8], "density": [0.25, 1.0]},
    ),
    "shift": (
        shift,
        "Internal covariate shift of 2 layers at 2 moments, steps 0 to 10: cosine 0.500, .*",
        {"step": [0, 10], "l2/b": [0.5, 0.7]},
    ),
    "curvature": (
        curvature,
        "Curvature at 2 moments, steps 0 to 10: sharpness 4 to 8 (not converged at 1), "
        "at last 8, where 2 / learning rate is 20.",
        {"step": [0, 10], "eigenvalue/model/2": [1.0, 2.0]},
    ),
    "estimate": (
        estimate,
        "20.0.% of the labels are estimated to be wrong (95 % CI 15.0.% to 25.0.%), .* symmetric.",
        {"true": [0, 0, 0, 1, 1, 1, 2, 2, 2], "given": [0, 1, 2] * 3},
    ),
    "split": (
        split,
        "3 clean, 1 candidate and 2 removed of 6 examples. 20.0.% of the labels .*",
        {"set": ["clean", "removed", "clean", "clean", "removed", "candidate"],
         "votes": [1, 2, 1, 2, 1, 2]},
    ),
    "issues": (
        issues,
        "1 label issue in 60 labels, 100.*% of them expected to be real.",
        {"id": [*range(60)], "given": [0, 1, 0, 0, 0, 0] + [0, 1, 0] * 18},
    ),
}  # fmt: skip

each_result = pytest.mark.parametrize("name", RESULTS)


@each_result
def test_a_result_is_a_sentence_rows_and_a_figure(name, tmp_path):
    make, sentence, columns = RESULTS[name]
    result = make()
    assert isinstance(result, Displayable)
    said = re.escape(sentence).replace(r"\.\*", ".*").replace(r"\.%", ".%").replace(r"\ ", " ")
    assert re.fullmatch(said, result.summary()), result.summary()
    frame = result.to_dataframe()
    assert {name: frame[name].tolist() for name in columns} == columns
    assert result.plot().save(tmp_path / "x.svg").read_text().startswith("<svg")
    assert "<table>" in result._repr_html_()


@each_result
def test_a_repr_is_short(name):
    text = repr(RESULTS[name][0]())
    assert len(text) < 130
    assert "array(" not in text


def test_a_record_of_no_moment_has_nothing_to_draw():
    empty = ShiftRecord.joined([], np.array(["b"]))
    assert repr(empty) == "ShiftRecord(no moments, 1 layers)"
    assert empty.to_rows() == []
    with pytest.raises(ValueError, match="measured at no moment"):
        empty.plot()
