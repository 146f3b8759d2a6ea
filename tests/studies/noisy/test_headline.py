from synthetic_runs import SELECTION, THEORY, write_noisy

from tfticket.studies.summaries import summarize

PERCENT = "\N{NARROW NO-BREAK SPACE}%"


def headline(path, accuracies, **arguments):
    return summarize(write_noisy(path, accuracies, **arguments)).headline


def test_a_clear_winner_stands_with_its_gain_and_interval(tmp_path):
    said = headline(tmp_path, {"cross_entropy": (0.7, 0.7, 0.71), "jocor": (0.8, 0.8, 0.81)})
    assert said == (
        f"Under symmetric noise of 50{PERCENT}, JoCoR ends highest, at 80.33{PERCENT} on clean "
        "test data, 10.00 points above plain cross-entropy (+10.00 to +10.00, 3 seeds)."
    )


def test_what_seeds_cant_tell_is_said(tmp_path):
    said = headline(tmp_path, {"cross_entropy": (0.7, 0.78), "jocor": (0.8, 0.79)})
    assert "5.50 points above plain cross-entropy" in said
    assert said.endswith("which is not significant.")


def test_cross_entropy_wins_plainly(tmp_path):
    methods = {"cross_entropy": (0.7, 0.8), "jocor": (0.6, 0.7), "gce": (0.1, 0.1)}
    said = headline(tmp_path, methods)
    assert "plain cross-entropy wins: it ends at 75.00" in said
    assert "the best other method, JoCoR, 10.00 points below it" in said


def test_the_winner_is_found_among_common_seeds(tmp_path):
    methods = {"cross_entropy": (0.7, 0.9), "jocor": (0.8, 0.8), "gce": (0.72, 0.97)}
    said = headline(tmp_path, methods, unfinished=[("gce", 1), ("cross_entropy", 1)])
    assert "JoCoR ends highest" in said
    assert "10.00 points above plain cross-entropy (one seed, so no interval)" in said


def test_without_cross_entropy_nothing_is_compared(tmp_path):
    said = headline(tmp_path / "one", {"jocor": (0.6, 0.7)})
    assert said.endswith("no cross-entropy was trained beside it to compare with.")
    said = headline(tmp_path / "two", {"cross_entropy": (0.6, 0.7)})
    assert "cross-entropy ends at 65.00" in said


def test_that_stopping_in_time_does_as_well_is_said(tmp_path):
    said = headline(tmp_path, {"cross_entropy": (0.795, 0.796), "jocor": (0.8, 0.8)})
    assert f"cross-entropy stopped where noisy validation data says reaches 80.55{PERCENT}" in said


def test_estimates_and_theory_are_told(tmp_path):
    measures = {"held_out": {**SELECTION, **THEORY}}
    said = headline(tmp_path / "sure", {"held_out": (0, 0)}, measures=measures)
    assert "estimated to within 0.7 points; 2 of 2 intervals contain it." in said
    assert "is 1.1 points from what theory predicts, in the only noise." in said
    measures = {"held_out": {**SELECTION, "identifiable": 0.0}}
    said = headline(tmp_path / "unsure", {"held_out": (0, 0)}, measures=measures)
    assert said == "The noise rate was not identifiable in 2 of 2 estimates."


def test_many_noises_are_left_to_the_table(tmp_path):
    noises = {"symmetric": 0.5, "pair": 0.4, "none": 0.0, "instance": 0.3,
              "cifar10_asymmetric": 0.4, "symmetric_inclusive": 0.2}  # fmt: skip
    said = headline(tmp_path, {"cross_entropy": (0.7, 0.7), "jocor": (0.8, 0.9)}, noises=noises)
    assert said.count("ends highest") == 5
    assert "With no added noise, JoCoR" in said
    assert said.endswith("The table tells of the other noises.")
