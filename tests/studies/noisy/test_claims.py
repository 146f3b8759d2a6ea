import pytest
from synthetic_runs import write_noisy

from tfticket.studies.summaries import summarize

METHODS = {"cross_entropy": (0.70, 0.71, 0.72), "jocor": (0.80, 0.82, 0.81)}


def checked(path, **claim):
    given = {"claim": "It helps", "method": "jocor", **claim}
    run = write_noisy(path, METHODS, unfinished=claim.pop("unfinished", ()),
                    recipe={"expect": [given]})  # fmt: skip
    (found,) = summarize(run).expectations
    return found


@pytest.mark.parametrize(
    ("claim", "verdict", "mean", "remark"),
    [
        ({"against": "cross_entropy", "at_least": 0.0}, "met", 0.1, ""),
        ({"against": "cross_entropy", "at_least": 0.1}, "not significant", 0.1,
         "the mean meets it"),
        ({"against": "cross_entropy", "at_most": 0.0}, "not met", 0.1, ""),
        ({"against": "cross_entropy", "value": 0.2}, "noted", 0.1,
         "same direction as the paper, less"),
        ({"value": 0.9}, "noted", 0.81, "below the paper"),
        ({"value": 0.812}, "noted", 0.81, "the paper's number is inside our interval"),
        ({"method": "gce", "at_least": 0.1}, "not measured", None,
         "no finished training of gce"),
    ],
)  # fmt: skip
def test_claims_are_read_off_the_interval(tmp_path, claim, verdict, mean, remark):
    found = checked(tmp_path, **claim)
    assert str(found.verdict) == verdict
    assert found.remark == remark
    assert (found.estimate.mean if found.estimate else None) == pytest.approx(mean)


def test_a_claim_without_a_noise_is_about_each(tmp_path):
    claim = {"claim": "It helps", "method": "jocor", "against": "cross_entropy", "at_least": 0.0}
    run = write_noisy(tmp_path, METHODS, noises={"symmetric": 0.5, "pair": 0.4},
                    recipe={"expect": [claim]})  # fmt: skip
    found = summarize(run)
    assert [one.measured.measure for one in found.expectations] == [
        "jocor minus cross_entropy, symmetric0.5",
        "jocor minus cross_entropy, pair0.4",
    ]
    assert found.headline.endswith("Of 2 expectations: 2 met.")
