import json

import pytest

from tfticket.bench.earlier import changes, load
from tfticket.bench.paired import Comparison, Spread
from tfticket.errors import TFTicketError


def result(**ratios):
    empty = {}
    return Comparison("x", "", 3, empty, empty, ratios, empty, empty, empty, empty)


def earlier(median, low, high):
    return {"cpu_ratios": {"other": {"median": median, "low": low, "high": high}}}


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (Spread(0.5, 0.45, 0.55), "no difference seen"),
        (Spread(0.8, 0.7, 0.9), "slower"),
        (Spread(0.2, 0.1, 0.3), "faster"),
    ],
)
def test_a_change_is_one_only_beyond_the_spread_of_both(now, verdict):
    (line,) = changes(result(other=now), earlier(0.52, 0.4, 0.6))
    assert line == f"other: CPU ratio 0.520 then, {now.median:.3f} now, {verdict}"


def test_who_was_not_there_then_is_told():
    (line,) = changes(result(torch=Spread(1, 1, 1)), earlier(0.5, 0.4, 0.6))
    assert line == "torch: not measured then"


def test_results_are_found_by_name(tmp_path):
    file = tmp_path / "then.json"
    file.write_text(json.dumps({"results": [{"benchmark": "x", **earlier(1, 1, 1)}]}))
    assert load(file)["x"]["cpu_ratios"]["other"]["median"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 9000,
        '{"results": 3}',
        '{"results": [{}]}',
        '{"results": [{"benchmark": "x", "cpu_ratios": {"a": {"median": "1"}}}]}',
        '{"results": [{"benchmark": "x", "cpu_ratios": 3}]}',
    ],
)
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "then.json"
    file.write_text(text)
    with pytest.raises(TFTicketError, match=r"tfticket bench -o FILE.*then\.json"):
        load(file)
