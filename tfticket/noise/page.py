"""The page of an audit: the most suspicious labels, for a person to decide on."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from tfticket import __version__
from tfticket.data.arrays import pieces
from tfticket.data.cells import Feature
from tfticket.display.palette import PALETTE
from tfticket.display.words import THIN, number, percent, plural
from tfticket.noise import LabelIssues
from tfticket.noise.audit import LabeledData
from tfticket.noise.evidence import Against, ClassMeans
from tfticket.noise.labels.given import NO_CLASS
from tfticket.wording import shortened

MOST = 200
"""Label issues on the page, and examples without a label."""

_SIDE = 144  # pixels of a thumbnail
_QUALITY = 82  # of thumbnails that are scaled down
_DIM = 127  # bytes that reach beyond are shown as they are
_COLUMNS, _LOOKED_AT = (
    4,
    40,
)  # columns of a table that are shown; inputs that are looked at for them
_TEXT, _NAME = 1000, 60  # characters
_THOUSAND = 1000
_COMPARED = ("value", "given", "suggested")
_PIXELS = 64  # up to here an image is shown pixel by pixel


@dataclass(frozen=True)
class Thumbnails:
    """Small pictures of examples, in the range of all of them.

    Attributes:
        low: The value that is black.
        high: The value that is white.
    """

    low: float
    high: float

    @classmethod
    def of(cls, x: np.ndarray) -> Thumbnails | None:
        """Measure the range; None where examples are no images of one channel or three.

        Args:
            x: Examples, shape (n, ...).
        """
        if x.ndim != 4 or x.shape[3] not in (1, 3) or not x.size:
            return None
        low, high = math.inf, -math.inf
        for piece in pieces(x):
            low, high = min(low, float(x[piece].min())), max(high, float(x[piece].max()))
        if x.dtype == np.uint8 and high > _DIM:
            return cls(0.0, 255.0)
        return cls(low, high)

    def uri(self, x: np.ndarray) -> str:
        """Return an example, shape (height, width, channels), as a data URI."""
        span = (self.high - self.low) or 1.0
        values = np.rint((x.astype(np.float32) - self.low) * (255 / span)).astype(np.uint8)
        image = Image.fromarray(values[:, :, 0] if x.shape[2] == 1 else values)
        file, kind = io.BytesIO(), "png"
        if max(image.size) > _PIXELS:
            image.thumbnail((_SIDE, _SIDE))
            kind = "jpeg"
        image.save(file, format=kind, quality=_QUALITY)
        return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass(frozen=True)
class Relations:
    """Duplicates and outliers among the examples.

    Attributes:
        duplicates: For each example the ids of those that equal it, exactly or nearly.
        outliers: Whether each is far from all others, shape (n,), bool.
    """

    duplicates: list[tuple[int, ...]]
    outliers: np.ndarray


def render(labeled: LabeledData, issues: LabelIssues, others: Relations) -> str:
    """Render the page as HTML text.

    Args:
        labeled: The labels in question, with their examples.
        issues: Its label issues; the first ones are shown.
        others: Duplicates and outliers.
    """
    made = _Cards(labeled, issues, others)
    cards, unlabeled = made.first(MOST), made.without_label(MOST)
    count, data = len(issues), labeled.data
    missing = int((issues.given < 0).sum())
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("tfticket.noise", "."),
                jinja2.PackageLoader("tfticket.report", "."),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    moves = data.name.startswith("folder:")
    suffix = "parquet" if data.name.startswith("parquet:") else "csv"
    way = "--move" if moves else f"--output corrected.{suffix}"
    return environment.get_template("page.html.j2").render(
        name=_without_folders(data.name),
        class_names=data.class_names,
        title=f"{plural(count, 'label issue') if count else 'No label issues'} among "
        f"{number(len(labeled))} labels",
        headline=headline(issues),
        facts=_facts(labeled, issues, others),
        shown=plural(count, "label issue")
        if count <= MOST
        else f"The {MOST} most suspicious of {number(count)} label issues",
        learned=issues.estimate.learned,
        expected=issues.estimate.identifiable,
        cards=cards,
        unlabeled=unlabeled,
        without=plural(missing, "example")
        if missing <= MOST
        else f"The {MOST} surest of {number(missing)} examples",
        wide=any(card["columns"] or card["text"] for card in cards + unlabeled),
        key=_key(labeled),
        moves=moves,
        command=f"tfticket noise apply decisions.csv {way}",
        unreadable=data.unreadable,
        palette=PALETTE,
        version=__version__,
    )


def headline(issues: LabelIssues) -> str:
    """Say how many labels are wrong, in words that the list doesn't contradict."""
    estimate, count = issues.estimate, len(issues)
    if not estimate.learned:
        return f"No label issues are named, since nothing was learned. {estimate.reason}"
    if not estimate.identifiable:
        listed = "The list is an order to look in, from the top; how many are wrong isn't known."
        return (
            f"The share of wrong labels is not identifiable. {estimate.reason}"
            f"{' ' + listed if count else ''}"
        )
    confidence = f"with {100 * estimate.confidence:.6g}{THIN}% confidence"
    if not count:
        said = (
            "No wrong labels are established, in any class"
            if estimate.kind == "clean"
            else f"About {percent(estimate.rate)} of the labels are wrong, but none stands out"
        )
        return f"{said}; at most {percent(estimate.high)} can be wrong, {confidence}."
    most = _most_wrong(issues)
    real = round(count * issues.precision)
    if estimate.kind == "clean" or real > most:
        return (
            f"At most {percent(estimate.high)} of the labels, {number(most)}, are wrong, "
            f"{confidence}. {'This is' if count == 1 else 'These are'} the "
            f"{f'{number(count)} ' if count > 1 else ''}most suspicious."
        )
    return (
        f"About {percent(likely_rate(issues))} of the labels are wrong ({percent(estimate.low)} to "
        f"{percent(estimate.high)} {confidence}; type of the noise: {estimate.kind}). Of the "
        f"{number(count)} in this list about {number(real)} are expected to be."
    )


def likely_rate(issues: LabelIssues) -> float:
    """The noise rate to show beside a list: the estimate, or what the list expects if it is more.

    The rate is counted from all labels, and anything in its interval may be true; a list whose
    issues are expected to be more than that rate says that it is nearer to the upper end.

    Args:
        issues: The list, of an estimate that is identifiable.
    """
    estimate = issues.estimate
    if math.isnan(issues.precision):
        return estimate.rate
    listed = len(issues) * issues.precision / len(issues.ranking)
    return max(estimate.rate, min(listed, estimate.high))


def _most_wrong(issues: LabelIssues) -> int:
    """Return the largest number of wrong labels within the interval of the rate."""
    return math.floor(len(issues.ranking) * issues.estimate.high)


def _without_folders(name: str) -> str:
    """The name of data without the folders of a machine: pages are shown around."""
    kind, colon, path = name.partition(":")
    return f"{kind}{colon}{path.rstrip('/').rpartition('/')[2]}"


def _key(labeled: LabeledData) -> str:
    """Return the storage key of the decisions: a hash of the data and the given labels."""
    text = f"{labeled.data.fingerprint}{labeled.given.tolist()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _facts(labeled: LabeledData, issues: LabelIssues, others: Relations) -> list[tuple[str, str]]:
    missing, doubled = int((labeled.given < 0).sum()), sum(map(bool, others.duplicates))
    facts = [
        ("Data", labeled.data.description),
        ("Classes", number(labeled.data.num_classes)),
        ("Predicted by", issues.learner),
        ("Without a label", number(missing) if missing else ""),
        ("There more than once", number(doubled) if doubled else ""),
    ]
    return [(name, value) for name, value in facts if value]


class _Cards:
    """The label issues as the page shows them."""

    def __init__(self, labeled: LabeledData, issues: LabelIssues, others: Relations) -> None:
        self._labeled, self._issues, self._others = labeled, issues, others
        self._x, self._names = labeled.data.train.x, labeled.data.class_names
        self._thumbnails = Thumbnails.of(self._x)
        rows = labeled.has_rows and len(issues)
        self._means = ClassMeans(self._x, labeled.given) if rows else None
        self._texts = {each.column for each in labeled.data.features if _is_word(each)}

    def first(self, count: int) -> list[dict[str, Any]]:
        """The most suspicious ones."""
        ids = self._issues.ids[:count].tolist()
        return [self._issue(rank, example) for rank, example in enumerate(ids, 1)]

    def without_label(self, count: int) -> list[dict[str, Any]]:
        """Examples without a label, the surest suggestions first."""
        ids = np.flatnonzero(self._issues.given == NO_CLASS)
        sure = self._issues.pred_probs[ids].max(axis=1)
        order = np.argsort(-sure, kind="stable")[:count]
        return [
            {**self._card(int(ids[each])), "score": f"{sure[each]:.3f}", "columns": []}
            for each in order
        ]

    def _issue(self, rank: int, example: int) -> dict[str, Any]:
        issues = self._issues
        # The first few aren't said to be surer than all labels together allow.
        expected = min(float(issues.expected_precision[example]), _most_wrong(issues) / rank)
        return {
            **self._card(example),
            "given": self._names[issues.given[example]],
            "score": f"{issues.score[example]:.3f}",
            "expected": ""
            if math.isnan(expected)
            else f"expected to be wrong: {percent(expected, 0)} of the first {number(rank)}",
            "columns": self._columns(example),
        }

    def _card(self, example: int) -> dict[str, Any]:
        files = self._labeled.data.train.files
        return {
            "id": example,
            "file": "" if files is None else str(files[example]),
            "given": "",
            "suggested": self._names[self._issues.suggested[example]],
            "expected": "",
            "image": "" if self._thumbnails is None else self._thumbnails.uri(self._x[example]),
            "small": self._thumbnails is not None and max(self._x.shape[1:3]) <= _PIXELS,
            "text": self._text(example),
            "notes": self._notes(example),
        }

    def _text(self, example: int) -> str:
        cells = self._labeled.data.train.cells
        if cells is None or not self._texts:
            return ""
        row = zip(cells.columns, cells[example], strict=True)
        return "\n".join(shortened(cell, _TEXT) for name, cell in row if name in self._texts)

    def _columns(self, example: int) -> list[dict[str, str]]:
        """The columns that speak against the label, each once."""
        if self._means is None:
            return []
        features, issues = self._labeled.data.features, self._issues
        found = self._means.against(
            self._x[example],
            given=int(issues.given[example]),
            suggested=int(issues.suggested[example]),
            most=_LOOKED_AT,
        )
        shown: dict[str, dict[str, str]] = {}
        for each in found:
            feature = features[each.column] if features else None
            if feature is not None and _is_word(feature):
                continue
            name = f"column {each.column}" if feature is None else feature.name
            column = name if feature is None else feature.column
            shown.setdefault(column, {"name": shortened(name, _NAME), **_compared(each, feature)})
        return list(shown.values())[:_COLUMNS]

    def _notes(self, example: int) -> list[str]:
        notes = []
        same = self._others.duplicates[example]
        if same:
            labels = {
                "none" if label < 0 else self._names[label]
                for label in self._issues.given[list(same)].tolist()
            }
            notes.append(f"Equals id {', '.join(map(str, same))}: {', '.join(sorted(labels))}")
        if self._others.outliers[example]:
            notes.append("An outlier: far from all other examples")
        return notes


def _is_word(feature: Feature) -> bool:
    """Test whether a column of inputs is the weight of a word."""
    return feature.name.startswith(f"{feature.column}: ")


def _compared(found: Against, feature: Feature | None) -> dict[str, str]:
    """A value, and what is usual in both classes: means, or shares of rows that have a value."""
    if feature is None or feature.name == feature.column:
        values = (found.value, found.given, found.suggested)
        return dict(zip(_COMPARED, map(_shown, values), strict=True))
    shares = (percent(found.given, 0), percent(found.suggested, 0))
    return dict(zip(_COMPARED, ("yes" if found.value else "no", *shares), strict=True))


def _shown(value: float) -> str:
    return number(value, 0) if abs(value) >= _THOUSAND else f"{value:.3g}"
