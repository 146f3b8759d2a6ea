import shutil
import subprocess
import zlib

import keras
import pytest
from edge_nets import convnet, examples_for, int8_of, layers, raw
from tflite_files import dense_net, file_of, parsed

from tfticket.errors import ExportError, RunError
from tfticket.export import c_array
from tfticket.export.activations import arena_lower_bound
from tfticket.export.c_array import write_c_array
from tfticket.export.runtime import Session

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"]
COMPILERS = {
    "C11": ["gcc", "-std=c11", *STRICT],
    "C17": ["gcc", "-std=c17", *STRICT],
    "C++11": ["g++", "-std=c++11", *STRICT],
    "C++20": ["g++", "-std=c++20", *STRICT],
}
# Prints what the header says and a CRC-32 of the array, whose address must be a multiple of 16.
MAIN = """
#include <stdint.h>
#include <stdio.h>
#include "%(header)s"
int main(void) {
  const int shape[] = %(NAME)s_INPUT_SHAPE;
  uint32_t crc = 0xffffffffu;
  for (unsigned int i = 0; i < %(name)s_len; i++) {
    crc ^= %(name)s[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  printf("%%u %%u %%d %%d %%d %%d %%.9g %%d %%d %%d\\n", (unsigned)(crc ^ 0xffffffffu),
         %(name)s_len, (int)((uintptr_t)%(name)s %% 16), %(NAME)s_INPUT_RANK, shape[1],
         %(NAME)s_INPUT_SIZE, (double)%(NAME)s_INPUT_SCALE, %(NAME)s_INPUT_ZERO_POINT,
         %(NAME)s_OUTPUT_SIZE, %(NAME)s_ARENA_LOWER_BOUND);
  return 0;
}
"""


@pytest.fixture(scope="module")
def content():
    keras.utils.set_random_seed(7)
    return int8_of(convnet())


def compiled(command, folder, header, name):
    """What a small program says that was made of the sources."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} isn't installed")
    main = folder / "main.c"
    main.write_text(MAIN % {"header": header.name, "name": name, "NAME": name.upper()})
    sources = [str(main), str(header.with_name(header.name[:-1] + "c"))]
    cpp = ["-x", "c++"] if command[0] == "g++" else []
    program = str(folder / "main")
    done = subprocess.run(
        [*command, *cpp, *sources, "-o", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("command", COMPILERS.values(), ids=COMPILERS)
def test_the_compiled_array_is_the_file(content, command, tmp_path):
    header, source = write_c_array(content, tmp_path / "net.int8", "digits")
    assert (header.name, source.name) == ("net.int8.h", "net.int8.c")
    given = Session(content, source="it").input
    expected = [zlib.crc32(content), len(content), 0, 4, 8, 64]
    said = compiled(command, tmp_path, header, "digits")
    assert [int(number) for number in said[:6]] == expected
    assert float(said[6]) == pytest.approx(given.scale, rel=1e-8)
    assert [int(n) for n in said[7:]] == [given.zero_point, 10, arena_lower_bound(parsed(content))]


def test_the_header_says_what_goes_in_and_out(content, tmp_path):
    text = write_c_array(content, tmp_path / "net")[0].read_text()
    assert "/* serving_default_input:0: INT8 of shape [1, 8, 8, 1]. */" in text
    assert "#define NET_INPUT_SHAPE {1, 8, 8, 1}" in text
    assert "#define NET_OUTPUT_SIZE 10" in text
    assert "#define NET_OUTPUT_ZERO_POINT (" in text
    assert text.isascii()


def test_floats_have_no_scale(tmp_path):
    content = file_of(dense_net(4, 2), "fp32")
    text = write_c_array(content, tmp_path / "net")[0].read_text()
    assert "FLOAT32 of shape [1, 16]" in text
    assert "_SCALE" not in text


def test_several_inputs_are_numbered(tmp_path):
    left, right = (keras.Input((3,), batch_size=1, name=name) for name in ("left", "right"))
    model = keras.Model([left, right], layers.Dense(2)(layers.Add()([left, right])))
    text = write_c_array(raw(model), tmp_path / "net")[0].read_text()
    assert "#define NET_INPUT_0_SIZE 3" in text
    assert "#define NET_INPUT_1_SIZE 3" in text
    assert "#define NET_OUTPUT_SIZE 2" in text


def test_equal_files_give_equal_sources(content, tmp_path):
    first = [file.read_bytes() for file in write_c_array(content, tmp_path / "a" / "net")]
    assert first == [file.read_bytes() for file in write_c_array(content, tmp_path / "b" / "net")]


@pytest.mark.parametrize(
    ("path", "name"),
    [("net.int8", "net_int8"), ("8bit", "model_8bit"), ("new", "model_new"), ("é", "model__")],
)
def test_a_name_is_made_of_the_path(content, path, name, tmp_path):
    header, _ = write_c_array(content, tmp_path / path)
    assert f"extern const unsigned char {name}[];" in header.read_text()


@pytest.mark.parametrize("name", ["", "a-b", "8bit", "for", "class", "é", "a b", "a\nb"])
def test_what_is_no_identifier_is_refused(content, name, tmp_path):
    with pytest.raises(ExportError, match="must be a C identifier"):
        write_c_array(content, tmp_path / "net", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ['a"b', "a\\b", "a\nb", "/"])
def test_a_path_that_c_cannot_include_is_refused(content, path, tmp_path):
    with pytest.raises(ExportError, match="that C can include"):
        write_c_array(content, tmp_path / path, "net")


def test_no_foreign_bytes_become_an_array(tmp_path):
    with pytest.raises(ExportError, match="must be a TensorFlow Lite file"):
        write_c_array(b"no model at all", tmp_path / "net")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", [False, True], ids=["new", "written over"])
def test_both_are_written_or_none(content, tmp_path, monkeypatch, there):
    if there:
        write_c_array(file_of(dense_net(4, 2), "fp32"), tmp_path / "net")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write_text = c_array.write_text

    def full_disk(path, text):
        if path.suffix == ".c":
            raise RunError("no room")
        return write_text(path, text)

    monkeypatch.setattr(c_array, "write_text", full_disk)
    with pytest.raises(RunError, match="no room"):
        write_c_array(content, tmp_path / "net")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_names_of_tensors_cannot_break_out_of_their_comment(tmp_path):
    model = parsed(file_of(dense_net(4, 2), "int8", examples_for(dense_net(4, 2))))
    model.subgraphs[0].tensors[0].name = "*/ int x; /* \\ é\n".encode()
    lines = c_array._tensor("NET_INPUT", model.subgraphs[0].tensors[0])
    assert lines[0].startswith("/* _/ int x; /_ _ ")
    assert lines[0].count("*/") == 1
    assert "\n" not in lines[0]
