"""Coverage of the interval of a noise rate, by the family of the noise.

    python benchmarks/noise_coverage.py --draws 200

Each draw makes some labels wrong, teaches a learner the wrong labels, and estimates the rate from
its held-out predictions. Rates, matrices and classes are drawn anew each time, and data and learner
change from draw to draw. What is counted: how many estimates were called identifiable, and how many
of these hold the share of labels that really were made wrong. Needs no downloads; 200 draws a
family take some minutes.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfticket.noise import NoiseEstimate, estimate_noise, instance_dependent
from tfticket.noise.incv.rule import deal

FOLDS = 2
_MOST_WRONG = 0.9  # of what would make a wrong label as frequent as the right one
_HUMAN_RATES = (0.28, 0.51)  # by class, as people's labels of CIFAR-10 at their worst


@dataclass(frozen=True, eq=False)
class Data:
    """Examples with true labels, and the predictions of a weak learner.

    Attributes:
        x: Examples, shape (n, columns).
        y: True labels, shape (n,).
        looks: Softened out-of-sample probabilities of a learner of the true labels, shape (n, k).
    """

    x: np.ndarray
    y: np.ndarray
    looks: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int(self.looks.shape[1])

    def confusion(self) -> np.ndarray:
        """Return how classes look like each other, shape (k, k): rows sum to 1, diagonal 0."""
        rows = [self.looks[self.y == label].mean(0) for label in range(self.num_classes)]
        seen: np.ndarray = np.array(rows)
        np.fill_diagonal(seen, 0)
        seen /= seen.sum(axis=1, keepdims=True)
        return seen


Family = Callable[[Data, np.random.Generator], np.ndarray]


def clean(data: Data, rng: np.random.Generator) -> np.ndarray:
    """No label is wrong."""
    return data.y.copy()


def symmetric(data: Data, rng: np.random.Generator) -> np.ndarray:
    """Every wrong label is as likely as any other; 3 to 60 %, and 40 % of two classes."""
    k = data.num_classes
    rate = min(rng.uniform(0.03, 0.6), 0.8 * (k - 1) / k)
    return _drawn(np.full(k, rate), _evenly(k), data.y, rng)


def pair(data: Data, rng: np.random.Generator) -> np.ndarray:
    """The next class; 3 to 40 %."""
    k = data.num_classes
    return _drawn(np.full(k, rng.uniform(0.03, 0.4)), np.roll(np.eye(k), 1, axis=1), data.y, rng)


def class_dependent(data: Data, rng: np.random.Generator) -> np.ndarray:
    """A random transition matrix: rates differ by class, and so does where labels go."""
    k = data.num_classes
    targets = np.zeros((k, k))
    away = rng.dirichlet(np.full(k - 1, rng.choice([0.3, 1.0, 3.0])), size=k)
    targets[~np.eye(k, dtype=bool)] = away.ravel()
    return _drawn(rng.uniform(0, 2 * rng.uniform(0.03, 0.3), k), targets, data.y, rng)


def concentrated(data: Data, rng: np.random.Generator) -> np.ndarray:
    """10 to 50 % in some of the classes, to any other class or to a single one; else none."""
    k = data.num_classes
    targets = _evenly(k)
    if rng.random() < 0.4:
        targets = np.eye(k)[(np.arange(k) + rng.integers(1, k, k)) % k]
    rates = np.zeros(k)
    rates[rng.permutation(k)[: rng.integers(1, max(2, k // 2 + 1))]] = rng.uniform(0.1, 0.5)
    return _drawn(rates, targets, data.y, rng)


def look_alike(data: Data, rng: np.random.Generator) -> np.ndarray:
    """Labels go where a learner's own mistakes go, at rates that differ by class."""
    rates = rng.uniform(0, 2 * rng.uniform(0.03, 0.3), data.num_classes)
    return _drawn(rates, data.confusion(), data.y, rng)


def instance(data: Data, rng: np.random.Generator) -> np.ndarray:
    """Part-dependent noise (Xia et al. 2020, algorithm 2); 5 to 40 %."""
    seed, rate = int(rng.integers(2**31)), rng.uniform(0.05, 0.4)
    made = instance_dependent(data.x, data.y, num_classes=data.num_classes, rate=rate, seed=seed)
    return made.given


def ambiguous(data: Data, rng: np.random.Generator) -> np.ndarray:
    """The more an example looks like other classes the likelier wrong; to those or to any."""
    steep, rate = rng.uniform(1, 4), rng.uniform(0.03, 0.3)
    flip = rng.random(len(data.y)) < np.minimum(rate * (1 + steep) * _ambiguity(data) ** steep, 0.6)
    looks = data.looks if rng.random() < 0.5 else np.full_like(data.looks, 1.0)
    return _flipped(data.y, flip, looks, rng)


def human_like(data: Data, rng: np.random.Generator) -> np.ndarray:
    """28 to 51 % by class, more of ambiguous examples, mostly to what they look like."""
    rates = rng.uniform(*_HUMAN_RATES, data.num_classes)[data.y]
    more = rng.uniform(0, 0.8) * (2 * _ambiguity(data) - 1)
    flip = rng.random(len(data.y)) < np.clip(rates * (1 + more), 0, 0.75)
    return _flipped(data.y, flip, 0.9 * data.looks + 0.1 / data.num_classes, rng)


FAMILIES: dict[str, Family] = {
    "clean": clean,
    "symmetric": symmetric,
    "pair": pair,
    "class-dependent": class_dependent,
    "concentrated": concentrated,
    "look-alike": look_alike,
    "instance-dependent": instance,
    "ambiguous": ambiguous,
    "human-like": human_like,
}


def _reduced(columns: int) -> PCA:
    return PCA(columns, random_state=0)


LEARNERS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200)),
    "quadratic": lambda: make_pipeline(_reduced(25), QuadraticDiscriminantAnalysis(reg_param=0.1)),
    "linear": LinearDiscriminantAnalysis,
    "bayes": lambda: GaussianNB(var_smoothing=1e-2),
    "neighbors": lambda: KNeighborsClassifier(10),
    "forest": lambda: RandomForestClassifier(60, random_state=0),
    "network": lambda: MLPClassifier((64,), max_iter=40, batch_size=64, random_state=0),
    "underfit": lambda: make_pipeline(_reduced(6), GaussianNB()),
    "untrained": lambda: MLPClassifier((32,), max_iter=4, batch_size=32, random_state=0),
}
SETTINGS = (
    ("digits", "logistic"),
    ("digits", "quadratic"),
    ("digits", "bayes"),
    ("digits", "neighbors"),
    ("digits", "forest"),
    ("digits", "network"),
    ("digits", "underfit"),
    ("400 digits", "logistic"),
    ("400 digits", "untrained"),
    ("wine", "linear"),
    ("cancer", "logistic"),
    ("embeddings", "linear"),
)
"""Data and learner of each draw, in turn: good ones, weak ones, one that hasn't learned."""


class Draw(NamedTuple):
    """An estimate and the truth."""

    family: str
    data: str
    learner: str
    true: float
    estimate: NoiseEstimate

    @property
    def held(self) -> bool:
        """The interval holds the true rate."""
        return self.estimate.low <= self.true <= self.estimate.high


@dataclass(frozen=True)
class Coverage:
    """Result of the draws of a family.

    Attributes:
        family: Its name.
        draws: Number of draws.
        identifiable: Number of estimates called identifiable.
        held: Number of these that hold the true rate.
        width: Median width of these intervals; NaN without any.
        wrong_clean: Number of draws called clean with more than 5 % wrong labels.
    """

    family: str
    draws: int
    identifiable: int
    held: int
    width: float
    wrong_clean: int

    @property
    def share(self) -> float:
        """Share held of those called identifiable; NaN without any."""
        return self.held / self.identifiable if self.identifiable else float("nan")


def draw(family: str, data: str, learner: str, *, seed: int) -> Draw:
    """Corrupt labels, train a learner on them, estimate the noise rate."""
    examples = load(data)
    rng = np.random.default_rng([seed, *family.encode()])
    given = FAMILIES[family](examples, rng)
    rows, folds = held_out(learner, examples.x, given, examples.num_classes, seed=seed)
    estimate = estimate_noise(given, rows, folds=folds)
    return Draw(family, data, learner, float(np.mean(given != examples.y)), estimate)


def covered(draws: list[Draw]) -> Coverage:
    """Count the draws of one family."""
    known = [one for one in draws if one.estimate.identifiable]
    widths = [one.estimate.high - one.estimate.low for one in known]
    return Coverage(
        family=draws[0].family,
        draws=len(draws),
        identifiable=len(known),
        held=sum(one.held for one in known),
        width=float(np.median(widths)) if widths else float("nan"),
        wrong_clean=sum(one.estimate.kind == "clean" and one.true > 0.05 for one in draws),
    )


@functools.cache
def load(name: str) -> Data:
    """Load data by name."""
    if name == "embeddings":
        rng = np.random.default_rng(0)
        y = np.repeat(np.arange(50), 30)
        x = rng.normal(size=(50, 64))[y] + rng.normal(size=(len(y), 64))
    else:
        found = {"wine": load_wine, "cancer": load_breast_cancer}.get(name, load_digits)()
        x, y = found.data / found.data.std(axis=0).clip(1e-3), found.target
    if name == "400 digits":
        part = np.random.default_rng(0).permutation(len(y))[:400]
        x, y = x[part], y[part]
    rows, _ = held_out("linear", x, y, int(y.max()) + 1, seed=0, folds=5)
    looks = np.sqrt(np.maximum(rows, 1e-9))
    return Data(x, y, looks / looks.sum(axis=1, keepdims=True))


def held_out(
    learner: str, x: np.ndarray, y: np.ndarray, num_classes: int, *, seed: int, folds: int = FOLDS
) -> tuple[np.ndarray, np.ndarray]:
    """Return out-of-sample probabilities, shape (n, k), and folds, shape (n,)."""
    dealt = deal(np.arange(len(y)), y, folds=folds, seed=seed, iteration=0)
    rows = np.zeros((len(y), num_classes))
    for fold in range(folds):
        train, asked = dealt != fold, np.flatnonzero(dealt == fold)
        with warnings.catch_warnings():  # of few steps, and of columns that tell the same
            warnings.simplefilter("ignore")
            made = LEARNERS[learner]().fit(x[train], y[train])
            rows[np.ix_(asked, made.classes_)] = made.predict_proba(x[asked])
    return rows, dealt


def _evenly(num_classes: int) -> np.ndarray:
    return (1 - np.eye(num_classes)) / (num_classes - 1)


def _drawn(
    rates: np.ndarray, targets: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Flip each label at the rate of its class, to where the row of its class says.

    Rates are cut where a wrong label would be as frequent as the right one: what is right then
    couldn't be told by anybody.
    """
    rates = np.minimum(rates, _MOST_WRONG / (1 + targets.max(axis=1)))
    return _flipped(y, rng.random(len(y)) < rates[y], targets[y], rng)


def _flipped(
    y: np.ndarray, flip: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    given = y.copy()
    away = weights[flip].copy()
    away[np.arange(len(away)), y[flip]] = 0
    bounds = np.cumsum(away, axis=1)
    aim = rng.random(len(away)) * bounds[:, -1]
    given[flip] = (bounds <= aim[:, None]).sum(axis=1)
    return given


def _ambiguity(data: Data) -> np.ndarray:
    """Rank of each example by how little it looks like its class, in [0, 1)."""
    unlike = 1 - data.looks[np.arange(len(data.y)), data.y]
    return np.argsort(np.argsort(unlike)) / len(unlike)


def main(arguments: list[str] | None = None) -> None:
    """Print coverage by family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="of each family")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this one")
    parser.add_argument("--learner", choices=LEARNERS, help="only this one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    settings = [each for each in SETTINGS if asked.learner in (None, each[1])]
    found = []
    for family in asked.family or FAMILIES:
        draws = [
            draw(family, *settings[seed % len(settings)], seed=seed) for seed in range(asked.draws)
        ]
        found.append(covered(draws))
        if not asked.json:
            print(_line(found[-1]), flush=True)
    if asked.json:
        json.dump([{**asdict(each), "share": each.share} for each in found], sys.stdout, indent=1)


def _line(coverage: Coverage) -> str:
    return (
        f"{coverage.family:20} {coverage.draws:5} draws, {coverage.identifiable:5} identifiable, "
        f"{coverage.held:5} held ({100 * coverage.share:5.1f} %), median width "
        f"{100 * coverage.width:4.1f} points, called clean though wrong: {coverage.wrong_clean}"
    )


if __name__ == "__main__":
    main()
