import gzip

import numpy as np
import zstandard

from tfticket.export import sizes
from tfticket.export.sizes import Sizes


def test_sizes_are_those_of_the_compressors(monkeypatch):
    content = (np.random.default_rng(0).random(4000) < 0.1).tobytes() * 2
    at_level = {
        level: len(zstandard.ZstdCompressor(level=level).compress(content)) for level in (9, 19)
    }
    assert at_level[19] < at_level[9] < len(content)
    found = Sizes.of(content)
    assert found == Sizes(len(content), len(gzip.compress(content, 9)), at_level[19])
    monkeypatch.setattr(sizes, "_LARGE", len(content))
    assert Sizes.of(content).zstd == at_level[9]
