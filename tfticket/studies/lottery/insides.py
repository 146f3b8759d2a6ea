"""Figures of what is inside tickets: layers, inputs, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfticket.display import charts
from tfticket.display.charts import Axis, Figure, Panel, Rows, density_axis, rows
from tfticket.display.palette import DOTTED, LEVELS, STAR, Look
from tfticket.display.pictures import framed
from tfticket.display.words import percent
from tfticket.lottery.analysis import Overlap
from tfticket.sparsity.mask import Mask

_SHAPES = ("circle", "square", "triangle-down", "triangle-up", "diamond", STAR)
_LABELED_LAYERS = 8
_MOST_MASKS = 6
_PIXELS = 240


def layer_density(
    densities: Mapping[int, Mapping[str, float]], overall: Mapping[int, float]
) -> Figure | None:
    """Draw the density of each layer against that of the network, on logarithmic axes.

    Args:
        densities: Level to key to density, keys in the order of the network.
        overall: Level to density of the whole network.
    """
    levels = [level for level in sorted(densities) if level in overall]
    if len(levels) < 2:
        return None
    keys = list(densities[levels[0]])
    x = [100 * overall[level] for level in levels]
    looks = {"whole network": Look("muted", None, DOTTED)}
    lines: Rows = []
    for index, key in enumerate(keys):
        shade = round(index / max(1, len(keys) - 1) * (len(LEVELS) - 1))
        name = key.removesuffix("/kernel")
        looks[name] = Look(LEVELS[shade], _SHAPES[index % 6])
        lines += rows(x=x, y=[100 * densities[level][key] or None for level in levels], name=name)
    low = min(x + [row["y"] for row in lines if row["y"]]) / 1.25
    ticks = charts.plain((s * 10.0**p for p in (2, 1, 0, -1, -2) for s in (5, 2, 1)), low, 100)
    panel = Panel(
        density_axis(overall[level] for level in levels),
        Axis("weights left in the layer (%)", (low, 125), log=True, ticks=ticks),
        looks,
        named=None if len(keys) <= _LABELED_LAYERS else [*list(looks)[:2], list(looks)[-1]],
    )
    whole = rows(x=x, y=x, name="whole network")
    return panel.draw(panel.line(whole, width=1), panel.line(lines, width=1.2), panel.points(lines))


def seed_overlap(overlaps: Mapping[float, Sequence[Overlap]]) -> Figure | None:
    """Draw the overlap of two seeds' masks against density, and the overlap expected by chance.

    Args:
        overlaps: Density to the overlap of each pair of seeds.
    """
    found = {density: pairs for density, pairs in sorted(overlaps.items()) if pairs}
    if not found:
        return None
    x = [100 * density for density in found]
    observed = [[100 * pair.jaccard for pair in pairs] for pairs in found.values()]
    chance = [np.mean([100 * pair.expected_jaccard for pair in pairs]) for pairs in found.values()]
    low, high = [min(pairs) for pairs in observed], [max(pairs) for pairs in observed]
    looks = {"two seeds": Look("blue", "circle"), "chance": Look("muted", "square", DOTTED)}
    title = "weights in common, of those in either (%)"
    panel = Panel(density_axis(found), Axis(title, (0, 102)), looks)
    means = [np.mean(pairs) for pairs in observed]
    lines = rows(x=x, y=means, name="two seeds") + rows(x=x, y=chance, name="chance")
    band = panel.band(rows(x=x, low=low, high=high, name="two seeds"), opacity=0.16)
    return panel.draw(band, panel.line(lines), panel.points(lines))


def surviving_inputs(
    pictures: Mapping[int, np.ndarray], densities: Mapping[int, float]
) -> Figure | None:
    """Draw which inputs the first layer still uses at each level: darker means more weights.

    Args:
        pictures: Level to `(height, width)` or `(height, width, channels)`, in [0, 1].
        densities: Level to density of the whole network.
    """
    if not pictures:
        return None
    found = []
    for level, picture in pictures.items():
        shares, density = _side_by_side(picture), densities.get(level)
        title = "dense" if level == 0 else percent(density) if density else f"level {level}"
        height = 94 * min(1.0, shares.shape[0] / shares.shape[1])
        width = height * shares.shape[1] / shares.shape[0]
        found.append(framed(shares, width=width, height=height, title=title))
    return charts.beside(*found)


def masks(mask: Mask) -> Figure | None:
    """Draw each layer's mask as an image: rows are inputs, columns units, kept weights dark."""
    keys = list(mask)[:_MOST_MASKS]
    if not keys:
        return None
    return charts.wrapped([_mask(key, mask[key]) for key in keys], 3)


def _mask(key: str, kernel: np.ndarray) -> Figure:
    units = kernel.shape[-1]
    return framed(
        _reduced(kernel.reshape(-1, units)),
        width=228,
        height=158,
        title=f"{key.removesuffix('/kernel')}, {percent(float(kernel.mean()))}",
        x=f"{units} units",
        y=f"{kernel.size // units} inputs",
    )


def _side_by_side(picture: np.ndarray) -> np.ndarray:
    """Up to four channels next to one another, parted by a gap; more of them as their mean."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        return picture.reshape(picture.shape[:2])
    if picture.shape[2] > 4:
        return np.asarray(picture.mean(axis=2))
    gap = np.full((picture.shape[0], max(1, picture.shape[1] // 8)), np.nan)
    parts = [part for channel in np.moveaxis(picture, 2, 0) for part in (gap, channel)]
    return np.concatenate(parts[1:], axis=1)


def _reduced(kernel: np.ndarray) -> np.ndarray:
    """The share of kept weights in blocks, so that no side is longer than a screen shows."""
    picture: np.ndarray = kernel.astype(float)
    for axis in (0, 1):
        size = picture.shape[axis]
        starts = np.unique(np.linspace(0, size, min(size, _PIXELS), endpoint=False).astype(int))
        widths = np.diff([*starts, size]).reshape((-1, 1) if axis == 0 else (1, -1))
        picture = np.add.reduceat(picture, starts, axis=axis) / widths
    return picture
