"""The kinds of studies. A new kind is a folder beside this file, and one entry in `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.studies.edge.schema import KIND as EDGE
from tfticket.studies.kind import Kind
from tfticket.studies.locality.schema import KIND as LOCALITY
from tfticket.studies.lottery.schema import KIND as LOTTERY
from tfticket.studies.memorization.schema import KIND as MEMORIZATION
from tfticket.studies.noisy.schema import KIND as NOISY
from tfticket.studies.norms.schema import KIND as NORMS
from tfticket.studies.widths.schema import KIND as WIDTHS

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (LOTTERY, NORMS, NOISY, EDGE, MEMORIZATION, LOCALITY, WIDTHS)
}
"""By the `kind` of a recipe."""


def kind_of(raw: Mapping[str, Any]) -> Kind:
    """The kind of a recipe's tables; where it isn't said, the one whose tables they are most."""
    named = raw.get("kind")
    if isinstance(named, str) and named in KINDS:
        return KINDS[named]
    return max(KINDS.values(), key=lambda kind: len(raw.keys() & kind.recipe.model_fields.keys()))
