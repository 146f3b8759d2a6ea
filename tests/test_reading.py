import io
import math
import zipfile

import mutations
import numpy as np
import pytest

from tfticket import reading
from tfticket.reading import (
    UnreadableError,
    arrays_in,
    check_plain,
    open_archive,
    parse_json,
    parse_toml,
    read_entry,
    read_text,
)


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


def written(path, content):
    path.write_bytes(content)
    return path


def arrays(path, **given):
    np.savez_compressed(path, **given)
    return path


def test_arrays_and_entries_are_read(tmp_path):
    path = arrays(tmp_path / "a.npz", a=np.arange(3), b=np.zeros((0, 2), "f2"))
    with open_archive(path) as archive:
        found = dict(arrays_in(archive))
        assert list(dict(arrays_in(archive, "b"))) == ["b"]
        assert read_entry(archive, "a.npy").startswith(b"\x93NUMPY")
        with pytest.raises(UnreadableError, match=r"it holds no c\.npy"):
            read_entry(archive, "c.npy")
    np.testing.assert_array_equal(found["a"], [0, 1, 2])
    assert found["b"].shape == (0, 2)


def test_what_unpacks_to_gigabytes_is_refused_before_anything_is_unpacked(tmp_path):
    path = written(tmp_path / "a.npz", mutations.bomb({"a": b""}, 1025 * 2**20))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(UnreadableError, match=r"unpack to .* more than 100 times as many"):
        open_archive(path).__enter__()


def test_what_is_large_itself_may_unpack_to_more(tmp_path, monkeypatch):
    monkeypatch.setattr("tfticket.reading.MOST_UNPACKED", 1000)
    path = arrays(tmp_path / "a.npz", a=np.random.default_rng(0).random(1000))
    with open_archive(path) as archive:
        assert dict(arrays_in(archive))["a"].size == 1000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packers_that_take_gigabytes_for_a_byte_are_refused(tmp_path, method):
    path = written(tmp_path / "a.zip", mutations.archive({"a": b"text"}, method=method))
    with pytest.raises(UnreadableError, match="packed otherwise than by deflate"):
        open_archive(path).__enter__()


def npy(header):
    content = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "allow_pickle"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,)}"), "is damaged"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"), "is damaged"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}"), "is damaged"),
        (npy("{'descr': '<U0', 'fortran_order': False, 'shape': (10,)}"), "values of no bytes"),
        (npy("__import__('os').system('true')"), "is damaged"),
        (npy("(" * 100), "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_arrays_that_are_none(tmp_path, content, problem):
    path = written(tmp_path / "a.npz", mutations.archive({"a.npy": content}))
    with open_archive(path) as archive, pytest.raises(UnreadableError, match=problem):
        dict(arrays_in(archive))


def test_files_that_are_no_archives(tmp_path):
    with pytest.raises(UnreadableError, match="No such file"):
        open_archive(tmp_path / "none").__enter__()
    with pytest.raises(UnreadableError, match="isn't a zip archive"):
        open_archive(written(tmp_path / "a", b"text")).__enter__()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.npy", b"x" * 50)
    content = bytearray(file.getvalue())
    content[40] ^= 1
    path, problem = written(tmp_path / "b", content), r"its a\.npy is damaged: Bad CRC"
    with open_archive(path) as archive, pytest.raises(UnreadableError, match=problem):
        read_entry(archive, "a.npy")


def test_what_a_library_quotes_of_a_file_is_cut(tmp_path):
    content = bytearray(mutations.archive({"a.npy": b"x" * 50}))
    content[26:28] = (5_000).to_bytes(2, "little")  # a name that takes in all that follows
    path = written(tmp_path / "a.npz", bytes(content) + b"y" * 5_000)
    with open_archive(path) as archive, pytest.raises(UnreadableError) as told:
        read_entry(archive, "a.npy")
    assert "is damaged" in str(told.value)
    assert len(str(told.value)) < 300
