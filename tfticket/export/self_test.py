"""C++ sources that run an int8 file in TensorFlow Lite Micro: its operators, and a self-test."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.c_array import all_or_none, identifier, write_c_array
from tfticket.export.micro import MicroRun, check_micro, registration_of
from tfticket.files import write_text

_EXAMPLES = 10
_NUMBERS_A_LINE = 20


def write_micro_sources(
    content: bytes, path: str | os.PathLike[str], run: MicroRun | None, name: str | None = None
) -> tuple[Path, ...]:
    """Write all that a program for a microcontroller needs to run a file.

    Beside `PATH.h` and `PATH.c` (see `write_c_array`) these are `PATH_ops.h`, which registers the
    operators of the file and no others, and `PATH_selftest.cc`, a program that runs ten examples
    and compares the answers, byte by byte, with those of the reference kernels. It ends with 0 if
    they are equal. Both are C++17 and need the sources of TensorFlow Lite Micro.

    Args:
        content: The whole file: one input, one output, int8 throughout.
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
    check_micro(parsed, f"`{path.name}`")
    operators = path.with_name(f"{path.name}_ops.h")
    test = path.with_name(f"{path.name}_selftest.cc")
    header, source = (path.with_name(f"{path.name}.{end}") for end in "hc")
    with all_or_none(header, source, operators, test):
        arena = None if run is None else run.arena.arena_bytes
        written: list[Path] = [*write_c_array(content, path, name, arena_bytes=arena)]
        write_text(operators, _operators(parsed, name))
        written.append(operators)
        if run is not None:
            write_text(test, _self_test(run, name, header.name, operators.name))
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


def _self_test(run: MicroRun, name: str, header: str, operators: str) -> str:
    given, expected = run.given[:_EXAMPLES], run.stored[:_EXAMPLES]
    if given.dtype != np.int8 or expected.dtype != np.int8:
        raise ExportError(
            "A self-test compares int8 with int8. Received: inputs of type "
            f"{given.dtype} and outputs of type {expected.dtype}."
        )
    upper, camel, count = name.upper(), _camel(name), len(given)
    return f"""\
/* Self-test of {name}: {count} examples, and what the reference kernels of TensorFlow Lite Micro
 * answered. Made by tfticket; don't edit. Ends with 0 if all answers are equal.
 */
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "{header}"
#include "{operators}"

namespace {{

constexpr int kExamples = {count};

alignas(16) uint8_t arena[{upper}_ARENA_SIZE];

const int8_t given[kExamples][{upper}_INPUT_SIZE] = {{
{_rows(given)}
}};

const int8_t expected[kExamples][{upper}_OUTPUT_SIZE] = {{
{_rows(expected)}
}};

}}  // namespace

int main() {{
  {camel}OpResolver resolver;
  if (Register{camel}Ops(resolver) != kTfLiteOk) return 2;
  tflite::MicroInterpreter interpreter(tflite::GetModel({name}), resolver, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return 3;
  int wrong = 0;
  for (int i = 0; i < kExamples; i++) {{
    std::memcpy(interpreter.input(0)->data.int8, given[i], sizeof(given[i]));
    if (interpreter.Invoke() != kTfLiteOk) return 4;
    wrong += std::memcmp(interpreter.output(0)->data.int8, expected[i], sizeof(expected[i])) != 0;
  }}
  std::printf("{name}: %d of %d answers equal, %u of %u bytes of the arena used\\n",
              kExamples - wrong, kExamples, (unsigned)interpreter.arena_used_bytes(),
              (unsigned)sizeof(arena));
  return wrong == 0 ? 0 : 1;
}}
"""


def _rows(examples: np.ndarray) -> str:
    return "\n".join(f"    {{{_numbers(each.ravel().tolist())}}}," for each in examples)


def _numbers(values: list[int]) -> str:
    lines: Iterable[str] = (
        ", ".join(map(str, values[start : start + _NUMBERS_A_LINE]))
        for start in range(0, len(values), _NUMBERS_A_LINE)
    )
    return ",\n     ".join(lines)


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
