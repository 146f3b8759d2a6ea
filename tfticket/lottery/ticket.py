"""Tickets: a mask, the weights to start from, and their provenance, in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import bars
from tfticket.display.words import number, percent
from tfticket.files import digest, load_arrays, numbers, whole_number, write_arrays
from tfticket.machine import available_memory
from tfticket.sparsity.mask import Mask

if TYPE_CHECKING:
    import keras

    from tfticket.channels.matching import MatchBy

_HOLDS = "a mask and the weights it keeps"
_BYTES_A_WEIGHT = 5


@dataclass(frozen=True, eq=False, repr=False)
class Ticket(Displayable):
    """A subnetwork with its starting weights, f(x; m * theta_k): enough to train it elsewhere.

    Source: Frankle & Carbin (2019), section 1; with rewinding to step k, Frankle et al. (2019,
    arXiv:1903.01611).

    Attributes:
        mask: m, the weights that are kept.
        weights: theta_k, all variables of the model's state by key; zero where the mask prunes.
        level: Number of prunings; 0 is dense.
        rewind_step: k, the optimizer step that the weights are from.
        provenance: Recipe, seed, versions, results: any values that JSON can hold.

    Example:
        >>> mask = Mask({"out/kernel": [[1], [0]]})
        >>> ticket = Ticket(mask, {"out/kernel": np.array([[0.5], [2.0]])}, level=1, rewind_step=0)
        >>> again = Ticket.load(ticket.save("ticket.npz"))
        >>> again.weights["out/kernel"].tolist(), again.mask.sparsity
        ([[0.5], [0.0]], 0.5)
    """

    mask: Mask
    weights: Mapping[str, np.ndarray]
    level: int
    rewind_step: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    _KIND: ClassVar[str] = "ticket"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", self.mask.apply(self.weights))

    def __repr__(self) -> str:
        return f"Ticket(level {self.level}, {self.mask}, from step {self.rewind_step})"

    def summary(self) -> str:
        """Return level, density and step in a sentence, and its accuracy where that is known."""
        kept = f"{number(self.mask.kept)} of {number(self.mask.total)} weights"
        said = f"Ticket of level {self.level}: {percent(self.mask.density)} kept ({kept}), "
        said += f"to be trained from step {number(self.rewind_step)}."
        result = self.provenance.get("result")
        found = result.get("at_early_stop") if isinstance(result, Mapping) else None
        accuracy = found.get("accuracy") if isinstance(found, Mapping) else None
        if isinstance(accuracy, float):
            said += f" Trained, it had an accuracy of {percent(accuracy, 2)}."
        return said

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each masked variable: key, shape, weights, kept weights, density."""
        return [
            {
                "key": key,
                "shape": "x".join(map(str, array.shape)),
                "weights": array.size,
                "kept": int(array.sum()),
                "density": float(array.mean()),
            }
            for key, array in self.mask.items()
        ]

    def _figure(self) -> Figure | None:
        densities = {row["key"]: 100 * row["density"] for row in self.to_rows()}
        return bars(densities, "weights left (%)") if densities else None

    @property
    def sha256(self) -> str:
        """Hash of mask, weights, level and step, without provenance."""
        arrays = {**{f"weight:{key}": array for key, array in self.weights.items()}}
        return digest({**arrays, **self.mask.to_arrays()}, [self.level, self.rewind_step])

    def aligned_to(
        self,
        model: keras.Model,
        *,
        source: keras.Model,
        target: keras.Model,
        by: MatchBy = "weights",
        inputs: Any = None,
    ) -> Ticket:
        """Permute the mask into the basin of another initialization, to start from there.

        Source: Adnan et al. (2025, arXiv:2505.05143).

        Args:
            model: Model with the weights to start from.
            source: Dense model trained from the initialization in which the ticket was found.
            target: Dense model trained from the weights of `model`.
            by: Whether channels are matched by `weights` or `activations`.
            inputs: A batch to compare activations on.

        Raises:
            ModelError: when the channels can't be matched; see `channels.match_channels`.
            MaskError: when the mask doesn't fit `model`.
        """
        from tfticket.channels.matching import match_channels  # tickets are read without Keras

        permutation = match_channels(target, source, by=by, inputs=inputs)
        return self._moved(Mask(permutation.apply(self.mask)), _weights_of(model))

    def with_magnitudes_of(self, model: keras.Model) -> Ticket:
        """Keep the mask and the signs, and take the magnitudes of another initialization.

        Source: Zhou et al. (2019, arXiv:1905.01067).

        Args:
            model: Model with the magnitudes; what the mask doesn't cover is taken from it, too.

        Raises:
            MaskError: when the mask doesn't fit `model`.
        """
        weights = self.mask.apply(_weights_of(model))
        signed = {key: np.copysign(weights[key], self.weights[key]) for key in self.mask}
        return self._moved(self.mask, {**weights, **signed})

    def _moved(self, mask: Mask, weights: Mapping[str, np.ndarray]) -> Ticket:
        # What it scored was another network's.
        kept = {key: value for key, value in self.provenance.items() if key != "result"}
        return replace(self, mask=mask, weights=weights, provenance=kept)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz` without pickle, whole or not at all; only survivors are stored.

        Raises:
            RunError: when it can't be written.
        """
        arrays = {f"mask:{name}": array for name, array in self.mask.to_arrays().items()}
        for key, array in self.weights.items():
            stored = array[self.mask[key]] if key in self.mask else array
            arrays[f"weight:{key}"] = stored
        header = {
            "level": self.level,
            "rewind_step": self.rewind_step,
            "density": self.mask.density,
            "keys": list(self.weights),
            "mask_keys": list(self.mask),
            "provenance": dict(self.provenance),
        }
        return write_arrays(path, kind=self._KIND, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ticket:
        """Read what `save` wrote.

        Raises:
            TicketError: when the file is missing, damaged, or not a ticket.
        """
        return load_arrays(path, cls._decode, kind=cls._KIND, holds=_HOLDS)

    @classmethod
    def _decode(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Ticket:
        mask = _mask(header, arrays)
        weights = {}
        for key in _keys(header["keys"]):
            stored = numbers(arrays[f"weight:{key}"], key)
            if key in mask:
                weights[key] = np.zeros(mask[key].shape, stored.dtype)
                weights[key][mask[key]] = stored
            else:
                weights[key] = stored
        return cls(
            mask,
            weights,
            whole_number(header["level"], "level"),
            whole_number(header["rewind_step"], "rewind_step"),
            dict(header["provenance"]),
        )

    @classmethod
    def load_mask(cls, path: str | os.PathLike[str]) -> Mask:
        """Read only the mask; raises `TicketError` as `load` does."""
        return load_arrays(path, _mask, kind=cls._KIND, holds=_HOLDS, prefix="mask:")


def _weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    from tfticket.state import Snapshot

    return Snapshot.capture(model, step=0, optimizer=False).variables


def _mask(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Mask:
    packed = {
        f"{key}:{part}": arrays[f"mask:{key}:{part}"]
        for key in _keys(header["mask_keys"])
        for part in ("bits", "shape")
    }
    # Each byte of bits is eight weights, which are held as booleans and as numbers.
    needed = 8 * _BYTES_A_WEIGHT * sum(array.nbytes for array in packed.values())
    if needed > available_memory():
        raise MemoryError(f"its weights take about {needed:,} bytes of memory, more than is free")
    return Mask.from_arrays(packed)


def _keys(found: Any) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(key, str) for key in found):
        raise TypeError("the keys of its variables aren't a list of texts")
    return found
