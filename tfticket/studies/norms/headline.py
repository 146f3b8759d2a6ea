"""The result of a study in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.display import words
from tfticket.display.words import listed
from tfticket.report.estimate import Estimate
from tfticket.report.expectation import Expectation, counted
from tfticket.studies.norms.names import bounds, during, norm, times
from tfticket.studies.norms.results import BatchLoss, Contrast

_APART = 3.0
_BANDS = {"predictiveness": "gradient-predictiveness band", "loss_band": "loss band"}


def headline(
    norms: Sequence[Contrast],
    subnetworks: Sequence[Contrast],
    batch_losses: Sequence[BatchLoss],
    expectations: Sequence[Expectation],
    *,
    first: float,
    trained: bool,
    memorization: Sequence[str] = (),
) -> str:
    """Say what was measured, on how many seeds, and what isn't significant.

    Args:
        norms: Each normalization against its baseline, the most important condition first.
        subnetworks: Tickets and random subnetworks against their dense network.
        batch_losses: What smaller batches cost.
        expectations: Those of the recipe.
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
        *counted(expectations),
    ]
    return " ".join(sentences) or "Nothing that could be compared is finished yet."


def _main(norms: Sequence[Contrast], *names: str) -> Contrast | None:
    """The contrast to speak of: batch norm's if it has the measures, else the first that does."""
    able = [c for c in norms if c.condition.subnetwork == "dense" and set(names) & set(c.measures)]
    return next((c for c in able if c.condition.norm == "batch"), able[0] if able else None)


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
        return f"With {norm(main.condition.label)} instead of none,"
    return f"With {norm(main.condition.label)}, against {norm(main.against.label)},"


def _uneven(main: Contrast) -> list[str]:
    """Remarks where another measure of the same band is far from the first."""
    remarks = (
        (
            "predictiveness",
            "predictiveness_median",
            "A few moments rule that mean: in its median width, the band is",
        ),
        (
            "loss_band",
            "loss_width",
            "The loss band is measured relative to the loss: in units of the loss, it is",
        ),
    )
    known = main.measures
    return [
        f"{remark} {_width(known[other])}."
        for name, other, remark in remarks
        if name in known
        and other in known
        and not 1 / _APART < known[name].mean / known[other].mean < _APART
    ]


def band(name: str, ratio: Estimate) -> str:
    """`the loss band is 3.2 times narrower (2.1 to 4.9)`, or that this is not significant."""
    return f"the {name} is {_width(ratio)}"


def _width(ratio: Estimate) -> str:
    """`3.2 times narrower (2.1 to 4.9)`; of a single seed without an interval."""
    if ratio.includes(1):
        mean = words.factor(ratio.mean).removesuffix(words.TIMES)
        return f"not significantly narrower or wider ({mean} times, {bounds(ratio)})"
    word = "narrower" if ratio.mean >= 1 else "wider"
    interval = f" ({bounds(ratio, inverse=ratio.mean < 1)})" if ratio.seeds > 1 else ""
    return f"{times(ratio.mean)} {word}{interval}"


def difference(gain: Estimate) -> str:
    """`3.10 points higher (+2.2 to +4.0)`, `not significantly different (...)`."""
    said = f"{words.size_in_points(gain.mean)} {'higher' if gain.mean >= 0 else 'lower'}"
    if gain.seeds < 2:
        return f"{said} in the only seed"
    interval = words.interval(gain, words.points)
    if gain.includes(0):
        return f"not significantly different ({words.points(gain.mean)} points, {interval})"
    return f"{said} ({interval})"


def _accuracy(norms: Sequence[Contrast]) -> list[str]:
    main = _main(norms, "accuracy")
    if main is None or "accuracy" not in main.measures:
        return []
    said = f"test accuracy is {difference(main.measures['accuracy'])}."
    told = _main(norms, *_BANDS) is not None
    return [f"Its {said}" if told else f"{_sides(main)} the {said}"]


def _batches(losses: Sequence[BatchLoss]) -> list[str]:
    """Say how the accuracy of each norm changes from its largest to its smallest batch."""
    smallest = {loss.label: loss for loss in losses}
    if not smallest:
        return []
    one = max(smallest.values(), key=lambda loss: loss.largest)
    names = {
        label: ("without normalization" if label == "none" else f"with {norm(label)}")
        + ("" if loss.largest == one.largest else f" from {loss.largest}")
        for label, loss in smallest.items()
    }
    said = [
        f"by {_change(loss.drop.reverse())} {names[label]}"
        for label, loss in smallest.items()
        if not loss.drop.includes(0)
    ]
    unknown = [names[label] for label, loss in smallest.items() if loss.drop.includes(0)]
    if unknown:
        said.append(f"not significantly {listed(unknown)}")
    seeds = words.plural(max(loss.drop.seeds for loss in smallest.values()), "seed")
    sentences = [
        f"From batches of {one.largest} to batches of {one.batch_size}, test accuracy changes "
        f"{'; '.join(said)} ({seeds})."
    ]
    batch = smallest.get("batch")
    if batch is not None and batch.mismatch is not None and batch.drop.mean > 0:
        won = f"{words.points(batch.mismatch.mean)} points"
        sentences.append(f"With statistics taken again, batch norm's accuracy changes by {won}.")
    return sentences


def _change(found: Estimate) -> str:
    """`+1.20 points (+0.90 to +1.50)`."""
    interval = f" ({words.interval(found, words.points)})" if found.seeds > 1 else ""
    return f"{words.points(found.mean)} points{interval}"


def _subnetworks(subnetworks: Sequence[Contrast], first: float) -> list[str]:
    """The ticket's smoothness against its dense network, for each normalization."""
    said = [
        f"{_width(contrast.measures['predictiveness'])} with {norm(contrast.condition.label)}"
        for contrast in subnetworks
        if contrast.condition.subnetwork == "ticket" and "predictiveness" in contrast.measures
    ]
    if not said:
        return []
    return [
        f"Against its dense network, the ticket's gradient-predictiveness band is {listed(said)}, "
        f"{during(first)}."
    ]
