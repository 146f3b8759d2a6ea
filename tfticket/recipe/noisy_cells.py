"""The trainings that a recipe of the kind `noisy` makes: its *cells*, each with a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfticket.recipe.noise import Noise
from tfticket.recipe.noisy_schema import Method, NoisyRecipe


@dataclass(frozen=True)
class NoisyCell:
    """One method under one noise, trained once for each seed.

    Attributes:
        branch: Its name, unique in the recipe.
        noise: How labels are made wrong.
        method: How it is trained.
        steps: Optimizer steps; 0 where held-out predictions are all that is asked for.
    """

    branch: str
    noise: Noise
    method: Method
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """What `cells.json` says of it."""
        return {
            "branch": self.branch,
            "noise": self.noise.label,
            "noise_kind": self.noise.kind,
            "nominal_rate": self.noise.rate,
            "method": self.method.label or self.method.name,
            "method_kind": self.method.name,
            "steps": self.steps,
        }


def noisy_cells(recipe: NoisyRecipe) -> tuple[NoisyCell, ...]:
    """All cells of a recipe: noise by noise, the methods in their order.

    A branch is called after its method, and after its noise where there are several.
    """
    several = len(recipe.noise) > 1
    return tuple(
        NoisyCell(
            branch=f"{noise.label}-{name}" if several else name,
            noise=noise,
            method=method,
            steps=0 if method.name == "held_out" else recipe.train.steps,
        )
        for noise in recipe.noise
        for method in recipe.methods
        for name in [method.label or method.name]
    )


def iterations(recipe: NoisyRecipe) -> int:
    """How often examples are held out: once where only the noise is to be estimated."""
    selects = any(method.name == "incv" for method in recipe.methods)
    return recipe.selection.iterations if recipe.selection and selects else 1
