"""Independent streams of random numbers, derived by name from one seed.

Initialization, data order, augmentation, dropout and controls each draw from their own stream, so
that changing one of them (another batch size, one more layer) leaves the others as they were.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _digest(seed: int, names: tuple[str | int, ...]) -> bytes:
    # Lengths are part of the text, so that ("a", "bc") and ("ab", "c") are different streams.
    text = ";".join(f"{type(n).__name__}:{len(str(n))}:{n}" for n in (int(seed), *names))
    return hashlib.sha256(text.encode()).digest()


def sub_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of the stream called `names`, in [0, 2**31).

    The same arguments give the same number on every machine and in every version, since it is the
    start of a SHA-256 digest and not a hash of the Python process.

    Args:
        seed: Seed of the whole run.
        *names: Name of the stream, from the general to the special: `"init", "conv1"`.

    Example:
        >>> sub_seed(0, "init", "conv1") == sub_seed(0, "init", "conv1")
        True
    """
    return int.from_bytes(_digest(seed, names)[:4], "big") & 0x7FFFFFFF


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Make a NumPy generator at the start of the stream called `names`.

    Args:
        seed: Seed of the whole run.
        *names: Name of the stream, as in `sub_seed`.
    """
    return np.random.default_rng(int.from_bytes(_digest(seed, names)[:16], "big"))
