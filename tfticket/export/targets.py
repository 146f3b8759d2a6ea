"""What a file is for, and so which formats are tried and which of them is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from tfticket.export.result import Format

TargetName = Literal["phone", "micro", "smallest", "fastest"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)
Objective = Literal["both", "bytes", "time"]


@dataclass(frozen=True)
class Target:
    """A use of a file.

    Attributes:
        name: What it is called.
        formats: What is tried.
        objective: What decides among those that are accurate enough: `bytes` of the file,
            `time` of an inference, or `both`, the product of the two.
        meaning: In words.
    """

    name: TargetName
    formats: tuple[Format, ...]
    objective: Objective
    meaning: str


_SPECS: Mapping[TargetName, Target] = {
    "phone": Target(
        "phone",
        ("fp32", "fp16", "dynamic", "int8", "sparse_fc", "sparse_fc_fast"),
        "both",
        "LiteRT on ARM or x86: the smallest product of bytes and time",
    ),
    "micro": Target(
        "micro",
        ("int8",),
        "bytes",
        "TensorFlow Lite Micro: int8 in and out, only operators it has, and a C array",
    ),
    "smallest": Target(
        "smallest",
        ("fp32", "fp16", "dynamic", "int8", "int4", "sparse_fc"),
        "bytes",
        "the fewest bytes in flash",
    ),
    "fastest": Target(
        "fastest",
        ("fp32", "fp16", "dynamic", "int8", "sparse_fc", "sparse_fc_fast"),
        "time",
        "the shortest time of an inference on this machine",
    ),
}


def target_of(name: str) -> Target:
    """The target of a name in `TARGETS`."""
    return _SPECS[name]  # type: ignore[index]
