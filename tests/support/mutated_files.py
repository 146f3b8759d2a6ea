"""Damage to `.tflite` files, the same for the same seed: of bytes, and of what they say.

`python tests/support/mutated_files.py --count N FILE...` checks and explains N damaged copies of
the files, in turns, and counts what comes of them: they pass, or an error says what is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import TFTicketError
from tfticket.export import flatbuffer
from tfticket.export.inspect.check import check_file
from tfticket.export.inspect.explain import explain_file

_LONGEST_SECONDS = 20
_LONGEST_MESSAGE = 1000

_WORDS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_SIDES = (-(2**31), -1, 0, 1, 2, 3, 7, 1000, 65536, 2**30, 2**31 - 1)
_SCALES = (0.0, -1.0, 1e-45, 1e38, np.inf, -np.inf, np.nan)


def mutated(content: bytes, seed: int) -> bytes:
    """The bytes of a file with one to three things wrong."""
    rng = np.random.default_rng(seed)
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.6:
            content = _pick(rng, _IN_CONTENT)(content, rng)
        else:
            try:
                model = schema.ModelT.InitFromPackedBuf(content, 0)
                _pick(rng, _IN_MODEL)(model, rng)
                content = flatbuffer.pack(model)
            except Exception:  # it is too broken already to be read, or to be written
                content = _words(content, rng)
    return content


def _pick(rng, among):
    return among[rng.integers(len(among))]


def _bits(content, rng):
    changed = bytearray(content)
    for place in rng.integers(8, len(content), rng.integers(1, 9)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _words(content, rng):
    """Aligned numbers of 4 bytes, which offsets, lengths and indices are."""
    changed = bytearray(content)
    for place in rng.integers(2, max(len(content) // 4, 3), rng.integers(1, 4)):
        changed[4 * place : 4 * place + 4] = int(_pick(rng, _WORDS)).to_bytes(4, "little")
    return bytes(changed)


def _cut(content, rng):
    return content[: rng.integers(8, len(content))]


def _copied(content, rng):
    start, end = sorted(rng.integers(8, len(content), 2))
    place = rng.integers(8, len(content))
    return content[:place] + content[start:end] + content[place + (end - start) :]


def _zeroed(content, rng):
    start = rng.integers(8, len(content))
    length = min(int(rng.integers(1, 200)), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def _shape(model, rng):
    tensor = _pick(rng, _pick(rng, model.subgraphs).tensors)
    shape = np.array(tensor.shape, np.int32)
    shape[rng.integers(len(shape))] = _pick(rng, _SIDES)
    tensor.shape = shape


def _rank(model, rng):
    tensor = _pick(rng, _pick(rng, model.subgraphs).tensors)
    tensor.shape = rng.integers(0, 9, rng.integers(0, 7)).astype(np.int32)


def _type(model, rng):
    _pick(rng, _pick(rng, model.subgraphs).tensors).type = int(rng.integers(0, 20))


def _buffer(model, rng):
    _pick(rng, _pick(rng, model.subgraphs).tensors).buffer = int(rng.integers(len(model.buffers)))


def _data(model, rng):
    buffer = _pick(rng, model.buffers)
    buffer.data = np.array(buffer.data)[: rng.integers(len(buffer.data))]


def _reads(model, rng):
    graph = _pick(rng, model.subgraphs)
    operator = _pick(rng, graph.operators)
    numbers = np.array(operator.inputs, np.int32)
    numbers[rng.integers(len(numbers))] = _index(graph, rng)
    operator.inputs = numbers


def _writes(model, rng):
    graph = _pick(rng, model.subgraphs)
    operator = _pick(rng, graph.operators)
    operator.outputs = np.array([_index(graph, rng)], np.int32)


def _ends(model, rng):
    graph = _pick(rng, model.subgraphs)
    numbers = np.array([_index(graph, rng)], np.int32)
    graph.inputs, graph.outputs = (
        (numbers, graph.outputs) if rng.random() < 0.5 else (graph.inputs, numbers)
    )


def _index(graph, rng):
    return int(rng.integers(-1, len(graph.tensors) + 1))


def _missing(model, rng):
    operator = _pick(rng, _pick(rng, model.subgraphs).operators)
    operator.inputs = np.array(operator.inputs[: rng.integers(len(operator.inputs))], np.int32)


def _operator(model, rng):
    code = _pick(rng, model.operatorCodes)
    code.builtinCode = code.deprecatedBuiltinCode = int(rng.integers(0, 127))
    code.version = int(rng.integers(1, 9))


def _options(model, rng):
    operator = _pick(rng, _pick(rng, model.subgraphs).operators)
    if rng.random() < 0.3 or operator.builtinOptions is None:
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    else:
        options = operator.builtinOptions
        name = _pick(rng, [n for n, value in vars(options).items() if isinstance(value, int)])
        setattr(options, name, int(rng.integers(-2, 5)))


def _scale(model, rng):
    tensor = _pick(rng, _pick(rng, model.subgraphs).tensors)
    quantization = tensor.quantization = tensor.quantization or schema.QuantizationParametersT()
    quantization.scale = np.array([_pick(rng, _SCALES)] * rng.integers(1, 4), np.float32)
    quantization.zeroPoint = np.array([rng.integers(-300, 300)], np.int64)


def _sparsity(model, rng):
    tensors = [t for graph in model.subgraphs for t in graph.tensors if t.sparsity is not None]
    level = _pick(rng, _pick(rng, tensors).sparsity.dimMetadata)
    for part in (level.arraySegments, level.arrayIndices):
        if part is not None:
            values = np.array(part.values)
            values[rng.integers(len(values))] = rng.integers(0, np.iinfo(values.dtype).max)
            part.values = values
    level.denseSize = int(_pick(rng, _SIDES))


def _order(model, rng):
    graph = _pick(rng, model.subgraphs)
    graph.operators = [graph.operators[i] for i in rng.permutation(len(graph.operators))]


_IN_CONTENT = (_bits, _words, _words, _cut, _copied, _zeroed)
_IN_MODEL = (
    *(_shape, _rank, _type, _buffer, _data, _reads, _writes, _ends, _missing, _operator),
    *(_options, _scale, _sparsity, _order),
)


def outcome(command, path: Path) -> str:
    """What comes of a file; anything but `passes` and what begins with `error` is a fault."""
    start = time.monotonic()
    try:
        command(path)
        found = "passes"
    except TFTicketError as error:
        said = str(error)
        found = "error"
        if "its process was ended" in said or "It took longer" in said:
            found = "error, its process was ended"
        if len(said) > _LONGEST_MESSAGE:
            found = f"a message of {len(said)} letters"
    except Exception as error:  # what the campaign is for
        found = f"{type(error).__name__} escaped"
    return found if time.monotonic() - start < _LONGEST_SECONDS else "takes too long"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    given = parser.parse_args()
    seen: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "damaged.tflite")
        for seed in range(given.first, given.first + given.count):
            file = given.files[seed % len(given.files)]
            path.write_bytes(mutated(file.read_bytes(), seed))
            for name, command in (("check", check_file), ("explain", explain_file)):
                found = outcome(command, path)
                seen[name, found] += 1
                if found != "passes" and not found.startswith("error"):
                    print(f"{file}, seed {seed}, {name}: {found}", flush=True)
    for (name, found), count in sorted(seen.items()):
        print(f"{name}: {count:,} {found}")
    return int(any(f != "passes" and not f.startswith("error") for _, f in seen))


if __name__ == "__main__":
    sys.exit(main())
