"""The result of a study in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.lottery.comparison import Interval
from tfticket.report import words
from tfticket.report.judging import counted
from tfticket.studies.norms.claims import CheckedClaim
from tfticket.studies.norms.names import bounds, during, listed, norm, times
from tfticket.studies.norms.results import BatchLoss, Contrast

_APART = 3.0
_BANDS = {"predictiveness": "gradient-predictiveness band", "loss_band": "loss band"}


def headline(
    norms: Sequence[Contrast],
    subnetworks: Sequence[Contrast],
    batch_losses: Sequence[BatchLoss],
    claims: Sequence[CheckedClaim],
    *,
    first: float,
    trained: bool,
    memorization: Sequence[str] = (),
) -> str:
    """Says what was measured, on how many seeds, and what can't be told.

    Args:
        norms: Each normalization against its baseline, the most important condition first.
        subnetworks: Tickets and random subnetworks against their dense network.
        batch_losses: What smaller batches cost.
        claims: The recipe's expectations.
        first: Share of training that the contrasts are about.
        trained: Whether any network is finished.
        memorization: What is to be said of wrong labels.
    """
    if not trained:
        return "No network is trained yet: there is nothing to tell."
    sentences = [
        *memorization,
        *_smoothness(norms, first),
        *_batches(batch_losses),
        *([] if batch_losses else _accuracy(norms)),
        *_subnetworks(subnetworks, first),
        *counted([claim.reading for claim in claims]),
    ]
    return " ".join(sentences) or "Nothing that could be compared is finished yet."


def _main(norms: Sequence[Contrast], *names: str) -> Contrast | None:
    """The contrast to speak of: batch norm's if it has the measures, else the first that does."""
    able = [c for c in norms if c.branch.subnetwork == "dense" and set(names) & set(c.measures)]
    return next((c for c in able if c.branch.norm == "batch"), able[0] if able else None)


def _smoothness(norms: Sequence[Contrast], first: float) -> list[str]:
    main = _main(norms, *_BANDS)
    if main is None:
        return []
    found = [(text, main.measures[name]) for name, text in _BANDS.items() if name in main.measures]
    said = [band(text, ratio) for text, ratio in found]
    start = _sides(main)
    seeds = words.plural(found[0][1].seeds, "seed")
    luck = ["One seed can't tell that from luck."] if found[0][1].seeds < 2 else []
    return [f"{start} {listed(said)} {during(first)} ({seeds}).", *_uneven(main), *luck]


def _sides(main: Contrast) -> str:
    if main.against.norm == "none":
        return f"With {norm(main.branch.label)} instead of none,"
    return f"With {norm(main.branch.label)}, against {norm(main.against.label)},"


def _uneven(main: Contrast) -> list[str]:
    """Remarks where another measure of the same band says something else."""
    remarks = []
    median = _apart(main, "predictiveness", "predictiveness_median")
    if median is not None:
        remarks.append(
            f"A few moments rule that mean: in its median width, the band is {_width(median)}."
        )
    width = _apart(main, "loss_band", "loss_width")
    if width is not None:
        remarks.append(
            "The loss band is measured relative to the loss: in units of the loss, it is "
            f"{_width(width)}."
        )
    return remarks


def _apart(main: Contrast, name: str, other: str) -> Interval | None:
    """The second measure if the two are far from each other."""
    first, second = main.measures.get(name), main.measures.get(other)
    if first is None or second is None or 1 / _APART < first.mean / second.mean < _APART:
        return None
    return second


def band(name: str, ratio: Interval) -> str:
    """`the loss band is 3.2 times narrower (2.1 to 4.9)`, or that it can't be told."""
    if ratio.seeds > 1 and ratio.lower <= 1 <= ratio.upper:
        return f"whether the {name} is narrower or wider can't be told ({_open(ratio)})"
    return f"the {name} is {_width(ratio)}"


def _width(ratio: Interval) -> str:
    """`3.2 times narrower (2.1 to 4.9)`; of a single seed without an interval."""
    if ratio.seeds > 1 and ratio.lower <= 1 <= ratio.upper:
        return f"not told apart ({_open(ratio)})"
    word = "narrower" if ratio.mean >= 1 else "wider"
    interval = f" ({bounds(ratio, inverse=ratio.mean < 1)})" if ratio.seeds > 1 else ""
    return f"{times(ratio.mean)} {word}{interval}"


def _open(ratio: Interval) -> str:
    return f"{words.factor(ratio.mean).removesuffix(words.TIMES)} times, {bounds(ratio)}"


def difference(gain: Interval) -> str:
    """`3.10 points higher (+2.2 to +4.0)`, `can't be told from ...`."""
    size = words.points(abs(gain.mean)).lstrip("+")
    word = "higher" if gain.mean >= 0 else "lower"
    if gain.seeds < 2:
        return f"{size} points {word} in the only seed"
    interval = words.points_interval(gain)
    if _is_open(gain):
        mean = words.points(gain.mean)
        return f"the same as far as these seeds tell (difference {mean} points, {interval})"
    return f"{size} points {word} ({interval})"


def _accuracy(norms: Sequence[Contrast]) -> list[str]:
    main = _main(norms, "accuracy")
    if main is None or "accuracy" not in main.measures:
        return []
    said = f"test accuracy is {difference(main.measures['accuracy'])}."
    told = _main(norms, *_BANDS) is not None
    return [f"Its {said}" if told else f"{_sides(main)} the {said}"]


def _batches(losses: Sequence[BatchLoss]) -> list[str]:
    """What each norm loses from its largest to its smallest batch."""
    smallest = {loss.label: loss for loss in losses}
    if not smallest:
        return []
    one = max(smallest.values(), key=lambda loss: loss.largest)
    names = {
        label: _network(label) + ("" if loss.largest == one.largest else f", from {loss.largest},")
        for label, loss in smallest.items()
    }
    said = [
        f"{names[label]} {_lost(loss.drop)}"
        for label, loss in smallest.items()
        if not _is_open(loss.drop)
    ]
    unknown = [names[label] for label, loss in smallest.items() if _is_open(loss.drop)]
    if unknown:
        said.append(f"for {listed(unknown)} no change of accuracy can be told")
    seeds = words.plural(max(loss.drop.seeds for loss in smallest.values()), "seed")
    sizes = f"From batches of {one.largest} to batches of {one.batch_size}"
    sentences = [f"{sizes}, {'; '.join(said)} ({seeds})."]
    batch = smallest.get("batch")
    if batch is not None and batch.mismatch is not None and batch.drop.mean > 0:
        won = f"{words.points(batch.mismatch.mean)} points"
        sentences.append(f"With statistics taken again, batch norm's accuracy changes by {won}.")
    return sentences


def _network(label: str) -> str:
    return "the network without normalization" if label == "none" else norm(label)


def _is_open(difference: Interval) -> bool:
    return difference.seeds > 1 and difference.lower <= 0 <= difference.upper


def _lost(drop: Interval) -> str:
    size = words.points(abs(drop.mean)).lstrip("+")
    verb = "loses" if drop.mean >= 0 else "gains"
    if drop.seeds < 2:
        return f"{verb} {size} points of test accuracy"
    low, high = (words.number(100 * x, 2) for x in sorted((abs(drop.lower), abs(drop.upper))))
    return f"{verb} {size} points of test accuracy ({low} to {high})"


def _subnetworks(subnetworks: Sequence[Contrast], first: float) -> list[str]:
    """The ticket's smoothness against its dense network, for each normalization."""
    said = [
        f"{_width(contrast.measures['predictiveness'])} with {norm(contrast.branch.label)}"
        for contrast in subnetworks
        if contrast.branch.subnetwork == "ticket" and "predictiveness" in contrast.measures
    ]
    if not said:
        return []
    return [
        f"Against its dense network, the ticket's gradient-predictiveness band is {listed(said)}, "
        f"{during(first)}."
    ]
