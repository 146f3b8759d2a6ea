"""Instructions of an inference on a Cortex-M7 or Cortex-M3, counted in QEMU.

    python -m benchmarks.cortex_m FILE.tflite ... --tflm DIR --out runs/cortex_m

The reference kernels of TensorFlow Lite Micro are compiled with `-O2`, and the self-test of each
file is run with them on an emulated board (mps2-an500 or mps2-an385). Its answers must be those
that the same kernels gave on this machine, so what is counted is a right inference.

Counted are instructions, not cycles: a cycle model of caches, flash and dual issue is missing.
Kernels are the reference ones, not those of CMSIS-NN, which a product would use. Inputs are
random; the kernels' branches hardly depend on them. A known loop is counted too, as a check.

It needs `qemu-system-arm`, `gcc-arm-none-eabi`, `libstdc++-arm-none-eabi-newlib`, the extra
`micro`, and DIR, the sources of tflite-micro after `make -f
tensorflow/lite/micro/tools/make/Makefile third_party_downloads` there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tfticket.errors import TFTicketError
from tfticket.export.flatbuffer import operators, parse
from tfticket.export.inspect import cost
from tfticket.export.micro import run_on_micro
from tfticket.export.runtime import Loaded
from tfticket.export.self_test import write_micro_sources
from tfticket.seeds import generator

_HERE = Path(__file__).parent
_DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
_FOLDERS = """
    tensorflow/compiler/mlir/lite/core/api tensorflow/compiler/mlir/lite/schema tensorflow/lite
    tensorflow/lite/core/api tensorflow/lite/core/c tensorflow/lite/kernels
    tensorflow/lite/kernels/internal tensorflow/lite/kernels/internal/reference
    tensorflow/lite/micro tensorflow/lite/micro/arena_allocator tensorflow/lite/micro/kernels
    tensorflow/lite/micro/memory_planner tensorflow/lite/micro/tflite_bridge
"""
_ELSEWHERE = re.compile(r"test|^mock|^fake")  # sources that only tests need
_INVOKE = "_ZN6tflite16MicroInterpreter6InvokeEv"
_FLAGS = "-std=c++17 -O2 -fno-exceptions -fno-rtti -ffunction-sections -DTF_LITE_STATIC_MEMORY"
_COUNT = re.compile(r"^(inference|1,000,000 known): (\d+) instructions$", re.MULTILINE)
_USED = re.compile(r"10 of 10 answers equal, (\d+) of")
_KNOWN, _OFF = 1_000_000, 100  # instructions of the loop, and by how many the timer may be off

BOARDS: Mapping[str, tuple[str, str]] = {
    "m7": ("mps2-an500", "-mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard"),
    "m3": ("mps2-an385", "-mcpu=cortex-m3 -mthumb -mfloat-abi=soft"),
}
"""The board of each processor, and how to compile for it."""


@dataclass(frozen=True)
class Counted:
    """Cost of an inference on an emulated processor.

    Attributes:
        instructions: Mean over ten inferences.
        arena_bytes: What was used of the arena, with pointers of 32 bits.
    """

    instructions: float
    arena_bytes: int


def library(tflm: Path, out: Path, processor: str, names: Iterable[str]) -> Path:
    """Compile what operators need of TensorFlow Lite Micro; what was compiled before stays."""
    needed = re.compile(rf"\bRegister_({'|'.join(names)})\(\)|^(?!.*\bRegister_)", re.DOTALL)
    objects = []
    for source in (
        path for each in _FOLDERS.split() for path in sorted((tflm / each).glob("*.cc"))
    ):
        if not _ELSEWHERE.search(source.name) and needed.search(source.read_text()):
            made = (out / processor / source.relative_to(tflm)).with_suffix(".o")
            made.parent.mkdir(parents=True, exist_ok=True)
            if not made.is_file():
                _compile(processor, *_includes(tflm), "-c", source, "-o", made)
            objects.append(made)
    archive = out / processor / "libtflm.a"
    archive.unlink(missing_ok=True)
    _run("arm-none-eabi-ar", "rcs", archive, *objects)
    return archive


def counted(content: bytes, name: str, tflm: Path, out: Path, processor: str) -> Counted:
    """Run the self-test of a file on an emulated processor, and count.

    Args:
        content: The file: int8 or int16x8 throughout.
        name: What to call it.
        tflm: The sources of tflite-micro.
        out: Folder of what is compiled.
        processor: One of `BOARDS`.

    Raises:
        TFTicketError: when it doesn't run there, or answers otherwise.
    """
    rng = generator(0, "benchmarks", "cortex_m")
    x = [
        spec.dequantize(rng.integers(-128, 128, (10, *spec.shape[1:])).astype(spec.dtype))
        for spec in Loaded(content, source=name).inputs
    ]
    folder = out / processor / name
    folder.mkdir(parents=True, exist_ok=True)
    run = run_on_micro(content, x, source=name)
    _, source, _, test = write_micro_sources(content, folder / "net", run)
    archive = library(tflm, out, processor, operators(parse(content, source=name)))
    counts, said = count(folder / "net.elf", processor, *_includes(tflm), test, source, archive)
    used = _USED.search(said)
    if used is None:
        raise TFTicketError(f"{name} must answer on {processor} as it does here. It said:\n{said}")
    return Counted(fmean(counts), int(used[1]))


def count(program: Path, processor: str, *sources: object) -> tuple[list[int], str]:
    """Link a program, run it on an emulated processor, and count each `MicroInterpreter::Invoke`.

    Args:
        program: Where to write it.
        processor: One of `BOARDS`.
        sources: What it is made of, as for the compiler.

    Returns:
        Instructions of each call, and what the program printed.

    Raises:
        TFTicketError: when it doesn't end with 0, or a known loop is counted wrongly.
    """
    _compile(
        processor, _HERE / "cortex_m.cc", *sources, "--specs=rdimon.specs",
        f"-Wl,--wrap={_INVOKE},--gc-sections", "-T", _HERE / "cortex_m.ld", "-o", program,
    )  # fmt: skip
    said = _run(
        "qemu-system-arm", "-M", BOARDS[processor][0], "-kernel", program, "-icount", "shift=0",
        "-semihosting-config", "enable=on,target=native", "-display", "none", "-monitor", "none",
        "-serial", "none",
    )  # fmt: skip
    found = _COUNT.findall(said)
    known = [int(number) for what, number in found if what != "inference"]
    if not known or abs(known[0] - _KNOWN) > _OFF:
        raise TFTicketError(
            f"A loop of 1,000,000 instructions must be counted so. Counted:\n{said}"
        )
    return [int(number) for what, number in found if what == "inference"], said


def _includes(tflm: Path) -> list[str]:
    downloads = tflm / _DOWNLOADS
    folders = (tflm, *(downloads / each for each in ("flatbuffers/include", "gemmlowp", "ruy")))
    return [f"-I{folder}" for folder in folders]


def _compile(processor: str, *arguments: object) -> None:
    _run("arm-none-eabi-g++", *_FLAGS.split(), *BOARDS[processor][1].split(), *arguments)


def _run(*command: object) -> str:
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise TFTicketError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Count for each file, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.tflite")
    parser.add_argument("--tflm", type=Path, required=True, help="sources of tflite-micro")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is compiled")
    parser.add_argument("--processor", choices=BOARDS, default="m7")
    asked = parser.parse_args(arguments)
    print("| file | bytes | multiply-adds | instructions an inference | arena |")
    print("|---|---|---|---|---|")
    for file in asked.files:
        content = file.read_bytes()
        found = counted(content, file.stem, asked.tflm, asked.out, asked.processor)
        products = cost.count(parse(content, source=file.name)).multiply_adds
        numbers = (len(content), products, round(found.instructions), found.arena_bytes)
        print(f"| {file.stem} | {' | '.join(f'{number:,}' for number in numbers)} |")


if __name__ == "__main__":
    main()
