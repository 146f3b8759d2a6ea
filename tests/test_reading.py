import math

import pytest

from tfticket import reading
from tfticket.reading import UnreadableError, check_plain, parse_json, parse_toml, read_text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested more than 100 levels deep"),
        ("[" * 101 + "]" * 101, "nested more than 100 levels deep"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested more than 100 levels deep"),
        ("9" * 5000, "a whole number of more than 64 bits"),
        (str(2**64), "a whole number of more than 64 bits"),
        ('{"a": "\\ud800"}', "text that isn't Unicode"),
        ('{"\\ud800": 1}', "text that isn't Unicode"),
        ("{", "isn't JSON: Expecting"),
        (b'"\xff"', "isn't UTF-8 text: invalid start byte at 1"),
    ],
)
def test_json_that_is_refused(text, problem):
    with pytest.raises(UnreadableError, match=problem) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "[" * 30_000, "nested more than 100 levels deep"),
        ("a = " + "[" * 101 + "]" * 101, "nested more than 100 levels deep"),
        ("a." * 101 + "b = 1", "a key has more than 100 parts"),
        ('x = {"a" . ' + "'b' . " * 100 + "c = 1}", "a key has more than 100 parts"),
        ("[" + "a." * 120 + "b]", "a key has more than 100 parts"),
        ("a = " + "9" * 5000, "a whole number of more than 64 bits"),
        ("a = 0x" + "f" * 17, "a whole number of more than 64 bits"),
        ("a = 1979-13-45", "isn't TOML"),
        ("a = 1\n" * 2, "isn't TOML: Cannot overwrite"),
        ("#" * 300_000, "more than 262,144 characters"),
    ],
)
def test_toml_that_is_refused(text, problem):
    with pytest.raises(UnreadableError, match=problem):
        parse_toml(text)


def test_what_is_within_the_limits_is_read():
    assert parse_json("[" * 100 + "]" * 100)
    assert parse_json(str(2**64 - 1)) == 2**64 - 1
    assert math.isnan(parse_json('{"loss": NaN}')["loss"])
    assert parse_json('"ä\\u20ac"') == "ä€"
    assert parse_toml(".".join("a" * 90) + " = 1.5")
    dots = "a sentence. " * 99
    assert parse_toml(f"title = '{dots}'")["title"] == dots


def test_plain_values_from_elsewhere():
    check_plain({"a": [1, -(2**64 - 1), "b", None, True, 1e300]})
    with pytest.raises(UnreadableError, match="64 bits"):
        check_plain({"a": [-(2**64)]})


def test_files_that_can_not_be_read(tmp_path):
    for path, problem in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(UnreadableError, match=problem):
            read_text(path)
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_text(tmp_path / "a", most_bytes=10) == "0123456789"
    with pytest.raises(UnreadableError, match="more than 9 bytes"):
        read_text(tmp_path / "a", most_bytes=9)
    with pytest.raises(UnreadableError, match="more than 67,108,864 bytes"):
        reading.read_json("/dev/zero")
