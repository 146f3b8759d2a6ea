"""How many bytes a file has: in flash, and on the wire."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import zstandard

_LARGE = 2**28


@dataclass(frozen=True)
class Sizes:
    """Bytes of one file.

    Attributes:
        raw: As it is: what flash or memory must hold.
        gzip: After gzip at level 9, as a download has it.
        zstd: After Zstandard at level 19; at level 9 from 256 MiB on, where 19 takes minutes.
    """

    raw: int
    gzip: int
    zstd: int

    @classmethod
    def of(cls, content: bytes) -> Sizes:
        """Of the bytes of a file."""
        level = 19 if len(content) < _LARGE else 9
        return cls(
            raw=len(content),
            gzip=len(gzip.compress(content, compresslevel=9, mtime=0)),
            zstd=len(zstandard.ZstdCompressor(level=level).compress(content)),
        )
