"""Which detector of wrong labels is best, on which data and under which noise.

    python -m benchmarks.detectors --out runs/detectors --seeds 3

Detectors rank the same labels: `tfticket noise clean` as it is by default, the votes of INCV, the
margins of `MarginAudit` in one training on all labels, and cleanlab's scores on the very
predictions that the default made. They are compared by average precision, and by the share of the
wrong labels that are missed when as many labels are looked at as are wrong (arXiv:2510.16211). On
clean labels, what counts is how many are accused. Each result of a seed is a file in the folder, so
that a run that was stopped goes on; `detectors.json` holds them all with their intervals.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, make_classification

from tfticket.files import write_json
from tfticket.noise import (
    CleanSplit,
    LabeledData,
    LabelIssues,
    Network,
    TransitionMatrix,
    audit_labels,
    human_like,
    pair,
    symmetric,
)
from tfticket.quiet import start_tensorflow
from tfticket.report.estimate import Estimate

RATE = 0.2
_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 400, 4, 20  # of the training that margins are taken of
_CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
DEFAULT = "tfticket"

Ranked = tuple[np.ndarray, np.ndarray]
"""Issue scores, shape (n,), and which labels are issues, shape (n,), bool."""


def _table(folder: Path) -> str:
    x, y = make_classification(
        2000, 20, n_informative=10, n_redundant=0, n_classes=4, n_clusters_per_class=2,
        class_sep=1.5, flip_y=0, random_state=0,
    )  # fmt: skip
    return _saved(folder / "table.npz", x, y)


def _cancer(folder: Path) -> str:
    bunch = load_breast_cancer()
    return _saved(folder / "cancer.npz", bunch.data, bunch.target)


def _embeddings(folder: Path) -> str:
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(100), 30))
    x = rng.normal(size=(100, 128))[y] + 1.5 * rng.normal(size=(len(y), 128))
    return _saved(folder / "embeddings.npz", x / np.linalg.norm(x, axis=1, keepdims=True), y)


def _saved(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        np.savez(path, x=x.astype(np.float32), y=y)
    return f"npz:{path}"


DATA: dict[str, tuple[Callable[[Path], str], int | None]] = {
    "digits": (lambda folder: "digits", None),
    "mnist": (lambda folder: "mnist", 3000),
    "table": (_table, None),
    "cancer": (_cancer, None),
    "embeddings": (_embeddings, None),
}
"""Makes the name of each data set in a folder, and the number of examples that are used."""


def class_dependent(labeled: LabeledData, seed: int) -> LabeledData:
    """Half of the classes, 40 % of each, mostly to a single other one."""
    k, rng = labeled.data.num_classes, np.random.default_rng(seed)
    matrix = np.eye(k)
    for label in rng.permutation(k)[: max(1, k // 2)]:
        other = (label + rng.integers(1, k)) % k
        matrix[label] = 0.08 / k
        matrix[label, other] += 0.32
        matrix[label, label] += 0.6
    return labeled.corrupted(TransitionMatrix(matrix), seed=seed)


NOISE: dict[str, Callable[[LabeledData, int], LabeledData]] = {
    "symmetric": lambda d, s: d.corrupted(symmetric(d.data.num_classes, RATE), seed=s),
    "pair": lambda d, s: d.corrupted(pair(d.data.num_classes, RATE), seed=s),
    "class-dependent": class_dependent,
    "look-alike": lambda d, s: d.corrupted_by_looks(RATE, seed=s, draw=human_like),
    "instance-dependent": lambda d, s: d.corrupted_by_looks(RATE, seed=s),
    "clean": lambda d, s: d.corrupted(symmetric(d.data.num_classes, 0.0), seed=s),
}


def by_votes(split: CleanSplit) -> Ranked:
    """Rank by INCV: removed ones first, then candidates, then those that were found clean."""
    rank = np.zeros(len(split))
    rank[split.candidate], rank[split.removed] = 1, 2
    own = split.probabilities[np.arange(len(split)), split.labels]
    return rank + (1 - own) / 2, rank > 0


def by_margins(labeled: LabeledData, *, seed: int) -> Ranked:
    """Rank by the logit margins of one network in its training on all labels."""
    import keras

    from tfticket.noise import MarginAudit

    network = Network(batch_size=min(128, max(16, len(labeled) // 40)))
    model = network.build(labeled, seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(network.learning_rate), loss)
    steps = max(1, len(labeled) // network.batch_size)
    audit = MarginAudit(len(labeled))
    model.fit(
        labeled.inputs(),
        {"given": labeled.given, "id": np.arange(len(labeled))},
        batch_size=network.batch_size,
        epochs=int(np.clip(_STEPS // steps, _FEWEST_EPOCHS, _MOST_EPOCHS)),
        callbacks=[audit],
        verbose=0,
    )
    return -audit.record.margin, audit.record.is_issue


def by_cleanlab(split: CleanSplit) -> dict[str, Ranked]:
    """Rank by cleanlab's scores of the same predictions; its issues are the same for all."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    issues = find_label_issues(split.labels, split.probabilities, n_jobs=1)
    return {
        f"cleanlab, {method.replace('_', ' ')}": (
            -get_label_quality_scores(split.labels, split.probabilities, method=method),
            issues,
        )
        for method in _CLEANLAB
    }


def by_default(issues: LabelIssues) -> Ranked:
    """Rank as `tfticket noise clean` does."""
    place = np.empty(len(issues.given))
    place[issues.ranking] = -np.arange(len(issues.given))
    return place, issues.is_issue


def detected(labeled: LabeledData, *, seed: int) -> dict[str, dict[str, float]]:
    """Let all detectors rank, and compare them with the truth."""
    assert labeled.corruption is not None
    wrong = labeled.corruption.changed
    begun = time.process_time()
    split = audit_labels(labeled, iterations=2, seed=seed)
    ranked = {DEFAULT: by_default(split.label_issues())}
    seconds = {DEFAULT: time.process_time() - begun}
    ranked["INCV's votes"] = by_votes(split)
    ranked |= by_cleanlab(split)
    begun = time.process_time()
    ranked["MarginAudit"] = by_margins(labeled, seed=seed)
    seconds["MarginAudit"] = time.process_time() - begun
    return {
        name: {**measured(wrong, *found), "seconds": seconds.get(name, float("nan"))}
        for name, found in ranked.items()
    }


def measured(wrong: np.ndarray, score: np.ndarray, is_issue: np.ndarray) -> dict[str, float]:
    """Compare a ranking with the truth.

    Args:
        wrong: Whether each label is wrong, shape (n,), bool.
        score: Issue scores, shape (n,).
        is_issue: Whether each label is called an issue, shape (n,), bool.
    """
    ordered = wrong[np.lexsort((np.arange(len(wrong)), -score))]
    count, found = int(wrong.sum()), int((wrong & is_issue).sum())
    nothing = float("nan")
    precisions = np.cumsum(ordered) / np.arange(1, len(wrong) + 1)
    return {
        "average_precision": float(precisions[ordered].mean()) if count else nothing,
        "missed": 1 - float(ordered[:count].mean()) if count else nothing,
        "precision": found / int(is_issue.sum()) if is_issue.any() else nothing,
        "recall": found / count if count else nothing,
        "accused": float(is_issue.mean()),
    }


def run(folder: Path, *, data: str, noise: str, seed: int) -> dict[str, dict[str, float]]:
    """Do one comparison, or read it where it is done."""
    path = folder / "cells" / f"{data}-{noise}-{seed}.json"
    if not path.exists():
        name, limit = DATA[data][0](folder / "data"), DATA[data][1]
        labeled = NOISE[noise](LabeledData.load(name, limit=limit), seed)
        found = detected(labeled, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
    read: dict[str, dict[str, float]] = json.loads(path.read_text())
    return read


def card(results: Mapping[tuple[str, str, int], Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Gather results by data, noise and detector, with means over seeds and their intervals."""
    gathered: dict[str, Any] = {}
    for (data, noise, seed), found in sorted(results.items()):
        for detector, values in found.items():
            place = gathered.setdefault(data, {}).setdefault(noise, {}).setdefault(detector, {})
            for name, value in values.items():
                if value is not None and np.isfinite(value):  # of nothing, there is no share
                    place.setdefault(name, {})[seed] = value
    for noises in gathered.values():
        for detectors in noises.values():
            for place in detectors.values():
                for name, by_seed in place.items():
                    estimate = Estimate.of(by_seed)
                    place[name] = {
                        "mean": estimate.mean,
                        "lower": estimate.lower,
                        "upper": estimate.upper,
                        "values": by_seed,
                    }
    return gathered


def markdown(gathered: Mapping[str, Any], measure: str, *, percent: bool = False) -> str:
    """Format one measure as a table, a row for each data set and noise; the best is bold."""
    detectors = sorted(
        {name for noises in gathered.values() for found in noises.values() for name in found},
        key=lambda name: (name != DEFAULT, name.startswith("cleanlab"), name),
    )
    lines = [
        "| data | noise | " + " | ".join(detectors) + " |",
        "| --- | --- |" + " --- |" * len(detectors),
    ]
    factor, digits = (100.0, 1) if percent else (1.0, 3)
    for data, noises in gathered.items():
        for noise, found in noises.items():
            means = {
                name: found[name][measure]["mean"]
                for name in detectors
                if measure in found.get(name, {})
            }
            if not means:
                continue
            best = (max if measure == "average_precision" else min)(means.values())
            cells = []
            for name in detectors:
                if name not in means:
                    cells.append("")
                    continue
                one = found[name][measure]
                half = factor * (one["upper"] - one["lower"]) / 2
                text = f"{factor * one['mean']:.{digits}f}"
                text = f"**{text}**" if round(one["mean"], 4) == round(best, 4) else text
                cells.append(f"{text} ± {half:.{digits}f}" if np.isfinite(half) else text)
            lines.append(f"| {data} | {noise} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run all comparisons that aren't done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", choices=DATA, action="append", help="only this one")
    parser.add_argument("--noise", choices=NOISE, action="append", help="only this one")
    asked = parser.parse_args(arguments)
    start_tensorflow()
    once = functools.partial(run, asked.out)
    results = {}
    for seed in range(asked.seeds):
        for data in asked.data or DATA:
            for noise in asked.noise or NOISE:
                results[data, noise, seed] = once(data=data, noise=noise, seed=seed)
                print(f"{data}, {noise}, seed {seed}", flush=True)
    gathered = card(results)
    write_json(asked.out / "detectors.json", gathered)
    for measure, percent in (("average_precision", False), ("missed", True), ("accused", True)):
        print(f"\n{measure}\n\n{markdown(gathered, measure, percent=percent)}")


if __name__ == "__main__":
    main()
