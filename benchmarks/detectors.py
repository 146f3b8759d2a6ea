"""Which detector of wrong labels is best, on which data and under which noise.

    python -m benchmarks.detectors --out runs/detectors --seeds 3
    python -m benchmarks.detectors --out runs/detectors --seeds 3 --learners

Detectors rank the same labels: `tfticket noise clean` as it is by default, the votes of INCV, the
margins of `MarginAudit` in one training on all labels, and cleanlab's scores on the very
predictions that the default made. They are compared by average precision, and by the share of the
wrong labels that are missed when as many labels are looked at as are wrong (arXiv:2510.16211). On
clean labels, what counts is how many are accused. The predictions of each seed are files in the
folder, so that a run that was stopped goes on, and another score takes no time to try;
`detectors.json` holds all results with their intervals. With `--learners`, each simple learner
predicts, whichever would be chosen: only the default and cleanlab are compared then, in pairs.
"""

from __future__ import annotations

import argparse
import dataclasses
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
    MarginRecord,
    Network,
    TransitionMatrix,
    audit_labels,
    human_like,
    pair,
    symmetric,
)
from tfticket.noise.incv.learners import LEARNERS, parts_of, predict_rows, with_mean
from tfticket.noise.incv.row_selection import FOLDS
from tfticket.noise.incv.rule import CrossValidation, Fold
from tfticket.quiet import start_tensorflow
from tfticket.report.estimate import Estimate
from tfticket.seeds import generator

RATE = 0.2
_REPEATS, _MOST_REPEATED = 3, 3000
_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 400, 4, 20  # of the training that margins are taken of
_ADJUSTED = "cleanlab, adjusted margin"
_CLEANLAB = {
    "cleanlab, self confidence": ("self_confidence", False),
    "cleanlab, normalized margin": ("normalized_margin", False),
    "cleanlab, confidence weighted entropy": ("confidence_weighted_entropy", False),
    _ADJUSTED: ("normalized_margin", True),
}
"""Scores of cleanlab: the method, and whether probabilities are adjusted by class."""
DEFAULT = "tfticket"
_SAME = 0.0005  # of average precisions

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
    "mnist": (lambda folder: "mnist", 10_000),
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


def margins_of(labeled: LabeledData, *, seed: int) -> MarginRecord:
    """The logit margins of one network in its training on all labels."""
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
    return audit.record


def by_cleanlab(split: CleanSplit) -> dict[str, Ranked]:
    """Rank by cleanlab's scores of the same predictions; its issues are the same for all."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    issues = find_label_issues(split.labels, split.probabilities, n_jobs=1)
    return {
        name: (
            -get_label_quality_scores(
                split.labels, split.probabilities, method=method, adjust_pred_probs=adjusted
            ),
            issues,
        )
        for name, (method, adjusted) in _CLEANLAB.items()
    }


def by_default(issues: LabelIssues) -> Ranked:
    """Rank as `tfticket noise clean` does."""
    place = np.empty(len(issues.given))
    place[issues.ranking] = -np.arange(len(issues.given))
    return place, issues.is_issue


def by_learner(labeled: LabeledData, learner: str, *, seed: int) -> CleanSplit:
    """Predict by one simple learner, whichever would be chosen."""
    x = labeled.data.train.x.reshape(len(labeled), -1).astype(np.float32)
    classes = labeled.data.num_classes
    repeats = _REPEATS if len(labeled) <= _MOST_REPEATED else 1
    validation = CrossValidation(labeled.given, classes, folds=FOLDS, repeats=repeats, seed=seed)

    def predict(fold: Fold) -> dict[str, np.ndarray]:
        found = predict_rows(
            x,
            labeled.given,
            num_classes=classes,
            train=fold.train,
            held_out=fold.held_out,
            rng=generator(seed, "rows", fold.iteration, fold.number, fold.repeat),
            image_shape=() if labeled.has_rows else labeled.data.input_shape,
            learners=parts_of(learner),
        )
        return {learner: with_mean(found)[learner]}

    return validation.run(predict, 1)


def detected(
    labeled: LabeledData, path: Path, *, seed: int, learner: str = ""
) -> dict[str, dict[str, float]]:
    """Let all detectors rank, and compare them with the truth.

    Args:
        labeled: The labels, whose truth is known.
        path: Where the predictions are kept, to which endings are added.
        seed: Random seed.
        learner: The simple learner that predicts, without `MarginAudit` then; empty for what
            `noise clean` does.
    """
    assert labeled.corruption is not None
    seconds = path.with_suffix(".json")
    if not seconds.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        spent, begun = {}, time.process_time()
        if learner:
            split = by_learner(labeled, learner, seed=seed)
        else:
            split = audit_labels(labeled, iterations=2, seed=seed)
        split.save(path.with_suffix(".split.npz"))
        spent[DEFAULT] = time.process_time() - begun
        if not learner:
            begun = time.process_time()
            margins_of(labeled, seed=seed).save(path.with_suffix(".margins.npz"))
            spent["MarginAudit"] = time.process_time() - begun
        write_json(seconds, spent)
    split = CleanSplit.load(path.with_suffix(".split.npz"))
    ranked = {DEFAULT: by_default(split.label_issues())}
    ranked |= {"INCV's votes": by_votes(split), **by_cleanlab(split)}
    if not learner:
        record = MarginRecord.load(path.with_suffix(".margins.npz"))
        ranked["MarginAudit"] = -record.margin, record.is_issue
    spent = json.loads(seconds.read_text())
    return {
        name: {
            **measured(labeled.corruption.changed, *found),
            "seconds": spent.get(name, float("nan")),
        }
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


def run(
    folder: Path, *, data: str, noise: str, seed: int, learner: str = ""
) -> dict[str, dict[str, float]]:
    """Do one comparison; its predictions are read where they were made before."""
    name, limit = DATA[data][0](folder / "data"), DATA[data][1]
    labeled = NOISE[noise](LabeledData.load(name, limit=limit), seed)
    path = folder / "predictions" / "-".join([data, noise, str(seed), *learner.split()])
    return detected(labeled, path, seed=seed, learner=learner)


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


@dataclasses.dataclass(frozen=True)
class Pair:
    """The default against cleanlab on the same predictions, for one data set, noise and learner.

    Attributes:
        best: Which of cleanlab's scores has the highest mean; it is chosen by the truth.
        gain: Average precision of the default less that of this score.
        adjusted: The same against probabilities that are adjusted by class.
        sets: Average precision less the highest of cleanlab's scores, of each seed by itself.
        recalls: Mean recall at the cut, of the default and of cleanlab.
        precisions: Mean precision there.
    """

    best: str
    gain: Estimate
    adjusted: Estimate
    sets: tuple[float, ...]
    recalls: tuple[float, float]
    precisions: tuple[float, float]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Pair:
        """Compare what `card` gathered of one data set and noise."""
        ours, scores = found[DEFAULT], [name for name in _CLEANLAB if name != _ADJUSTED]
        by_seed = {name: found[name]["average_precision"]["values"] for name in _CLEANLAB}
        own = ours["average_precision"]["values"]
        best = max(scores, key=lambda name: found[name]["average_precision"]["mean"])
        gains = [Estimate.of_difference(own, by_seed[name]) for name in (best, _ADJUSTED)]
        assert gains[0] is not None
        assert gains[1] is not None
        return cls(
            best=best.removeprefix("cleanlab, "),
            gain=gains[0],
            adjusted=gains[1],
            sets=tuple(own[seed] - max(by_seed[name][seed] for name in scores) for seed in own),
            recalls=(ours["recall"]["mean"], found[best]["recall"]["mean"]),
            precisions=(ours["precision"]["mean"], found[best]["precision"]["mean"]),
        )


def pairs(gathered: Mapping[str, Any]) -> str:
    """Format the comparison with cleanlab on the same predictions, and count what it says."""
    found = {
        (data, noise): Pair.of(one)
        for data, noises in gathered.items()
        for noise, one in noises.items()
        if "recall" in one[DEFAULT]  # without wrong labels, there is nothing to rank
    }
    lines = [
        "| data | noise | best of cleanlab | tfticket - best | tfticket - adjusted "
        "| recall: tfticket, cleanlab (%) | precision: tfticket, cleanlab (%) |",
        "| --- |" + " --- |" * 6,
    ]
    for (data, noise), pair_ in found.items():
        cells = [data, noise, pair_.best]
        for one in (pair_.gain, pair_.adjusted):
            half = (one.upper - one.lower) / 2
            cells.append(f"{one.mean:+.3f}" + (f" ± {half:.3f}" if np.isfinite(half) else ""))
        cells += [
            ", ".join(f"{100 * x:.0f}" for x in two) for two in (pair_.recalls, pair_.precisions)
        ]
        lines.append("| " + " | ".join(cells) + " |")
    sets = np.concatenate([one.sets for one in found.values()])
    below, adjusted = (
        sum(one.mean < -_SAME and one.upper < 0 for one in gains)
        for gains in zip(*((one.gain, one.adjusted) for one in found.values()), strict=True)
    )
    halved = sum(one.recalls[0] < one.recalls[1] / 2 for one in found.values())
    alike, worse = int((sets >= -_SAME).sum()), int((sets < -2 * _SAME).sum())
    return "\n".join(lines) + (
        f"\n\nOf {len(found)} cells, {below} are below the best of cleanlab's three scores by "
        f"more than the interval, {adjusted} below its margin of adjusted probabilities, and "
        f"{halved} have less than half of its recall. Of {len(sets)} sets of predictions, {alike} "
        f"are ranked as well as by the score that is best for that set, or better, and {worse} "
        f"worse by more than {2 * _SAME:g}, at most by {max(0.0, -sets.min()):.3f}; the mean is "
        f"{sets.mean():+.3f}."
    )


def main(arguments: list[str] | None = None) -> None:
    """Run all comparisons that aren't done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", choices=DATA, action="append", help="only this one")
    parser.add_argument("--noise", choices=NOISE, action="append", help="only this one")
    parser.add_argument(
        "--learners", action="store_true", help="predict by each simple learner, for cleanlab alone"
    )
    asked = parser.parse_args(arguments)
    start_tensorflow()
    learners = tuple(with_mean(dict.fromkeys(LEARNERS, np.zeros(1)))) if asked.learners else ("",)
    results = {}
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for data in asked.data or DATA:
            for noise in asked.noise or NOISE:
                for learner in learners:
                    found = run(asked.out, data=data, noise=noise, seed=seed, learner=learner)
                    results[data, f"{noise}, {learner}" if learner else noise, seed] = found
                print(f"{data}, {noise}, seed {seed}", flush=True)
    gathered = card(results)
    write_json(asked.out / ("learners.json" if asked.learners else "detectors.json"), gathered)
    if not asked.learners:
        for measure, percent in (("average_precision", False), ("missed", True), ("accused", True)):
            print(f"\n{measure}\n\n{markdown(gathered, measure, percent=percent)}")
    print(f"\nagainst cleanlab, by average precision\n\n{pairs(gathered)}")


if __name__ == "__main__":
    main()
