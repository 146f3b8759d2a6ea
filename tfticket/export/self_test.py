"""C++ sources that run an int8 file in TensorFlow Lite Micro: its operators, and a self-test."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.c_array import all_or_none, identifier, write_c_array
from tfticket.export.flatbuffer import graphs
from tfticket.export.micro import MicroRun
from tfticket.export.micro_rules import check_micro, registration_of
from tfticket.files import write_text

_EXAMPLES = 10
_NUMBERS_A_LINE = 20
_TYPES = {f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32)}
_TYPES["float32"] = "float"
_CLOSE = 0.01  # of the range of float answers, which other processors round otherwise
_DIFFER = """bool differ(const float* ours, const float* theirs, int size, float most) {
  for (int i = 0; i < size; i++) {
    if (!(std::fabs(ours[i] - theirs[i]) <= most)) return true;
  }
  return false;
}
"""


def write_micro_sources(
    content: bytes, path: str | os.PathLike[str], run: MicroRun | None, name: str | None = None
) -> tuple[Path, ...]:
    """Write all that a program for a microcontroller needs to run a file.

    Beside `PATH.h` and `PATH.c` (see `write_c_array`) these are `PATH_ops.h`, which registers the
    operators of the file and no others, and `PATH_selftest.cc`, a program that runs ten examples
    and compares the answers with those of the reference kernels, byte by byte, or floats to a
    hundredth of their range. It ends with 0 if they are equal. Both are C++17 and need the sources
    of TensorFlow Lite Micro.

    Args:
        content: The whole file, of any types that TensorFlow Lite Micro runs.
        path: Where to write, without suffix.
        run: What TensorFlow Lite Micro answered. Without it there is no self-test, and the header
            doesn't say what arena it took.
        name: As for `write_c_array`.

    Returns:
        The files: header, source, operators, and the self-test.

    Raises:
        ExportError: when `content` isn't such a file or `name` isn't an identifier.
        RunError: when they can't be written; then none of them is there.
    """
    path = Path(path)
    name = identifier(path.name) if name is None else name
    parsed = flatbuffer.parse(content, source=f"`{path.name}`")
    check_micro(parsed, f"`{path.name}`", floats=True)
    operators = path.with_name(f"{path.name}_ops.h")
    test = path.with_name(f"{path.name}_selftest.cc")
    header, source = (path.with_name(f"{path.name}.{end}") for end in "hc")
    with all_or_none(header, source, operators, test):
        arena = None if run is None else run.arena.arena_bytes
        written: list[Path] = [*write_c_array(content, path, name, arena_bytes=arena)]
        write_text(operators, _operators(parsed, name))
        written.append(operators)
        if run is not None:
            write_text(test, _self_test(parsed, run, name, header.name, operators.name))
            written.append(test)
    return tuple(written)


def _operators(parsed: Any, name: str) -> str:
    found = sorted(flatbuffer.operators(parsed))
    guard, camel = f"{name.upper()}_OPS_H_", _camel(name)
    return "\n".join(
        [
            f"/* The operators of {name} for TensorFlow Lite Micro. Made by tfticket. */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            "",
            f"using {camel}OpResolver = tflite::MicroMutableOpResolver<{len(found)}>;",
            "",
            f"inline TfLiteStatus Register{camel}Ops({camel}OpResolver& resolver) {{",
            *(
                f"  if (resolver.{registration_of(each)}() != kTfLiteOk) return kTfLiteError;"
                for each in found
            ),
            "  return kTfLiteOk;",
            "}",
            "",
            f"#endif /* {guard} */",
            "",
        ]
    )


def _self_test(parsed: Any, run: MicroRun, name: str, header: str, operators: str) -> str:
    given, expected = (
        [array[:_EXAMPLES] for array in (arrays if isinstance(arrays, tuple) else (arrays,))]
        for arrays in (run.given, run.stored)
    )
    wrong = {array.dtype.name for array in (*given, *expected)} - _TYPES.keys()
    if wrong:
        raise ExportError(
            f"A self-test has numbers of {', '.join(_TYPES)}. Received: {', '.join(sorted(wrong))}."
        )
    camel, count = _camel(name), len(given[0])
    tables = [
        *_tables("given", f"{name.upper()}_INPUT", given),
        *_tables("expected", f"{name.upper()}_OUTPUT", expected),
    ]
    set_inputs = (
        f"    std::memcpy(interpreter.input({place})->data.raw, {each}[i], sizeof({each}[i]));"
        for place, each in enumerate(_numbered("given", given))
    )
    differ = " ||\n             ".join(
        f"std::memcmp(interpreter.output({place})->data.raw, {each}[i], sizeof({each}[i])) != 0"
        if array.dtype.kind != "f"
        else f"differ(interpreter.output({place})->data.f, {each}[i], {array[0].size}, "
        f"{_CLOSE * np.ptp(array):.6g})"
        for place, (each, array) in enumerate(
            zip(_numbered("expected", expected), expected, strict=True)
        )
    )
    floats = any(array.dtype.kind == "f" for array in expected)
    return "\n".join(
        [
            f"/* Self-test of {name}: {count} examples, and what the reference kernels of "
            "TensorFlow Lite Micro",
            " * answered. Made by tfticket; don't edit. Ends with 0 if all answers are equal.",
            " */",
            "#include <cmath>",
            "#include <cstdint>",
            "#include <cstdio>",
            "#include <cstring>",
            "",
            '#include "tensorflow/lite/micro/micro_interpreter.h"',
            '#include "tensorflow/lite/micro/micro_resource_variable.h"',
            '#include "tensorflow/lite/schema/schema_generated.h"',
            f'#include "{header}"',
            f'#include "{operators}"',
            "",
            "namespace {",
            "",
            f"constexpr int kExamples = {count};",
            "",
            f"alignas(16) uint8_t arena[{name.upper()}_ARENA_SIZE];",
            "",
            *tables,
            *([_DIFFER] if floats else []),
            "}  // namespace",
            "",
            "int main() {",
            f"  {camel}OpResolver resolver;",
            f"  if (Register{camel}Ops(resolver) != kTfLiteOk) return 2;",
            *_interpreter(parsed, name),
            "  if (interpreter.AllocateTensors() != kTfLiteOk) return 3;",
            "  int wrong = 0;",
            "  for (int i = 0; i < kExamples; i++) {",
            *set_inputs,
            "    if (interpreter.Invoke() != kTfLiteOk) return 4;",
            f"    wrong += {differ};",
            "  }",
            f'  std::printf("{name}: %d of %d answers equal, %u of %u bytes of the arena used\\n",',
            "              kExamples - wrong, kExamples, (unsigned)interpreter.arena_used_bytes(),",
            "              (unsigned)sizeof(arena));",
            "  return wrong == 0 ? 0 : 1;",
            "}",
            "",
        ]
    )


def _interpreter(parsed: Any, name: str) -> list[str]:
    """Declare the interpreter; the states that a file keeps need a place of their own."""
    count = len({each for graph in graphs(parsed) for each in graph.variables.values()})
    if not count:
        return [
            f"  tflite::MicroInterpreter interpreter(tflite::GetModel({name}), resolver, arena, "
            "sizeof(arena));"
        ]
    return [
        "  tflite::MicroAllocator* allocator =",
        "      tflite::MicroAllocator::Create(arena, sizeof(arena));",
        "  tflite::MicroResourceVariables* states =",
        f"      tflite::MicroResourceVariables::Create(allocator, {count});",
        f"  tflite::MicroInterpreter interpreter(tflite::GetModel({name}), resolver, allocator,",
        "                                       states);",
    ]


def _numbered(what: str, arrays: Sequence[np.ndarray]) -> list[str]:
    """Names of one array or several."""
    return [f"{what}_{place}" for place in range(len(arrays))] if len(arrays) > 1 else [what]


def _tables(what: str, prefix: str, arrays: Sequence[np.ndarray]) -> Iterator[str]:
    for own, size, array in zip(
        _numbered(what, arrays), _numbered(prefix, arrays), arrays, strict=True
    ):
        yield f"const {_TYPES[array.dtype.name]} {own}[kExamples][{size}_SIZE] = {{"
        yield _rows(array)
        yield "};"
        yield ""


def _rows(examples: np.ndarray) -> str:
    return "\n".join(f"    {{{_numbers(each.ravel().tolist())}}}," for each in examples)


def _numbers(values: list[float]) -> str:
    lines: Iterable[str] = (
        ", ".join(map(str, values[start : start + _NUMBERS_A_LINE]))
        for start in range(0, len(values), _NUMBERS_A_LINE)
    )
    return ",\n     ".join(lines)


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
