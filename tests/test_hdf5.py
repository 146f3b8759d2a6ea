import io

import h5py
import numpy as np
import pytest

from tfticket import hdf5
from tfticket.hdf5 import inspect_hdf5
from tfticket.reading import UnreadableError


def test_the_texts_of_the_root_are_told(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["text"], file.attrs["bytes"] = "ä", np.bytes_("b")
        file.attrs["number"] = 3
        file["group/again"] = np.arange(3)
        file["link"] = file["group"]  # a cycle of hard links is no endless way
        file["group/up"] = file["/"]
    found = inspect_hdf5(tmp_path / "a.h5")
    assert found.attributes == {"text": "ä", "bytes": "b", "number": ""}
    assert found.values == 3


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        (h5py.ExternalLink("/etc/hostname", "/"), "refers to other files"),
        (h5py.SoftLink("/group"), "refers to other files or places"),
    ],
)
def test_links_are_refused(tmp_path, link, problem):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = link
    with pytest.raises(UnreadableError, match=problem):
        inspect_hdf5(tmp_path / "a.h5")


def test_arrays_of_other_files_or_without_end_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("w", (4,), "u1", external=[("/etc/hostname", 0, 4)])
    with pytest.raises(UnreadableError, match="refers to other files"):
        inspect_hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("w", (2**33,), "u1", chunks=(2**20,))
    with pytest.raises(UnreadableError, match=r"unpacks to more than 1,073,741,824 bytes"):
        inspect_hdf5(tmp_path / "b.h5")


@pytest.fixture
def whole():
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made.attrs["layer_names"] = [f"layer_{n}" for n in range(20)]
        made["weights/kernel"] = np.arange(100.0)
    return file.getvalue()


def test_a_file_that_is_cut_off_is_damaged(tmp_path, whole):
    (tmp_path / "a.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableError, match=r"the HDF5 in it is damaged: .*truncated"):
        inspect_hdf5(tmp_path / "a.h5")


def test_a_child_that_crashes_or_never_ends_is_told_of(tmp_path, whole, monkeypatch):
    (tmp_path / "a.h5").write_bytes(whole)
    command = hdf5.children.command

    def doing(code):
        python = command("x")[0]
        monkeypatch.setattr(hdf5.children, "command", lambda *_: [python, "-c", code])

    doing("import os; os.abort()")
    with pytest.raises(UnreadableError, match="damaged: reading it ends in SIGABRT"):
        inspect_hdf5(tmp_path / "a.h5")
    doing("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass")
    with pytest.raises(UnreadableError, match="takes more than 3 s to read"):
        inspect_hdf5(tmp_path / "a.h5")
    doing("raise ImportError('no h5py')")
    with pytest.raises(UnreadableError, match="can't be read: ImportError: no h5py"):
        inspect_hdf5(tmp_path / "a.h5")
