"""The most suspicious labels as one page that needs nothing beside it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import jinja2
import numpy as np
from PIL import Image

from tfticket import __version__
from tfticket.audit.subject import Subject
from tfticket.noisy import CleanSplit, Suspects
from tfticket.report.palette import PALETTE

_SHOWN = 120
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Card:
    """One suspicious example as the page shows it; `image` is a data URI, or empty."""

    number: int
    given: str
    suggested: str
    probability: float
    image: str


def render(subject: Subject, split: CleanSplit, suspects: Suspects) -> str:
    """The page as HTML text.

    Args:
        subject: What was looked at.
        split: What was predicted.
        suspects: What follows from it; the first ones are shown.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfticket", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("audit/page.html.j2").render(
        data=subject.data,
        examples=len(subject),
        estimate=split.estimate,
        suspects=len(suspects),
        expected=suspects.expected_precision,
        cards=[_card(subject, suspects, place) for place in range(min(_SHOWN, len(suspects)))],
        palette=PALETTE,
        version=__version__,
    )


def _card(subject: Subject, suspects: Suspects, place: int) -> Card:
    names = subject.data.class_names
    number = int(suspects.ids[place])
    return Card(
        number=number,
        given=names[suspects.given[place]],
        suggested=names[suspects.suggested[place]],
        probability=float(suspects.probability[place]),
        image=_image(subject.data.train.x[number]),
    )


def _image(x: np.ndarray) -> str:
    """An example as PNG; empty when it isn't one with one channel or three."""
    if x.ndim != 3 or x.shape[2] not in _CHANNELS:
        return ""
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
