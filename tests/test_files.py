import json
import subprocess
import sys
import textwrap
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfticket.errors import RunError, TicketError
from tfticket.files import (
    digest,
    read_arrays,
    read_table,
    remove_leftovers,
    table_cell,
    write_arrays,
    write_atomic,
    write_json,
    write_text,
)

HEADER = {"level": 3, "provenance": {"recipe": "lth_digits", "rates": [0.2, 0.1]}}
ARRAYS = {
    "mask:a/kernel:bits": np.arange(5, dtype="uint8"),
    "weight:a/kernel": np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4),
    "weight:a/bias": np.zeros(4, "float16"),
    "weight:seed": np.array([1, 2], "uint32"),
}


def written(folder, **changes):
    content = {"kind": "ticket", "header": HEADER, "arrays": ARRAYS, **changes}
    return write_arrays(folder / "level_03.npz", **content)


def test_arrays_there_and_back(tmp_path):
    header, arrays = read_arrays(written(tmp_path / "new" / "folders"), kind="ticket")
    assert header == {**HEADER, "sha256": digest(ARRAYS, HEADER)}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


@given(
    st.dictionaries(
        st.text("abc/:_", min_size=1, max_size=6),
        st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
        ),
        max_size=3,
    )
)
def test_any_names_and_shapes(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("arrays") / "file.npz"
    _, back = read_arrays(write_arrays(path, kind="x", header={}, arrays=arrays), kind="x")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (back[name].shape, back[name].dtype) == (array.shape, array.dtype)
        assert back[name].tobytes() == array.tobytes()


def test_types_that_numpy_does_not_know(tmp_path):
    given_arrays = {"w": np.array([1.5, -2.0], ml_dtypes.bfloat16)}
    _, arrays = read_arrays(written(tmp_path, arrays=given_arrays), kind="ticket")
    assert arrays["w"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(arrays["w"], given_arrays["w"])


def test_equal_content_gives_equal_bytes(tmp_path):
    one = written(tmp_path / "one").read_bytes()
    backwards = dict(reversed(ARRAYS.items()))
    assert written(tmp_path / "two", arrays=backwards).read_bytes() == one
    assert written(tmp_path / "three", header={**HEADER, "level": 4}).read_bytes() != one


def test_some_of_the_arrays(tmp_path):
    _, arrays = read_arrays(written(tmp_path), kind="ticket", prefix="mask:")
    assert list(arrays) == ["mask:a/kernel:bits"]


def test_numpy_reads_the_file_without_pickle(tmp_path):
    with np.load(written(tmp_path), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["weight:a/kernel"], ARRAYS["weight:a/kernel"])


@pytest.mark.parametrize("prefix", ["", "mask:"])
def test_no_flipped_byte_goes_unnoticed(tmp_path, prefix):
    path = written(tmp_path)
    whole = path.read_bytes()
    expected = read_arrays(path, kind="ticket", prefix=prefix)
    rng = np.random.default_rng(0)
    noticed = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            header, arrays = read_arrays(path, kind="ticket", prefix=prefix)
        except TicketError:
            noticed += 1
        else:  # a byte that carries nothing, such as a file attribute in the archive
            assert header == expected[0]
            assert prefix or arrays.keys() == expected[1].keys()
            assert all(v.tobytes() == expected[1][k].tobytes() for k, v in arrays.items())
    assert noticed > (0.5 if not prefix else 0.2) * len(whole)


def test_no_truncated_file_is_read(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(TicketError, match="Copy it again"):
            read_arrays(path, kind="ticket")


def rezipped(path, **entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def test_foreign_files(tmp_path):
    path = tmp_path / "file.npz"
    with pytest.raises(TicketError, match="no such file"):
        read_arrays(path, kind="ticket")
    with pytest.raises(TicketError, match="no such file"):
        read_arrays(tmp_path, kind="ticket")
    path.write_text("level,accuracy\n")
    with pytest.raises(TicketError, match="not a ticket file of tfticket"):
        read_arrays(path, kind="ticket")
    np.savez(path, kernel=np.ones(3))
    with pytest.raises(TicketError, match=r"not a ticket file.*header\.json"):
        read_arrays(path, kind="ticket")
    np.savez(path, kernel=np.array([{"an": "object"}], object))
    with pytest.raises(TicketError, match="not a ticket file"):
        read_arrays(path, kind="ticket")
    for header in ("[]", "3", '{"kind": "snapshot"}'):
        with pytest.raises(TicketError, match="must be a ticket file"):
            read_arrays(rezipped(path, header__json=header), kind="ticket")
    with pytest.raises(TicketError, match="not a ticket file"):
        read_arrays(rezipped(path, header__json="{"), kind="ticket")


def test_arrays_of_another_file_are_noticed(tmp_path):
    path = written(tmp_path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["weight:seed.npy"] = entries["weight:a/bias.npy"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(TicketError, match="is damaged: its content has the hash"):
        read_arrays(path, kind="ticket")


def test_pickled_arrays_are_never_loaded(tmp_path):
    path = tmp_path / "file.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", '{"kind": "ticket", "sha256": ""}')
        with archive.open("weight.npy", "w") as entry:
            np.lib.format.write_array(entry, np.array([{}], object), allow_pickle=True)
    with pytest.raises(TicketError, match="allow_pickle"):
        read_arrays(path, kind="ticket")


def test_text_and_json(tmp_path):
    assert write_text(tmp_path / "a.txt", "naïve\n").read_bytes() == "naïve\n".encode()
    assert json.loads(write_json(tmp_path / "a.json", {"ä": [1, None]}).read_text()) == {
        "ä": [1, None]
    }


@pytest.mark.parametrize("name", ["\udcc3\udca4.npz", "\udcff", "?\ud800"[1:]])
def test_names_that_are_no_text_in_the_language_of_the_system(tmp_path, name):
    path = write_json(tmp_path / "a.json", {"command": ["tfticket", name]})
    table = read_table(path)
    assert table["command"][1] in ("ä.npz", "\ufffd", "?")
    header, _ = read_arrays(written(tmp_path, header={"provenance": name}), kind="ticket")
    assert header["provenance"] == table["command"][1]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_begins_like_a_formula_is_text(text):
    assert table_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "cat", "-0.5", "+1e-3", "a=b", "7"])
def test_other_cells_stay_as_they_are(text):
    assert table_cell(text) == text


class Stopped(BaseException):
    """Stands for Ctrl-C."""


def test_a_writer_that_stops_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def write(file):
        file.write(b"ne")
        raise Stopped

    with pytest.raises(Stopped):
        write_atomic(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_where_nothing_can_be_written(tmp_path):
    file = write_text(tmp_path / "file", "old")
    with pytest.raises(RunError, match=r"could not be written: .* MiB are free there"):
        write_text(file / "below.txt", "new")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(RunError, match="Nothing was changed"):
        write_text(folder, "new")
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_a_full_disk(tmp_path):
    # A limit on the size of files is the full disk that a test can have: the write itself fails.
    script = """
        import resource, sys
        import numpy as np
        from tfticket.errors import RunError
        from tfticket.files import write_arrays
        noise = np.random.default_rng(0).random(100_000)
        write_arrays(sys.argv[1], kind="x", header={}, arrays={"w": noise[:10]})
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            write_arrays(sys.argv[1], kind="x", header={}, arrays={"w": noise})
        except RunError as error:
            print(error)
    """
    path = tmp_path / "file.npz"
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "could not be written: File too large" in child.stdout
    assert "make room" in child.stdout
    assert list(tmp_path.iterdir()) == [path]
    assert read_arrays(path, kind="x")[1]["w"].size == 10


def test_what_killed_writers_left_is_removed(tmp_path):
    kept = write_text(tmp_path / "seeds" / "a.txt", "a")
    left = tmp_path / "seeds" / "b.npz.123.partial"
    left.write_bytes(b"half")
    assert remove_leftovers(tmp_path) == [left]
    assert list((tmp_path / "seeds").iterdir()) == [kept]
    assert remove_leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "other",
    [
        {"v": np.zeros(2)},
        {"w": np.zeros(3)},
        {"w": np.zeros((1, 2))},
        {"w": np.zeros(2, "float32")},
        {"w": np.array([0.0, -0.0])},
        {"w": np.zeros(2), "v": np.zeros(0)},
    ],
)
def test_the_hash_sees_names_types_shapes_and_bits(other):
    arrays = {"w": np.zeros(2)}
    assert digest(other) != digest(arrays)
    assert digest(arrays, {"a": 1}) != digest(arrays)
    assert digest({"w": np.zeros((4, 2))[::2, 0]}) == digest(arrays)
