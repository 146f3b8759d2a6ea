"""Independent streams of randomness, derived by name from one seed.

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
    """Returns the seed of the stream called `names`, in [0, 2**31).

    The same arguments give the same number on every machine and in every version, for it is the
    start of a SHA-256 digest and not a hash of the Python process.

    Args:
        seed: The seed of the whole run.
        *names: What the stream is for, from the general to the special: `"init", "conv1"`.
    """
    return int.from_bytes(_digest(seed, names)[:4], "big") & 0x7FFFFFFF


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Returns a fresh NumPy generator at the start of the stream called `names`.

    Args:
        seed: The seed of the whole run.
        *names: What the stream is for, as in `sub_seed`.
    """
    return np.random.default_rng(int.from_bytes(_digest(seed, names)[:16], "big"))
