"""Import a model that tensorflow-model-optimization (tfmot) pruned into Keras 3."""

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
from tfticket.interop.compatibility import check_importable
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
from tfticket.wording import brief_repr

_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """A pruned legacy model in Keras 3, as returned by `import_tfmot`.

    Attributes:
        model: A plain model of Keras 3, not compiled, with zeros where it is pruned. To keep them
            zero in further training give `KeepMask(ticket.mask)` to `fit`.
        ticket: Its mask and all its weights. The mask covers only the kernels that were pruned. The
            weights are the trained ones; `rewind_step` is the number of steps that the wrappers
            counted, or 0 if it isn't known.
        report: The imported and the omitted parts.
    """

    model: keras.Model
    ticket: Ticket
    report: ImportReport

    __repr__ = brief_repr

    def save(
        self, path: str | os.PathLike[str], ticket_path: str | os.PathLike[str] | None = None
    ) -> tuple[Path, Path]:
        """Write the model and the ticket, each whole or not at all.

        Args:
            path: The model file; must end in `.keras`.
            ticket_path: The ticket file; by default beside the model, as `.npz`.

        Returns:
            Both paths.

        Raises:
            ModelError: when the model's path has another suffix.
            RunError: when a file can't be written; a new model file is removed then.
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
    """Import a model that tensorflow-model-optimization pruned into Keras 3.

    tf_keras loads it in a child process, since it can't share a process with Keras 3. The model is
    rebuilt from layers of Keras 3. On random inputs its outputs must be the same to 1e-5 (of the
    largest output, where that is above 1), and those of inner layers to 1e-4 of their largest
    value.

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
        ModelError: when the file is missing, damaged or foreign; when parts of it can't be
            imported, all of which are listed; when nothing in it is pruned; when outputs differ in
            Keras 3.

    Example:
        >>> imported = import_tfmot("pruned.h5")  # doctest: +SKIP
        >>> imported.save("pruned.keras")  # doctest: +SKIP
    """
    path = Path(path)
    source = f"`{path}`"
    file = read_legacy_file(path)
    check_importable(file.model, source=source)
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
    """List the settings of the wrappers, each once, with the layers that share it."""
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
    """Imported and omitted parts of a legacy model.

    Attributes:
        source: The legacy file.
        sha256: Hash of the legacy file.
        mask_from: `wrappers` for the masks of `PruneLowMagnitude`. `zeros` if the wrappers were
            stripped before the model was saved, so that exact zeros count as pruned.
        kept: Key of each masked kernel to the number of kept weights.
        total: Key to the number of its weights.
        cleared: Number of pruned weights that weren't zero in the file and are now.
        unmasked: Keys of pruned variables that tfticket doesn't mask (embeddings): they have their
            zeros, but further training won't keep them.
        left_behind: Omitted parts of the file, in words: an optimizer and its state, a loss.
        renamed: Legacy name of a layer to its new one, where Keras 3 doesn't allow the former.
        max_difference: Largest difference between outputs in tf_keras and in Keras 3 on random
            inputs, as a share of the largest output where that is above 1.
        versions: Versions of the libraries that read the file.

    Example:
        >>> counts = {"kept": {"out/kernel": 10}, "total": {"out/kernel": 100}, "cleared": 0}
        >>> nothing = {"unmasked": (), "left_behind": (), "renamed": {}, "versions": {}}
        >>> report = ImportReport("m.h5", "0", "wrappers", max_difference=0.0, **counts, **nothing)
        >>> report.remarks()
        ['Outputs differ by at most 0 on random inputs.']
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

    __repr__ = brief_repr

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def remarks(self) -> list[str]:
        """List remarks for further work with the model, as sentences."""
        said = [f"Outputs differ by at most {self.max_difference:.1g} on random inputs."]
        if self.mask_from == "zeros":
            said.append(
                "The wrappers were stripped, so every weight that is exactly zero counts as pruned."
            )
        if self.cleared:
            said.append(f"{self.cleared:,} pruned weights weren't zero, and are now.")
        if self.unmasked:
            said.append(
                f"Not masked: {', '.join(self.unmasked)}. Further training won't keep their zeros."
            )
        if self.renamed:
            pairs = ", ".join(f"{old} is {new}" for old, new in self.renamed.items())
            said.append(f"Renamed: {pairs}.")
        if self.left_behind:
            said.append(f"Not imported: {', '.join(self.left_behind)}.")
        return said
