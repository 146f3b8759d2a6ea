"""The names of methods and kinds of noise, as a reader wants them, and how methods are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfticket.report import words
from tfticket.report.canvas import LIGHT

BASELINE = "cross_entropy"
METHODS = {
    "cross_entropy": "cross-entropy",
    "gce": "generalized cross-entropy",
    "forward": "forward correction",
    "coteaching": "co-teaching",
    "coteaching_plus": "co-teaching+",
    "jocor": "JoCoR",
    "decoupling": "decoupling",
    "incv": "INCV",
    "held_out": "held-out predictions",
}
"""A method's own name to what it is called in a sentence."""
NOISES = {
    "none": "no added noise",
    "symmetric": "symmetric noise",
    "symmetric_inclusive": "symmetric noise that may draw the true label",
    "pair": "pair noise",
    "cifar10_asymmetric": "asymmetric noise",
    "instance": "instance-dependent noise",
}
"""Kind of noise to what it is called in a sentence."""
_STYLES = {
    "cross_entropy": ("orange", "s"),
    "coteaching": ("blue", "o"),
    "incv": ("green", "^"),
    "jocor": ("purple", "v"),
    "coteaching_plus": ("sky", "P"),
    "decoupling": ("amber", "D"),
    "gce": ("level1", "X"),
    "forward": ("level5", "h"),
}
_OTHERS = (("muted", "*"), ("ink", "<"), ("level3", ">"), ("level2", "p"))


def method(kind: str, label: str) -> str:
    """A method in a sentence: `co-teaching`, or the label that the recipe gave it."""
    return METHODS.get(kind, kind) if label == kind else label


def noise(kind: str, rate: float) -> str:
    """A noise in a sentence: `symmetric noise of 50 %`."""
    name = NOISES.get(kind, kind)
    return name if kind == "none" else f"{name} of {words.rate(rate)}"


def method_styles(methods: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Label to color and marker: the usual ones' are fixed, the same within a run.

    Args:
        methods: Own name and label of each, in the order of the recipe.
    """
    styles: dict[str, dict[str, Any]] = {}
    free = list(_OTHERS)
    for kind, label in methods:
        if label in styles:
            continue
        usual = _STYLES.get(kind)
        taken = {(style["color"], style["marker"]) for style in styles.values()}
        if usual is None or (LIGHT[usual[0]], usual[1]) in taken:
            usual = free.pop(0)
            free.append(usual)
        styles[label] = {"color": LIGHT[usual[0]], "marker": usual[1]}
    return styles
