"""The numbers of a run of the kind `noisy`: each method against cross-entropy, over seeds.

The accuracy of a training is that on the clean test data, the mean of both networks and of the last
evaluations. Its best value along training is nowhere, since the test data would have chosen it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tfticket.errors import RunError
from tfticket.lottery.comparison import Interval, t_interval
from tfticket.report import words
from tfticket.report.reading import RunFiles
from tfticket.report.spread import Spread

BASELINE = "cross_entropy"
CONFIDENCE = 0.95
ACCURACY = "accuracy_last"


@dataclass(frozen=True)
class Training:
    """One method under one noise.

    Attributes:
        branch: Its name in the run.
        noise: What its noise is called.
        method: What its method is called.
        kind: The method's own name.
        measures: Name to spread over seeds, of the splits `test` and `summary`.
        gain: Accuracy minus that of cross-entropy under the same noise, paired by seed; None
            without a common seed, and for cross-entropy.
    """

    branch: str
    noise: str
    method: str
    kind: str
    measures: dict[str, Spread]
    gain: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.branch,
            "noise": self.noise,
            "method": self.method,
            "kind": self.kind,
            "gain": None if self.gain is None else self.gain.to_dict(),
            "measures": {name: found.to_dict() for name, found in self.measures.items()},
        }


@dataclass(frozen=True)
class Summary:
    """What a run came to, as far as it is finished.

    Attributes:
        name: Name of the recipe.
        title: Its title.
        run: Name of the run.
        complete: Whether the run is finished.
        missing: What isn't there yet, a sentence each.
        trainings: Those with a finished seed, in the order of the recipe.
    """

    name: str
    title: str
    run: str
    complete: bool
    missing: tuple[str, ...]
    trainings: tuple[Training, ...]

    @property
    def headline(self) -> str:
        """Which method is best under each noise, and whether cross-entropy is."""
        noises = dict.fromkeys(found.noise for found in self.trainings)
        said = " ".join(filter(None, map(self._sentence, noises)))
        if self.trainings and not said:
            return "Held-out predictions were compared with theory."
        return said or "Nothing is trained yet."

    def _sentence(self, noise: str) -> str:
        trained = [t for t in self.trainings if t.noise == noise and ACCURACY in t.measures]
        if not trained:
            return ""
        best = max(trained, key=lambda found: found.measures[ACCURACY].mean)
        accuracy = words.percent(best.measures[ACCURACY].mean)
        said = f"{noise}: {best.method} is best, with {accuracy} test accuracy"
        if best.kind == BASELINE:
            return f"{said}: plain cross-entropy wins." if len(trained) > 1 else f"{said}."
        if best.gain is None:
            return f"{said}."
        gain = f"{words.points(best.gain.mean)} points to cross-entropy"
        if best.gain.seeds > 1 and best.gain.lower <= 0:
            return f"{said}, {gain}, but seeds can't tell them apart."
        return f"{said}, {gain}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        return {
            "recipe": self.name,
            "kind": "noisy",
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "confidence": CONFIDENCE,
            "trainings": [found.to_dict() for found in self.trainings],
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarizes a run that has been read, finished or not.

    Raises:
        RunError: when its list of trainings is damaged.
    """
    cells = _cells(files)
    baselines = {
        cell["noise"]: _values(files, cell["branch"]).get(ACCURACY, {})
        for cell in cells
        if cell["method_kind"] == BASELINE
    }
    trainings = []
    for cell in cells:
        found = _values(files, cell["branch"])
        if found:
            trainings.append(_training(cell, found, baselines.get(cell["noise"], {})))
    seeds = [int(seed) for seed in files.recipe.get("seeds") or ()]
    done = len(files.results)
    asked = len(cells) * len(seeds)
    missing = () if files.complete else (f"{done} of {asked} trainings are finished.",)
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=missing,
        trainings=tuple(trainings),
    )


def _training(
    cell: dict[str, Any], found: dict[str, dict[int, float]], baseline: dict[int, float]
) -> Training:
    accuracy = found.get(ACCURACY, {})
    common = sorted(accuracy.keys() & baseline.keys())
    gain = None
    if common and cell["method_kind"] != BASELINE:
        gain = _interval([accuracy[seed] - baseline[seed] for seed in common])
    return Training(
        branch=cell["branch"],
        noise=cell["noise"],
        method=cell["method"],
        kind=cell["method_kind"],
        measures={
            name: Spread(values, _interval(list(values.values()))) for name, values in found.items()
        },
        gain=gain,
    )


def _interval(values: list[float]) -> Interval:
    return t_interval(values, confidence=CONFIDENCE)


def _values(files: RunFiles, branch: str) -> dict[str, dict[int, float]]:
    """Measure to seed to value."""
    found: dict[str, dict[int, float]] = {}
    for (seed, name, _), measures in sorted(files.results.items()):
        if name == branch:
            for measure, (_, value) in measures.items():
                found.setdefault(measure, {})[seed] = value
    return found


def _cells(files: RunFiles) -> list[dict[str, Any]]:
    path = files.path / "cells.json"
    if not path.is_file():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"`{path}` must list the trainings of the run: {error!r}.") from error
