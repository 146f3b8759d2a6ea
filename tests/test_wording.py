import pytest

from tfticket.wording import duration, ranges


def test_ranges():
    assert ranges([3, 1, 2, 7, 3]) == "1 to 3, 7"
    assert ranges([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (89.6, "90 s"),
        (91, "2 min"),
        (3599, "60 min"),
        (7500, "2 h 5 min"),
        (172_800, "2.0 days"),
    ],
)
def test_duration_has_two_leading_units(seconds, text):
    assert duration(seconds) == text


def test_the_space_before_a_unit_can_be_another():
    assert duration(12_000, space="_") == "3_h 20_min"
