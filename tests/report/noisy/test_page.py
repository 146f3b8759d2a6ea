import re

from report.synthetic_noisy import write_run

from tfticket.report.page import render

SELECTION = {
    "noise_rate": 0.5,
    "estimated_rate": 0.493,
    "estimated_low": 0.47,
    "estimated_high": 0.52,
    "identifiable": 1.0,
    "selected": 0.5,
    "selected_precision": 0.912,
    "selected_recall": 0.8,
}
THEORY = {
    f"{kind}_{measure}": value
    for kind, value in (("predicted", 0.611), ("observed", 0.622))
    for measure in ("accuracy", "precision", "recall")
}


def text_of(path, **arguments):
    page = render(write_run(path, **arguments)).read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))


def test_accuracies_stand_beside_those_of_cross_entropy(tmp_path):
    text = text_of(tmp_path)
    assert "coteaching 81.50 %" in text
    assert "+10.50" in text
    assert "Smaller." in text
    assert "What held-out predictions tell" not in text


def test_estimates_and_theory_are_shown_where_they_were_made(tmp_path):
    measures = {"held_out": {**SELECTION, **THEORY}}
    text = text_of(tmp_path, accuracies={"held_out": (0.0, 0.0)}, measures=measures)
    assert "49.3 %" in text
    assert "91.2 %" in text
    assert text.count("62.2 %") == 3
    assert "Held-out predictions were compared with theory." in text
    assert "Accuracy on clean test data" not in text
