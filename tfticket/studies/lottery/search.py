"""From the table `[lottery]` of a recipe to pruner, score, schedule and controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfticket.channels import channel_groups
from tfticket.data import DataSet
from tfticket.lottery import Control, RandomReinit
from tfticket.lottery.controls import CONTROLS, as_controls
from tfticket.schedules import IterativePruning, OneShot, PolynomialDecay, PruningSchedule
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import PRUNERS, LayerwisePruner
from tfticket.sparsity.saliency import SALIENCIES, SaliencyScore
from tfticket.sparsity.scores import WEIGHT_SCORES, WeightScore
from tfticket.sparsity.structure import UNSTRUCTURED, Blocks, NOfM, Structure
from tfticket.state import prunable_variables
from tfticket.studies.lottery.schema import DEFAULT_RATE, Controls, Lottery

_SALIENCY_EXAMPLES_A_CLASS = 10
_CLASSES_OF_NUMBERS = 10  # of a regression: as many examples as for so many classes


def search_options(lottery: Lottery, model: keras.Model, data: DataSet) -> dict[str, Any]:
    """Return what `TicketSearch` takes as keywords.

    Args:
        lottery: The table.
        model: A network of the recipe.
        data: Its data.
    """
    return {
        "pruner": pruner(lottery, model),
        "score": score(lottery.score, data),
        "rewind_step": lottery.rewind_step,
        "rewind": lottery.rewind,
        "optimizer_state": lottery.optimizer_state,
        "score_at": lottery.score_at,
        "skip": lottery.skip,
    }


def score(name: str, data: DataSet) -> WeightScore | SaliencyScore | None:
    """Return the score of a recipe; one that needs examples takes the first for training."""
    if name == "random":
        return None
    if name in WEIGHT_SCORES:
        return WEIGHT_SCORES[name]
    classes = data.num_classes or _CLASSES_OF_NUMBERS
    first = data.train.first(_SALIENCY_EXAMPLES_A_CLASS * classes)
    _, iterations = SALIENCIES[name]
    return SaliencyScore(name, data.inputs(first), first.y, iterations)


def schedule(lottery: Lottery) -> PruningSchedule:
    """Return the pruning schedule of a recipe."""
    makers: dict[str, Callable[[], PruningSchedule]] = {
        "iterative": lambda: IterativePruning(lottery.rate or DEFAULT_RATE, lottery.levels),
        "one_shot": lambda: OneShot(float(lottery.final_sparsity or 0)),
        "polynomial": lambda: PolynomialDecay(float(lottery.final_sparsity or 0), lottery.levels),
    }
    return makers[lottery.schedule]()


def pruner(lottery: Lottery, model: keras.Model) -> Pruner:
    """Return the pruner of a recipe; `output` in its rates is the last kernel of the network."""
    units = structure(lottery, model)
    if lottery.pruner != "layerwise":
        return PRUNERS[lottery.pruner](structure=units)
    *_, output = prunable_variables(model)
    rate = lottery.rate or DEFAULT_RATE
    factors = {
        (output if pattern == "output" else pattern): own / rate
        for pattern, own in lottery.rates.items()
    }
    # The output layer is a dense layer too: the particular goes before the general.
    particular_first = sorted(factors.items(), key=lambda item: item[0] != output)
    return LayerwisePruner(dict(particular_first), structure=units)


def structure(lottery: Lottery, model: keras.Model) -> Structure:
    """Return the structure of a recipe: weights, blocks or channels.

    Raises:
        ModelError: when channels are asked for and the network has none that can go.
    """
    makers: dict[str, Callable[[], Structure]] = {
        "unstructured": lambda: UNSTRUCTURED,
        "block_1x4": lambda: Blocks(4),
        "n_of_m": lambda: NOfM(*(lottery.pattern or ())),
        "channel": lambda: Channels(channel_groups(model, lottery.skip)),
    }
    return makers[lottery.structure]()


def controls(table: Controls) -> list[Control]:
    """Return the controls of a recipe."""
    chosen: list[Control] = [RandomReinit(n) for n in range(1, int(table.reinit) + 1)]
    names = [name for name in CONTROLS if name != "reinit" and getattr(table, name)]
    return [*chosen, *as_controls(names)]
