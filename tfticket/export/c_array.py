"""A `.tflite` file as C source, for devices that have no files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import foreign
from tfticket.export.activations import arena_lower_bound
from tfticket.export.flatbuffer import elements, indices, name_of, parse, shape_of, type_name
from tfticket.files import write_text

_BYTES_A_LINE = 16
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_UNQUOTABLE = re.compile(r'["\\\x00-\x1f]')  # what can't stand in an #include
_UNCOMMENTABLE = re.compile(r"[^ -~]|[*\\]")  # what isn't ASCII, or could end a comment
# Of C11, C23 and C++20; a name that is one of these would give a file that doesn't compile.
_KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class compl concept const consteval constexpr constinit const_cast continue co_await
    co_return co_yield decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public register reinterpret_cast requires restrict
    return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using
    virtual void volatile wchar_t while xor xor_eq
"""


def write_c_array(
    content: bytes,
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    arena_bytes: int | None = None,
) -> tuple[Path, Path]:
    """Write a `.tflite` file as a C array, aligned to 16 bytes, with a header.

    Both compile as C11 and as C++11. The header declares `NAME`, an array of constant bytes, and
    `NAME_len`, and defines what the code around the model must know: `NAME_INPUT_SHAPE`,
    `NAME_INPUT_SIZE`, `NAME_INPUT_SCALE`, `NAME_INPUT_ZERO_POINT`, the same for the output, and
    `NAME_ARENA_LOWER_BOUND`, all in capitals; and `NAME_ARENA_SIZE` where that was measured.

    Args:
        content: The whole file. Equal files give equal sources.
        path: Where to write, without suffix: `.h` and `.c` are added to it.
        name: What to call the array; a C identifier. By default the last part of `path`, with
            anything that can't be in one replaced by `_`.
        arena_bytes: Bytes of memory that TensorFlow Lite Micro took to run it, see `MicroRun`.

    Returns:
        The header and the source.

    Raises:
        ExportError: when `content` isn't a `.tflite` file or `name` isn't an identifier.
        RunError: when they can't be written; then neither is there.

    Example:
        >>> import keras
        >>> from tfticket.export import to_tflite
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> report = to_tflite(model, "net.tflite")
        >>> header, source = write_c_array(report.path.read_bytes(), "net")
        >>> header.name, source.name
        ('net.h', 'net.c')
    """
    path = Path(path)
    name = identifier(path.name) if name is None else name
    if not _is_identifier(name):
        raise ExportError(
            "`name` must be a C identifier: letters, digits and _, beginning with a letter, and no "
            f"keyword. Received: {name!r}"
        )
    if _UNQUOTABLE.search(path.name) or not path.name:
        raise ExportError(
            "`path` must end in a name that C can include: no quotes, backslashes or line ends. "
            f"Received: {str(path)!r}"
        )
    request = foreign.Request(
        [(f"`{path.name}`", content)], {"name": name, "arena_bytes": arena_bytes}
    )
    declared: str = foreign.ask(header_in_child, request).value
    header = path.with_name(f"{path.name}.h")
    source = path.with_name(f"{path.name}.c")
    texts = {header: declared, source: _source(content, name, header.name)}
    with all_or_none(header, source):
        for file, text in texts.items():
            write_text(file, text)
    return header, source


def header_in_child(request: foreign.Request) -> foreign.Answer:
    """Make the text of the header in a child."""
    parsed = parse(request.content, source=request.source)
    return foreign.Answer(_header(request.content, parsed, **request.options))


@contextlib.contextmanager
def all_or_none(*files: Path) -> Iterator[None]:
    """Put back what was there when something goes wrong inside."""
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for file, old in before.items():
                if old is None:
                    file.unlink(missing_ok=True)
                elif file.read_bytes() != old:
                    file.write_bytes(old)
        raise


def identifier(text: str) -> str:
    """Return a C identifier made of the name of a file."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return name if _is_identifier(name) else f"model_{name}"


def _is_identifier(name: str) -> bool:
    return bool(_IDENTIFIER.fullmatch(name)) and name not in _KEYWORDS.split()


def _header(content: bytes, parsed: Any, name: str, arena_bytes: int | None) -> str:
    graph, guard = parsed.subgraphs[0], f"{name.upper()}_H_"
    lines = [
        f"/* {name}: a TensorFlow Lite model of {len(content):,} bytes.",
        f" * SHA-256 of the bytes: {hashlib.sha256(content).hexdigest()}",
        " * Made by tfticket; don't edit.",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
    ]
    for what, numbers in (("INPUT", graph.inputs), ("OUTPUT", graph.outputs)):
        tensors = [graph.tensors[number] for number in indices(numbers)]
        for number, tensor in enumerate(tensors):
            prefix = f"{name.upper()}_{what}" + (f"_{number}" if len(tensors) > 1 else "")
            lines += [*_tensor(prefix, tensor), ""]
    return "\n".join(
        [
            *lines,
            "/* Activations need at least so many bytes of the arena; the runtime needs more. */",
            f"#define {name.upper()}_ARENA_LOWER_BOUND {arena_lower_bound(parsed)}",
            *_arena(name, arena_bytes),
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            f"extern const unsigned char {name}[];",
            f"extern const unsigned int {name}_len;",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            f"#endif /* {guard} */",
            "",
        ]
    )


def _arena(name: str, arena_bytes: int | None) -> list[str]:
    if arena_bytes is None:
        return []
    return [
        "/* It took so many on a machine with pointers of 64 bits; those of 32 bits take less. */",
        f"#define {name.upper()}_ARENA_SIZE {arena_bytes}",
    ]


def _tensor(prefix: str, tensor: Any) -> list[str]:
    sides = shape_of(tensor)
    lines = [
        f"/* {_comment(name_of(tensor))}: {type_name(tensor)} of shape {list(sides)}. */",
        f"#define {prefix}_SHAPE {{{', '.join(map(str, sides or (1,)))}}}",
        f"#define {prefix}_RANK {len(sides)}",
        f"#define {prefix}_SIZE {elements(tensor)}",
    ]
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    if scales is None or len(scales) != 1:
        return lines
    zero_points = tensor.quantization.zeroPoint
    zero_point = int(zero_points[0]) if zero_points is not None and len(zero_points) else 0
    return [
        *lines,
        f"/* real = (stored - {prefix}_ZERO_POINT) * {prefix}_SCALE */",
        f"#define {prefix}_SCALE {np.float32(scales[0])!s}f",
        f"#define {prefix}_ZERO_POINT ({zero_point})",
    ]


def _comment(text: str) -> str:
    return _UNCOMMENTABLE.sub("_", text)


def _source(content: bytes, name: str, header: str) -> str:
    rows = (
        ", ".join(f"0x{byte:02x}" for byte in content[start : start + _BYTES_A_LINE])
        for start in range(0, len(content), _BYTES_A_LINE)
    )
    return "\n".join(
        [
            f"/* Made by tfticket; see {_comment(header)}. */",
            f'#include "{header}"',
            "",
            "#ifdef __cplusplus",
            "#define TFTICKET_ALIGNED alignas(16)",
            "#else",
            "#define TFTICKET_ALIGNED _Alignas(16)",
            "#endif",
            "",
            f"TFTICKET_ALIGNED const unsigned char {name}[] = {{",
            *(f"    {row}," for row in rows),
            "};",
            f"const unsigned int {name}_len = {len(content)};",
            "",
        ]
    )
