"""The schema of recipes of the kind `memorization`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from tfticket.recipe.noise import Noise
from tfticket.recipe.schema import Expect, Recipe, only_searches
from tfticket.recipe.table import Problem, SomeTables, Tables, Text, listed
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.schema import Controls, Lottery, LotteryRecipe, Model
from tfticket.studies.lottery.tasks import only_classes

Density = Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")]
_OWN = ("name", "title", "seeds", "data", "model", "train", "lottery", "controls")


class Claim(Expect):
    """An expectation about the networks of one density, or how they differ from others.

    Attributes:
        measure: What is compared, at the end of training: `memorized`, the share of wrongly labeled
            training examples whose wrong label is predicted; `accuracy` or `calibration_error` on
            test data with true labels.
        noise: The noise, as it is called in the run: `symmetric0.4`.
        branch: Whose number it is: `ticket` or a control.
        density: Where it is read, at the level that is nearest; 1 is the dense network.
        against: The branch whose number is subtracted, if there must be one; `branch` unless given.
        against_density: Where that is read; `density` unless given.
    """

    measure: Literal["memorized", "accuracy", "calibration_error"]
    noise: Text
    branch: Text = "ticket"
    density: Density
    against: Text | None = None
    against_density: Density | None = None


class MemorizationRecipe(Recipe):
    """Searches for tickets under each of several noises, with controls at their densities.

    Training and validation labels are made wrong, also for the search; test labels stay as they
    are. The noises of a seed share initial weights and the order of the data.
    """

    kind: Literal["memorization"]
    model: Model
    noise: SomeTables[Noise]
    lottery: Lottery
    controls: Controls = Controls()
    expect: Tables[Claim] = ()

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from only_searches(self.train)
        yield from only_classes(self.data, "labels are made wrong")
        own: dict[str, Any] = {name: getattr(self, name) for name in _OWN}
        yield from LotteryRecipe.model_construct(**own).problems()
        yield from self._noise_problems()
        yield from self._claim_problems()

    def _noise_problems(self) -> Iterator[Problem]:
        labels = [noise.label for noise in self.noise]
        again = sorted({label for label in labels if labels.count(label) > 1})
        if again:
            yield Problem("noise", f"must name each noise once. Received twice: {listed(again)}.")
        for number, noise in enumerate(self.noise):
            if noise.kind == "open_set":
                yield Problem(
                    f"noise[{number}].kind",
                    "must be a noise of labels: what a network memorizes is told by wrong labels "
                    "of examples that have a class. Received: 'open_set', which is for the kind "
                    "noisy.",
                )

    def _claim_problems(self) -> Iterator[Problem]:
        labels = [noise.label for noise in self.noise]
        for number, claim in enumerate(self.expect):
            if claim.noise not in labels:
                yield Problem(
                    f"expect[{number}].noise",
                    f"must be one of {listed(labels)}. Received: {claim.noise!r}.",
                )

    def search(self) -> LotteryRecipe:
        """The search of each noise as a recipe of the kind `lottery`."""
        own: dict[str, Any] = {name: getattr(self, name) for name in _OWN}
        return LotteryRecipe(kind="lottery", **own)


KIND = Kind(
    name="memorization",
    recipe=MemorizationRecipe,
    table="lottery",
    unit="level",
    study="tfticket.studies.memorization.study:MemorizationStudy",
    summary="tfticket.studies.memorization.summary:summarize_files",
    page="tfticket.studies.memorization.page:compose",
)
