"""What was brought, and what wasn't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ImportReport:
    """What was brought from a legacy model, and what wasn't.

    Attributes:
        source: The legacy file.
        sha256: Hash of the legacy file.
        mask_from: `wrappers`: the masks of `PruneLowMagnitude`. `zeros`: the wrappers were stripped
            before the model was saved, so what is exactly zero counts as pruned.
        kept: Key of each masked kernel to the number of kept weights.
        total: Key to the number of its weights.
        cleared: How many weights under the masks weren't zero in the file and are now.
        unmasked: Keys of pruned variables that tfticket masks nowhere (embeddings): their zeros are
            brought, but nothing keeps them zero in further training.
        left_behind: In words, what else the file holds: an optimizer and its state, a loss.
        renamed: Legacy name of a layer to its new one, where Keras 3 doesn't allow the former.
        max_difference: Largest difference of an output on random inputs, in tf_keras and here, as a
            share of the largest output where that is above 1.
        versions: Of the libraries that read the file.
    """

    source: str
    sha256: str
    mask_from: str
    kept: Mapping[str, int]
    total: Mapping[str, int]
    cleared: int
    unmasked: tuple[str, ...]
    left_behind: tuple[str, ...]
    renamed: Mapping[str, str]
    max_difference: float
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self)

    def remarks(self) -> list[str]:
        """Sentences for whoever goes on with the model."""
        said = [f"Outputs differ by at most {self.max_difference:.1g} on random inputs."]
        if self.mask_from == "zeros":
            said.append(
                "The wrappers were stripped: what is exactly zero counts as pruned, whatever made "
                "it zero."
            )
        if self.cleared:
            said.append(f"{self.cleared:,} weights under the masks weren't zero, and are now.")
        if self.unmasked:
            said.append(
                f"Not masked: {', '.join(self.unmasked)}. The zeros are there, and further "
                "training won't keep them."
            )
        if self.renamed:
            pairs = ", ".join(f"{old} is {new}" for old, new in self.renamed.items())
            said.append(f"Renamed: {pairs}.")
        if self.left_behind:
            said.append(f"Left behind: {', '.join(self.left_behind)}.")
        return said
