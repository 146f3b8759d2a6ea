"""Instructions are counted right on the emulated boards, of a program that is no network."""

import shutil

import pytest

from benchmarks import cortex_m
from tfticket.errors import TFTicketError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        None in map(shutil.which, ("qemu-system-arm", "arm-none-eabi-g++")),
        reason="needs qemu-system-arm and gcc-arm-none-eabi",
    ),
]

HEADER = """
#include <cstdint>
namespace tflite {
struct MicroInterpreter { int Invoke(); uint32_t loops; };
}
"""
INVOKE = r"""
int tflite::MicroInterpreter::Invoke() {
  uint32_t left = 2 * (0.5f * loops);  // the FPU must be on
  __asm__ volatile("1: nop\n subs %0, #1\n bne 1b" : "+r"(left) : : "cc");
  return 0;
}
"""
MAIN = """
int main() {{
  tflite::MicroInterpreter few{{20000}}, many{{60000}};
  return few.Invoke() + many.Invoke() + {};
}}
"""


@pytest.fixture
def program(tmp_path):
    """Count what a program of two files does that ends with a status."""

    def run(processor, status):
        sources = [tmp_path / "invoke.cc", tmp_path / "main.cc"]
        for source, text in zip(sources, (INVOKE, MAIN.format(status)), strict=True):
            source.write_text(HEADER + text)
        return cortex_m.count(tmp_path / "it.elf", processor, *sources)[0]

    return run


@pytest.mark.parametrize("processor", cortex_m.BOARDS)
def test_a_loop_of_three_instructions_is_counted(program, processor):
    assert program(processor, 0) == pytest.approx([60_000, 180_000], abs=200)


def test_a_program_that_fails_is_told_with_what_it_said(program):
    with pytest.raises(TFTicketError, match="inference: "):
        program("m7", 3)
