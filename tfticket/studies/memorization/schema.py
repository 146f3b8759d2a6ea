"""The schema of recipes of the kind `memorization`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from tfticket.recipe.noise import Noise, only_labels
from tfticket.recipe.schema import only_searches
from tfticket.recipe.table import Problem, SomeTables, Tables, Text, twice
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.tasks import only_classes
from tfticket.studies.variants.schema import VariantClaim, VariantsRecipe


class Claim(VariantClaim):
    """An expectation about the networks of one density under one noise.

    Attributes:
        measure: What is compared, at the end of training: `memorized`, the share of wrongly labeled
            training examples whose wrong label is predicted; `accuracy` or `calibration_error` on
            test data with true labels.
        noise: The noise, as it is called in the run: `symmetric0.4`.
    """

    measure: Literal["memorized", "accuracy", "calibration_error"]
    noise: Text


class MemorizationRecipe(VariantsRecipe):
    """Searches for tickets under each of several noises, with controls at their densities.

    Training and validation labels are made wrong, also for the search; test labels stay as they
    are. The noises of a seed share initial weights and the order of the data.
    """

    VARIANT: ClassVar[str] = "noise"

    kind: Literal["memorization"]
    noise: SomeTables[Noise]
    expect: Tables[Claim] = ()

    @property
    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        """See `VariantsRecipe`."""
        return {
            noise.label: {
                "noise": noise.label, "noise_kind": noise.kind, "nominal_rate": noise.rate,
            }
            for noise in self.noise
        }  # fmt: skip

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from super().problems()
        yield from only_searches(self.train)
        yield from twice({"noise": tuple(noise.label for noise in self.noise)}, noun="noise")
        yield from only_classes(self.data, "labels are made wrong")
        for number, noise in enumerate(self.noise):
            yield from only_labels(noise, f"noise[{number}].kind")


KIND = Kind(
    name="memorization",
    recipe=MemorizationRecipe,
    table="lottery",
    unit="level",
    study="tfticket.studies.memorization.study:MemorizationStudy",
    summary="tfticket.studies.memorization.summary:Summary.read",
    page="tfticket.studies.memorization.page:compose",
)
