"""What is done to a model before it is converted: less of it, and the same answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tfticket.channels.shrinking import LayerChange, shrink
from tfticket.errors import ExportError
from tfticket.export.static import check_exportable
from tfticket.norms.folding import fold_batch_norm
from tfticket.sparsity.convert import get_mask, masked_layers, strip
from tfticket.sparsity.mask import Mask
from tfticket.state import named_variables
from tfticket.statistics import recalibrate


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model as it is converted.

    Attributes:
        model: Plain, with batch normalization folded into its neighbors, and dead units gone.
        mask: The ticket's mask, of the model before; None without one.
        folded: Key of each norm that is gone, and of the layer that does its work.
        layers: What became of the units of each layer.
        parameters_before: How many numbers the model had.
        parameters_after: How many it has.
        alarms: What looks like a collapsed network, in words.
    """

    model: keras.Model
    mask: Mask | None
    folded: Mapping[str, str]
    layers: tuple[LayerChange, ...]
    parameters_before: int
    parameters_after: int
    alarms: tuple[str, ...]

    @property
    def units_removed(self) -> int:
        """How many units or channels went."""
        return sum(change.before - change.after for change in self.layers)


def prepare(
    model: keras.Model, mask: Mask | None = None, statistics: Sequence[np.ndarray] | None = None
) -> Prepared:
    """Folds batch normalization and takes dead units out; see `fold_batch_norm` and `shrink`.

    Folding comes before the units are looked at, and before calibration, so that weights are
    rounded as they will be used.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed.
        mask: The ticket's mask, for a plain model; a sparsified one has its own.
        statistics: Batches of training inputs, of the size used in training, to take the statistics
            of batch normalization from again: those of a model that was pruned and not trained
            since are of the network before. They are left as they are when None.

    Raises:
        ExportError: when a pruned weight isn't zero, or the model can't be exported at all.
        ModelError: for a subclassed model.
    """
    check_exportable(model)
    own = get_mask(model) if masked_layers(model) else mask
    plain = strip(model)
    check_pruned(own, plain)
    if statistics is not None:
        recalibrate(plain, statistics)
    folded = fold_batch_norm(plain)
    shrunk = shrink(folded.model)
    return Prepared(
        model=shrunk.model,
        mask=own,
        folded=folded.folded,
        layers=shrunk.layers,
        parameters_before=model.count_params(),
        parameters_after=shrunk.parameters_after,
        alarms=shrunk.alarms,
    )


def check_pruned(mask: Mask | None, model: keras.Model) -> None:
    """Raises an `ExportError` when a weight that the mask prunes isn't zero."""
    if mask is None:
        return
    named = named_variables(model).items()
    weights = {key: variable.numpy() for key, variable in named if key in mask}
    for key, expected in mask.apply(weights).items():
        leaked = int(np.count_nonzero(expected != weights[key]))
        if leaked:
            raise ExportError(
                "A pruned weight must be zero before the model is exported. Received: "
                f"{leaked:,} that are not, in `{key}`. Give the mask that the model was trained "
                "with, or apply it first."
            )
