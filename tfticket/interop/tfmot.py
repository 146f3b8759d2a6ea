"""From a model that tensorflow-model-optimization pruned to a model of Keras 3 and a ticket."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from tfticket import __version__
from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent, read_in_child
from tfticket.interop.compatibility import check_can_be_brought
from tfticket.interop.legacy_file import read_legacy_file
from tfticket.interop.rebuilding import rebuild
from tfticket.interop.transfer import (
    clear,
    compare,
    give_weights,
    masks_of_wrappers,
    masks_of_zeros,
)
from tfticket.lottery.ticket import Ticket
from tfticket.models import save_file
from tfticket.sparsity.mask import Mask
from tfticket.state import Snapshot, kernels_of

_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """A pruned legacy model in Keras 3.

    Attributes:
        model: A plain model of Keras 3, not compiled, with zeros where it is pruned. Nothing keeps
            them zero in further training: give `KeepMask(ticket.mask)` to `fit`.
        ticket: Its mask and all its weights. The mask covers the kernels that were pruned, others
            never competed. The weights are the trained ones; `rewind_step` is how many steps
            the wrappers have seen, or 0 when that isn't known.
        report: What was brought, and what wasn't.
    """

    model: keras.Model
    ticket: Ticket
    report: ImportReport

    def save(
        self, path: str | os.PathLike[str], ticket_path: str | os.PathLike[str] | None = None
    ) -> tuple[Path, Path]:
        """Writes the model and the ticket, each whole or not at all.

        Args:
            path: The model file; must end in `.keras`.
            ticket_path: The ticket file; beside the model as `.npz` when None.

        Returns:
            Both paths.

        Raises:
            ModelError: when the model's name ends in something else.
            RunError: when a file can't be written. A model file that wasn't there before is then
                not left behind.
        """
        path = Path(path)
        ticket_path = path.with_suffix(".npz") if ticket_path is None else Path(ticket_path)
        was_there = path.exists()
        save_file(self.model, path)
        try:
            self.ticket.save(ticket_path)
        except BaseException:
            if not was_there:
                path.unlink(missing_ok=True)
            raise
        return path, ticket_path


def import_tfmot(
    path: str | os.PathLike[str], *, timeout: float = _TIMEOUT_SECONDS
) -> ImportedModel:
    """Brings a model that tensorflow-model-optimization pruned to Keras 3.

    tf_keras loads it in a process of its own, since it can't be in one process with Keras 3. The
    model is built again of layers of Keras 3, and must give the same outputs on random inputs, to
    1e-5 (of the largest output, where that is above 1); so must its layers on the way, to 1e-4 of
    their largest value.

    tfmot keeps `max(1, round(n (1 - s)))` of n weights at sparsity s, counted in float32, and all
    that equal the last of them; `LayerwisePruner` prunes `round(s n)`, and of equal ones keeps the
    earlier. So from the same weights both give the same mask, unless n s ends in exactly one half,
    weights at the threshold are equal, nothing would be left (which the pruner refuses), or n is in
    the tens of millions.

    Args:
        path: A Sequential or Functional model of tf_keras (Keras 2), saved as `.h5` or `.keras`,
            with the wrappers `PruneLowMagnitude` or after `strip_pruning`.
        timeout: Seconds that tf_keras may take.

    Raises:
        ModelError: when the file is missing, damaged or foreign; when it holds what can't be
            brought, which is named all at once; when nothing in it is pruned; when the model
            doesn't give the same outputs in Keras 3.
    """
    path = Path(path)
    source = f"`{path}`"
    file = read_legacy_file(path)
    check_can_be_brought(file.model, source=source)
    content = read_in_child(path, file, timeout=timeout)
    rebuilt = rebuild(content.model)
    give_weights(content, rebuilt)
    wrapped = masks_of_wrappers(content, rebuilt)
    masks = wrapped or masks_of_zeros(rebuilt.model)
    cleared = clear(masks, rebuilt.model)
    kernels = kernels_of(rebuilt.model)
    mask = Mask({key: kept for key, kept in masks.items() if key in kernels})
    if mask.kept == mask.total:
        raise ModelError(
            f"A model must be pruned to be a ticket. Received: {source}, in which no kernel has a "
            "weight that is masked or exactly zero. Train it with `UpdatePruningStep`, and save it "
            "with its wrappers."
        )
    report = ImportReport(
        source=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mask_from="wrappers" if wrapped else "zeros",
        kept=mask.counts(),
        total={key: kept.size for key, kept in mask.items()},
        cleared=cleared,
        unmasked=tuple(key for key in masks if key not in mask),
        left_behind=file.left_behind,
        renamed=rebuilt.renamed,
        max_difference=compare(content, rebuilt, source=source),
        versions=content.versions,
    )
    # A shared layer counts each of its calls, the others steps.
    step = min((layer.step for layer in content.layers if layer.step is not None), default=0)
    weights = Snapshot.capture(rebuilt.model, step=step, optimizer=False).variables
    ticket = Ticket(mask, weights, level=1, rewind_step=step, provenance=_origin(report, content))
    return ImportedModel(rebuilt.model, ticket, report)


def _origin(report: ImportReport, content: LegacyContent) -> dict[str, Any]:
    return {
        "imported_from": Path(report.source).name,
        "imported_sha256": report.sha256,
        "mask_from": report.mask_from,
        "weights": "trained, not rewound",
        "pruning": _settings(content),
        "versions": {"tfticket": __version__, **report.versions},
    }


def _settings(content: LegacyContent) -> list[dict[str, Any]]:
    """How the wrappers pruned, each setting once, with the layers that share it."""
    settings: list[dict[str, Any]] = []
    for layer in content.layers:
        if not layer.masks or layer.pruning is None:
            continue
        same = [each for each in settings if layer.pruning.items() <= each.items()]
        if not same:
            same = [{**layer.pruning, "layers": []}]
            settings += same
        same[0]["layers"].append("/".join(layer.path))
    return settings


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
