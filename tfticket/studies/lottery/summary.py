"""The numbers of a run: per branch and level over seeds, the verdicts, and the expectations.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfticket.display import words
from tfticket.lottery.comparison import Criteria
from tfticket.lottery.metric import Metric
from tfticket.lottery.over_seeds.verdicts import Verdicts
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.estimate import Estimate
from tfticket.report.expectation import POINTS, TIMES, Expectation, Measured, Unit, check, counted
from tfticket.report.reading import DENSE, RunFiles, read_run
from tfticket.studies.lottery.schema import control_levels

_MEASURES = {
    "speedup": ("times as fast as {against}", TIMES),
    "early_stop_speedup": ("early stop, times as soon as {against}", TIMES),
    "smallest_density": ("smallest density as accurate as {against}", Unit(words.percent)),
}
"""Measure of an expectation to its words and its unit, but for those in the unit of the metric."""
# A level whose density differs from the claim's by more than this factor measures something else.
_NEAR = 1.3


@dataclass(frozen=True)
class Summary(BaseSummary, Verdicts):
    """The levels and verdicts of a run, as far as it is finished."""

    @property
    def confidence(self) -> float:
        """Coverage of the intervals at this look at the data."""
        return self.criteria.interval_confidence

    @property
    def _good(self) -> str:
        return "accurate" if self.metric.is_accuracy else "good"

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        last = int(self.files.table("lottery").get("levels", 0))
        controls = dict(self.files.table("controls"))
        asked = {DENSE[0]: set(range(last + 1))} if last else {}
        levels = set(control_levels(controls.pop("levels", None), last)) if last else set()
        asked |= {name: levels for name, wanted in controls.items() if wanted}
        done = {
            (level.branch, seed, level.level) for level in self.levels for seed in level.outcomes
        }
        lacking = {
            f"{branch}, seed {seed}": [n for n in levels if (branch, seed, n) not in done]
            for branch, levels in asked.items()
            for seed in self.files.seeds
        }
        return unfinished(self.files, lacking, noun="level", more="searches")

    @property
    def headline(self) -> str:
        """The result in a sentence or two."""
        return " ".join([self.sentence, *counted(self.expectations)])

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations, each read at the level of the density that it names."""
        return check(self.files.expect, self.measure)

    def _words(self, measure: str) -> tuple[str, Unit]:
        metric = self.metric
        if measure == "gain":
            text = metric.against("{against}")
            text = f"test {text}" if metric.direction == "max" else text
            return text, POINTS if metric.is_share else Unit(metric.say_gain, neutral=0.0)
        if measure in ("accuracy", "metric"):
            return f"test {metric.label}", Unit(metric.say)
        return _MEASURES[measure]

    def measure(self, table: Mapping[str, Any]) -> Measured:
        """Return what came of one table of `[[expect]]`."""
        branch, against = str(table.get("branch", "ticket")), str(table.get("against", "dense"))
        text, unit = self._words(table["measure"])
        about = text.format(against=against)
        about = about if branch == "ticket" else f"{branch}: {about}"
        if table["measure"] == "smallest_density":
            about = about.replace("as accurate as", f"as {self._good} as")
            return self._smallest_density(about, unit, branch, against, table.get("value"))
        density = table.get("density")
        levels = [self.dense] if branch == "dense" else self.branch(branch)
        finished = [level for level in levels if level is not None]
        if not finished:
            return Measured(None, about, unit, remark=f"no finished {branch} network")
        wanted = density or finished[-1].density
        level = min(finished, key=lambda level: abs(math.log(level.density / wanted)))
        if abs(math.log(level.density / wanted)) > math.log(_NEAR):
            near = f"the nearest level has {words.percent(level.density)}"
            return Measured(None, about, unit, remark=near)
        at = f"at {words.percent(level.density)} of the weights"
        if table["measure"] in ("accuracy", "metric"):
            return Measured(level.value, about, unit, at)
        found = self.compare(level, against)
        if found is None:
            return Measured(None, about, unit, remark=f"no {against} network to compare with")
        return Measured(Estimate.of_comparison(getattr(found, table["measure"])), about, unit, at)

    def _smallest_density(
        self, about: str, unit: Unit, branch: str, against: str, value: float | None
    ) -> Measured:
        """The lowest density with a mean gain of 0 or more, as one reads it off a figure."""
        compared = {
            level.density: found.gain
            for level in self.branch(branch)
            if level.level > 0 and (found := self.compare(level, against)) is not None
        }
        if not compared:
            return Measured(
                None, about, unit, remark=f"no {branch} and {against} networks to compare"
            )
        seeds = max(gain.seeds for gain in compared.values())
        density = min((d for d, gain in compared.items() if gain.mean >= 0), default=None)
        if density is None:
            return Measured(
                Estimate.of_point(1.0, seeds),
                about,
                unit,
                beside_paper="not as sparse",
                remark=f"no {branch} network is as {self._good}",
            )
        said = "as sparse or sparser" if value and density <= _NEAR * value else "not as sparse"
        if density == min(compared) and (value is None or density > _NEAR * value):
            said = "as far as this run went"
        return Measured(
            Estimate.of_point(density, compared[density].seeds), about, unit, beside_paper=said
        )

    def results(self) -> dict[str, Any]:
        """See `Summary`."""
        return self.verdicts_to_dict()


def summarize(run: str | Path) -> Summary:
    """Summarize a run directory, finished or not.

    Args:
        run: The run directory.

    Raises:
        RunError: It is no run directory, or one of its files can't be read.
    """
    return summarize_files(read_run(run))


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read already."""
    usual, verdict = Criteria(), files.table("verdict")
    data = files.environment.get("data", {})
    metric = Metric.of(str(verdict.get("metric", "accuracy")), verdict.get("direction"))
    examples = data.get("test") if metric.is_accuracy and not data.get("segmentation") else None
    criteria = Criteria(
        margin=verdict.get("margin", usual.margin),
        time_margin=verdict.get("time_margin", usual.time_margin),
        confidence=verdict.get("confidence", usual.confidence),
        looks=max(1, len(files.environment.get("looks") or ())),
        accuracy_resolution=1 / examples if examples else 0.0,
        metric=metric,
        margin_is=verdict.get("margin_is", usual.margin_is),
    )
    rewound = files.table("lottery").get("rewind", "weights") == "weights"
    return Summary.of(files.results, files.curves, criteria=criteria, rewound=rewound, files=files)
