"""Figures of what is inside tickets: layers, inputs, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tfticket.lottery.analysis import Overlap
from tfticket.report.canvas import (
    LEVELS,
    LIGHT,
    density_axis,
    new_axes,
    percent_axis,
)
from tfticket.report.words import percent
from tfticket.sparsity.mask import Mask

# From nothing to a blue that is legible on white and on dark alike.
_SHADES = LinearSegmentedColormap.from_list(
    "kept", [(0.24, 0.53, 0.78, 0.0), (0.24, 0.53, 0.78, 0.55), (0.10, 0.42, 0.72, 1.0)]
)
_LABELED_LAYERS = 8
_MOST_MASKS = 6
_PIXELS = 240


def layer_density(
    densities: Mapping[int, Mapping[str, float]], overall: Mapping[int, float]
) -> Figure | None:
    """Density of each layer against that of the network, level by level, both logarithmic.

    Args:
        densities: Level to key to density, keys in the order of the network.
        overall: Level to density of the whole network.
    """
    levels = [level for level in sorted(densities) if level in overall]
    if len(levels) < 2:
        return None
    figure, axes = new_axes()
    keys = list(densities[levels[0]])
    x = [overall[level] for level in levels]
    axes.plot(x, x, color=LIGHT["muted"], linewidth=1, linestyle=":", label="whole network")
    for index, key in enumerate(keys):
        shade = round(index / max(1, len(keys) - 1) * (len(LEVELS) - 1))
        labeled = len(keys) <= _LABELED_LAYERS or index in (0, len(keys) - 1)
        axes.plot(
            x,
            [densities[level][key] for level in levels],
            color=LIGHT[LEVELS[shade]],
            marker="osv^D*"[index % 6],
            markersize=4,
            linewidth=1.2,
            label=key.removesuffix("/kernel") if labeled else None,
        )
    axes.set_yscale("log")
    lowest = axes.get_ylim()[0]
    ticks = [step * 10.0**power for power in (0, -1, -2, -3, -4) for step in (5, 2, 1)]
    axes.yaxis.set_major_locator(FixedLocator([t for t in ticks if lowest <= t <= 1]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    axes.set_ylabel("weights left in the layer (%)")
    density_axis(axes, x)
    axes.legend()
    return figure


def seed_overlap(overlaps: Mapping[float, Sequence[Overlap]]) -> Figure | None:
    """Overlap of the masks of two seeds against density, and what chance would give.

    Args:
        overlaps: Density to the overlap of each pair of seeds.
    """
    found = {density: pairs for density, pairs in sorted(overlaps.items()) if pairs}
    if not found:
        return None
    figure, axes = new_axes()
    x = list(found)
    observed = [[pair.jaccard for pair in pairs] for pairs in found.values()]
    chance = [np.mean([pair.expected_jaccard for pair in pairs]) for pairs in found.values()]
    low, high = [min(pairs) for pairs in observed], [max(pairs) for pairs in observed]
    axes.fill_between(x, low, high, color=LIGHT["blue"], alpha=0.16, linewidth=0)
    means = [np.mean(pairs) for pairs in observed]
    axes.plot(x, means, "o-", color=LIGHT["blue"], label="two seeds")
    axes.plot(x, chance, "s:", color=LIGHT["muted"], markersize=3.5, label="chance")
    axes.set_ylim(0, 1.02)
    percent_axis(axes, "weights in common, of those in either (%)")
    density_axis(axes, x)
    axes.legend()
    return figure


def surviving_inputs(
    pictures: Mapping[int, np.ndarray], densities: Mapping[int, float]
) -> Figure | None:
    """For each level, what the first layer still looks at; the darker, the more weights are left.

    Args:
        pictures: Level to `(height, width)` or `(height, width, channels)`, in [0, 1].
        densities: Level to density of the whole network.
    """
    if not pictures:
        return None
    figure = Figure(figsize=(1.45 * max(3, len(pictures)), 1.75), layout="constrained")
    for position, (level, picture) in enumerate(pictures.items(), start=1):
        axes = figure.add_subplot(1, max(3, len(pictures)), position)
        _image(axes, _side_by_side(picture))
        density = densities.get(level)
        axes.set_title("dense" if level == 0 else percent(density) if density else f"level {level}")
    return figure


def masks(mask: Mask) -> Figure | None:
    """The mask of each layer as a picture: a row an input, a column a unit; kept is dark."""
    keys = list(mask)[:_MOST_MASKS]
    if not keys:
        return None
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.9 * rows), layout="constrained")
    for position, key in enumerate(keys, start=1):
        axes = figure.add_subplot(rows, columns, position)
        kernel = mask[key]
        _image(axes, _reduced(kernel.reshape(-1, kernel.shape[-1])), aspect="auto")
        name = key.removesuffix("/kernel")
        axes.set_title(f"{name}, {percent(float(kernel.mean()))}")
        axes.set_xlabel(f"{kernel.shape[-1]} units", color=LIGHT["muted"], fontsize=8.5)
        axes.set_ylabel(
            f"{kernel.size // kernel.shape[-1]} inputs", color=LIGHT["muted"], fontsize=8.5
        )
    return figure


def _image(axes: Axes, picture: np.ndarray, *, aspect: str = "equal") -> None:
    top = float(np.nanmax(picture)) if np.isfinite(picture).any() else 0.0
    axes.imshow(
        picture,
        cmap=_SHADES,
        vmin=0,
        vmax=top or 1.0,
        aspect=aspect,  # type: ignore[arg-type]
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(LIGHT["line"])


def _side_by_side(picture: np.ndarray) -> np.ndarray:
    """Up to four channels next to one another, parted by a gap; more of them as their mean."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        return picture.reshape(picture.shape[:2])
    if picture.shape[2] > 4:
        return picture.mean(axis=2)
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
