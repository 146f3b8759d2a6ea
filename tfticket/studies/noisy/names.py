"""The names of methods and kinds of noise, as a reader wants them."""

from __future__ import annotations

from tfticket.report import words

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
    "matrix": "noise by a matrix",
    "file": "labels of a file",
    "open_set": "open-set noise",
}
"""Kind of noise to what it is called in a sentence."""


def method(kind: str, label: str) -> str:
    """A method in a sentence: `co-teaching`, or the label that the recipe gave it."""
    return METHODS.get(kind, kind) if label == kind else label


def noise(kind: str, rate: float) -> str:
    """A noise in a sentence: `symmetric noise of 50 %`."""
    name = NOISES.get(kind, kind)
    return name if kind in ("none", "matrix", "file") else f"{name} of {words.rate(rate)}"
