"""The cost of rounding, layer by layer: scores with each layer rounded alone, and all but it.

What rounds is passed in: a Keras model (`export.rounding`) or a file (`inspect.rounded_file`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import bars
from tfticket.export.labels import Labels
from tfticket.export.runtime import Examples

_STEPS = 5  # of halving the share of zeros: 1 / 32 is the finest
_TINY = 1e-12


@dataclass(frozen=True)
class LayerSensitivity:
    """Cost of rounding one layer.

    A score is the accuracy, or the share of variance that is explained where labels are numbers;
    without labels, the share of answers that are those of the model in float.

    Attributes:
        layer: Its key in the model.
        weights: How many numbers its kernels have.
        zeros: Share of them that are zero.
        rounded_zeros: Share of them that are zero after rounding: zeros that cost nothing in int8.
        score_alone: The score when this layer alone is rounded.
        divergence_alone: Root mean square of the difference of outputs then, in standard deviations
            of the outputs.
        score_kept: The score when all layers but this one are rounded.
        divergence_kept: Their divergence.
        free_zeros: The largest share of its smallest weights that can be zero, this layer alone and
            in float, without a score lower by more than the margin; found by halving, to 1/32.
    """

    layer: str
    weights: int
    zeros: float
    rounded_zeros: float
    score_alone: float
    divergence_alone: float
    score_kept: float
    divergence_kept: float
    free_zeros: float


@dataclass(frozen=True, repr=False)
class Sensitivity(Displayable):
    """Cost of rounding, layer by layer, as returned by `sensitivity`.

    Attributes:
        layers: In their order in the model.
        score: In float.
        score_rounded: With all layers rounded.
        divergence_rounded: Of all layers rounded.
        keep: The layers to leave in float to reach the score that was asked for, those that help
            most first; None where none was asked for, or all of them aren't enough.
        bits: Of the rounding.
        examples: How many examples it was measured on.
        labeled: Whether scores are of labels, or of the answers in float.
    """

    layers: tuple[LayerSensitivity, ...]
    score: float
    score_rounded: float
    divergence_rounded: float
    keep: tuple[str, ...] | None
    bits: int
    examples: int
    labeled: bool

    def __repr__(self) -> str:
        scores = f"score={self.score:.4f}, score_rounded={self.score_rounded:.4f}"
        return f"Sensitivity({len(self.layers)} layers, {scores})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """Return the scores, and the layer that costs most, in sentences."""
        score = "accuracy" if self.labeled else "agreement with the answers in float"
        worst = max(self.layers, key=lambda each: each.divergence_alone)
        said = (
            f"With all layers rounded to {self.bits} bits, {score} goes from {self.score:.2%} to "
            f"{self.score_rounded:.2%} on {self.examples:,} examples (emulated). Most is due to "
            f"`{worst.layer}`, which alone gives {worst.score_alone:.2%}."
        )
        if self.keep is not None:
            said += f" To leave in float: {', '.join(self.keep) or 'nothing'}."
        return said

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a layer."""
        return [asdict(each) for each in self.layers]

    def _figure(self) -> Figure | None:
        values = {each.layer: each.divergence_alone for each in self.layers}
        return bars(values, "divergence when rounded alone (standard deviations)")


class Rounding(Protocol):
    """A network in which each layer can be rounded, and its smallest weights left out.

    Attributes:
        bits: Of the rounding.
    """

    bits: int

    @property
    def layers(self) -> Mapping[str, Sequence[tuple[np.ndarray, tuple[int, ...]]]]:
        """The kernels of each layer, with the axes that have a scale for each index."""
        ...

    def outputs(
        self, x: Examples, rounded: Sequence[bool], least: Sequence[float] | None = None
    ) -> list[np.ndarray]:
        """Return the answers with some layers rounded, and weights below `least` left out."""
        ...


def round_weights(kernel: np.ndarray, axes: tuple[int, ...], *, bits: int) -> np.ndarray:
    """Round a kernel to symmetric integers and back; see `finetune.fake_quantize`.

    Args:
        kernel: Float array.
        axes: The axes that have a scale for each index.
        bits: 2 or more.
    """
    others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    largest = np.abs(kernel).max(axis=others, keepdims=True)
    scale = np.maximum(largest, _TINY) / (2 ** (bits - 1) - 1)
    return np.asarray(np.round(kernel / scale) * scale, kernel.dtype)


class Measuring:
    """Scores of a network with some layers rounded.

    Args:
        rounding: The network.
        x: Examples as it takes them.
        labels: Of each output, or None; compared with the answers in float where none has any.
        margin: Score that zeros may cost to count as free.
    """

    def __init__(
        self, rounding: Rounding, x: Examples, labels: Sequence[Any], margin: float
    ) -> None:
        self._rounding, self._x, self._margin = rounding, x, margin
        self._none = [False] * len(rounding.layers)
        self._plain = rounding.outputs(x, self._none)
        self._labeled = any(each is not None for each in labels)
        self._labels = [
            Labels.of(_answers(outputs) if own is None else own, outputs, "y")
            for own, outputs in zip(labels, self._plain, strict=True)
            if own is not None or not self._labeled
        ]
        self._places = [
            place for place, own in enumerate(labels) if own is not None or not self._labeled
        ]
        self._score = self._of(self._plain)[0]

    def _of(self, outputs: Sequence[np.ndarray]) -> tuple[float, float]:
        """Score and divergence of outputs."""
        pairs = zip(self._labels, self._places, strict=True)
        scores = [labels.quality(outputs[place]).score or 0.0 for labels, place in pairs]
        apart = [
            float(np.sqrt(np.mean((ours - plain) ** 2)) / max(float(plain.std()), _TINY))
            for ours, plain in zip(outputs, self._plain, strict=True)
        ]
        return fmean(scores), max(apart)

    def _with(self, rounded: Sequence[bool]) -> tuple[float, float]:
        return self._of(self._rounding.outputs(self._x, rounded))

    def measured(self, reach: float | None) -> Sensitivity:
        """Round each layer alone, and all but it; see `sensitivity` for `reach`."""
        count = len(self._none)
        everything = [True] * count
        whole = self._with(everything)
        layers = []
        for place, (key, kernels) in enumerate(self._rounding.layers.items()):
            alone = self._with([each == place for each in range(count)])
            kept = self._with([each != place for each in range(count)])
            weights = np.concatenate([kernel.ravel() for kernel, _ in kernels])
            rounded = [round_weights(*each, bits=self._rounding.bits).ravel() for each in kernels]
            layers.append(
                LayerSensitivity(
                    layer=key,
                    weights=weights.size,
                    zeros=float(np.mean(weights == 0)),
                    rounded_zeros=float(np.mean(np.concatenate(rounded) == 0)),
                    score_alone=alone[0],
                    divergence_alone=alone[1],
                    score_kept=kept[0],
                    divergence_kept=kept[1],
                    free_zeros=self._free(place, np.sort(np.abs(weights))),
                )
            )
        return Sensitivity(
            layers=tuple(layers),
            score=self._score,
            score_rounded=whole[0],
            divergence_rounded=whole[1],
            keep=None if reach is None else self._kept(layers, whole[0], reach),
            bits=self._rounding.bits,
            examples=len(self._x),
            labeled=self._labeled,
        )

    def _free(self, place: int, sizes: np.ndarray) -> float:
        """The largest share of the smallest weights that can go, by halving."""
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            share = (low + high) / 2
            least = [0.0] * len(self._none)
            least[place] = float(sizes[min(round(share * sizes.size), sizes.size - 1)])
            score, _ = self._of(self._rounding.outputs(self._x, self._none, least))
            low, high = (share, high) if score >= self._score - self._margin else (low, share)
        return max(low, float(np.mean(sizes == 0)))

    def _kept(
        self, layers: Sequence[LayerSensitivity], score: float, reach: float
    ) -> tuple[str, ...] | None:
        """Leave in float, one by one, the layers that lower the divergence most."""
        order = sorted(range(len(layers)), key=lambda place: layers[place].divergence_kept)
        rounded = [True] * len(layers)
        kept: list[str] = []
        for place in order:
            if score >= reach:
                return tuple(kept)
            rounded[place] = False
            kept.append(layers[place].layer)
            score, _ = self._with(rounded)
        return tuple(kept) if score >= reach else None


def _answers(outputs: np.ndarray) -> np.ndarray:
    """Return the answers in float as labels: classes, or the numbers."""
    return outputs.argmax(-1) if outputs.ndim == 2 and outputs.shape[1] > 1 else outputs
