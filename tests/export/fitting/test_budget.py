import pytest

from tfticket.errors import ExportError
from tfticket.export.fitting.budget import Budget, Taken, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [("20000", 20_000), ("64K", 65_536), ("64 kB", 65_536), ("1.5MiB", 1_572_864), (" 1m ", 2**20)],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "K", "64G", "-1K", "0", "64K64", "1e3", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ExportError, match="is no size"):
        parse_bytes(text)


def test_each_limit_that_is_not_kept_is_named_with_what_is_over():
    budget = Budget(0.9, flash_bytes=1000, ram_bytes=500, microseconds=10.0)
    kept = Taken(0.9, 1000, 500, microseconds=10.0)
    assert budget.shortfalls(kept) == {}
    over = Taken(0.8, 1500, 600, microseconds=20.0)
    found = budget.shortfalls(over)
    assert list(found) == ["flash", "ram", "time", "accuracy"]
    assert list(found.values()) == pytest.approx([1.5, 1.2, 2.0, 0.1])


def test_limits_that_are_not_given_are_kept():
    assert Budget(0.5, ram_bytes=10).shortfalls(Taken(0.6, 10**9, 10)) == {}


@pytest.mark.parametrize(
    "limits",
    [
        {"accuracy": 0.9},
        {"accuracy": 0.0, "flash_bytes": 10},
        {"accuracy": 1.1, "flash_bytes": 10},
        {"accuracy": 0.9, "flash_bytes": -1},
        {"accuracy": 0.9, "flash_bytes": 10, "ram_bytes": 0},
        {"accuracy": 0.9, "microseconds": float("nan")},
    ],
)
def test_a_budget_without_limits_or_with_none_that_can_be_kept_is_refused(limits):
    with pytest.raises(ExportError, match="A budget can't be"):
        Budget(**limits)


def test_a_budget_and_what_is_taken_are_described():
    assert Budget(0.95, 65_536, 20_480, 5000.0).describe() == (
        "accuracy at least 95.00%, flash at most 65,536 bytes, RAM at most 20,480 bytes, at most "
        "5,000 us an inference"
    )
    assert Taken(0.97, 7_840, 4_384, measured_ram=True).describe() == (
        "accuracy 97.00%, flash 7,840, RAM 4,384 bytes"
    )
    assert "RAM, at least 4,384 bytes, 12 us" in Taken(0.9, 1, 4_384, microseconds=12.0).describe()
