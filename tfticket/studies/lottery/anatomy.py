"""Masks and weights inside the tickets of a run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import TicketError
from tfticket.files import read_arrays
from tfticket.lottery import analysis
from tfticket.lottery.analysis import DeadUnits, Overlap, SignAgreement
from tfticket.lottery.ticket import Ticket
from tfticket.report.reading import RunFiles
from tfticket.sparsity.mask import Mask

_CHAINS = ("lenet", "conv", "vgg", "cnn")
_MOST_PICTURES = 8


@dataclass(frozen=True)
class LevelAnatomy:
    """The inside of the tickets of one level.

    Attributes:
        level: Pruning level.
        mask: The mask of the first seed.
        dead: Key to dead units, of that mask.
        connected: Share of its kept weights on a path from input to output, in [0, 1]; None for a
            network that isn't known to be a chain of layers.
        signs: Key to sign agreement of the first seed; empty where its weights weren't kept.
        overlaps: The masks of each two seeds against each other.
    """

    level: int
    mask: Mask
    dead: Mapping[str, DeadUnits]
    connected: float | None
    signs: Mapping[str, SignAgreement]
    overlaps: tuple[Overlap, ...]

    @property
    def sign_share(self) -> float:
        """Share of all surviving weights that kept their sign; nan where it isn't known."""
        weights = sum(found.weights for found in self.signs.values())
        return sum(found.agreeing for found in self.signs.values()) / weights if weights else np.nan


@dataclass(frozen=True)
class Anatomy:
    """The inside of the tickets of a run.

    Attributes:
        seed: The seed whose masks are shown.
        levels: The levels that were opened, rising: all, or an even choice of a long search.
        densities: Level to key to density, of that seed, all levels.
        pictures: Level to the picture of surviving inputs; empty where the inputs aren't images.
        unreadable: A sentence for each ticket file that couldn't be read.
    """

    seed: int
    levels: tuple[LevelAnatomy, ...]
    densities: Mapping[int, Mapping[str, float]]
    pictures: Mapping[int, np.ndarray]
    unreadable: tuple[str, ...]


def dissect(files: RunFiles, levels: Sequence[int]) -> Anatomy | None:
    """Open the tickets of the search.

    Args:
        files: The run.
        levels: The levels to look at closely; those without a ticket file are passed over.

    Returns:
        What was found, or None when the run has no readable ticket.
    """
    unreadable: list[str] = []
    paths = files.tickets()
    masks = {seed: _masks(of_seed, unreadable) for seed, of_seed in paths.items()}
    masks = {seed: found for seed, found in masks.items() if found}
    if not masks:
        return None
    seed = min(masks)
    model_name = str(files.table("model").get("name", ""))
    chain = model_name.startswith(_CHAINS) and analysis.is_chain(
        next(iter(masks[seed].values())).shapes
    )
    looked_at = [level for level in levels if level in masks[seed]]
    return Anatomy(
        seed=seed,
        levels=tuple(
            _level(
                level,
                [found[level] for found in masks.values() if level in found],
                signs=_signs(paths[seed][level], unreadable),
                chain=chain,
            )
            for level in looked_at
        ),
        densities={level: analysis.layer_densities(mask) for level, mask in masks[seed].items()},
        pictures=_pictures(
            {level: masks[seed][level] for level in looked_at[:_MOST_PICTURES]}, files.environment
        ),
        unreadable=tuple(unreadable),
    )


def _masks(paths: Mapping[int, Path], unreadable: list[str]) -> dict[int, Mask]:
    found = {}
    for level, path in paths.items():
        try:
            found[level] = Ticket.load_mask(path)
        except TicketError as error:
            unreadable.append(str(error))
    return found


def _level(
    level: int, masks: Sequence[Mask], *, signs: Mapping[str, SignAgreement], chain: bool
) -> LevelAnatomy:
    mask = masks[0]
    connected = None
    if chain:
        on_path = sum(int(kept.sum()) for kept in analysis.connected(mask).values())
        connected = on_path / mask.kept if mask.kept else 0.0
    return LevelAnatomy(
        level=level,
        mask=mask,
        dead=analysis.dead_units(mask, chain=chain),
        connected=connected,
        signs=signs,
        overlaps=tuple(
            analysis.overlap(first, second)
            for first, second in itertools.combinations(masks, 2)
            if first.shapes == second.shapes
        ),
    )


def _signs(path: Path, unreadable: list[str]) -> dict[str, SignAgreement]:
    final_path = path.with_suffix(".final.npz")
    if not final_path.is_file():
        return {}
    try:
        ticket = Ticket.load(path)
        _, arrays = read_arrays(final_path, kind="snapshot", prefix="variable:")
        final = {name.removeprefix("variable:"): array for name, array in arrays.items()}
        return analysis.sign_agreement(ticket.mask, initial=ticket.weights, final=final)
    except TicketError as error:
        unreadable.append(str(error))
        return {}


def _pictures(masks: Mapping[int, Mask], environment: Mapping[str, Any]) -> dict[int, np.ndarray]:
    """The first kernel's picture by level, if the first kernel is the one that sees the images."""
    if not masks:
        return {}
    kernels = {level: next(iter(mask.values())) for level, mask in masks.items()}
    shape = next(iter(kernels.values())).shape
    image_shape = tuple((environment.get("data") or {}).get("input_shape") or ())
    if len(shape) == 4 and (not image_shape or image_shape[-1] == shape[2]):
        return {level: analysis.surviving_inputs(kernel) for level, kernel in kernels.items()}
    if len(shape) != 2:
        return {}
    image_shape = image_shape or _square(shape[0])
    if len(image_shape) not in (2, 3) or math.prod(image_shape) != shape[0]:
        return {}
    return {
        level: analysis.surviving_inputs(kernel, image_shape=image_shape)
        for level, kernel in kernels.items()
    }


def _square(inputs: int) -> tuple[int, ...]:
    """The shape of square gray or RGB images with so many values, if there is one."""
    for channels in (1, 3):
        side = math.isqrt(inputs // channels)
        if side > 3 and side * side * channels == inputs:
            return (side, side, channels)
    return ()
