"""Run a file of any origin with the default delegate and without, and compare the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.labels import check_finite
from tfticket.export.runtime import Loaded, TensorSpec, open_interpreter, spec_of
from tfticket.quiet import quiet

_SIDES = (32, 128, 224, 512, 8, 1, 4096, 16_000)  # what sides of unknown length are tried with
_MOST = 200
KEPT_FEEDS = 5
_FLOAT_TOLERANCE = 1e-3
_ROUNDED_TOLERANCE = 5e-2
# They order or choose by numbers, so that a difference of rounding may change everything.
_CHOOSING = frozenset(
    {
        *("ARG_MAX", "ARG_MIN", "TOPK_V2", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"),
        "custom:TFLite_Detection_PostProcess",
    }
)

Feed = list[np.ndarray]
"""One array an input, with the batch."""


@dataclass(frozen=True, eq=False)
class Compared:
    """The result of running a file both ways.

    Attributes:
        count: How many inputs it was run on.
        differences: Largest difference of each output between the two ways, relative to its range.
        outputs: What each output was with the delegate, over all inputs; empty unless asked for.
        shapes: Of the outputs, after the last run.
        feeds: The first inputs that it was run on, at most five.
        constant: True if all of several inputs got the same numbers.
    """

    count: int
    differences: list[float]
    outputs: list[np.ndarray]
    shapes: list[tuple[int, ...]]
    feeds: list[Feed]
    constant: bool


class Ways:
    """A file, loaded twice.

    Args:
        content: The whole file.
        parsed: The same, from `flatbuffer.parse`.
        source: What to call it in an error.

    Attributes:
        fast: It with the default delegate, as in every ordinary use.
        side: What sides of unknown length are taken for, the batch aside; None when all are known.
        states: What it keeps from one inference to the next.

    Raises:
        ExportError: when it doesn't load or run.
    """

    def __init__(self, content: bytes, parsed: Any, *, source: str) -> None:
        self._parsed, self._source = parsed, source
        self.states = flatbuffer.states(parsed)
        given = flatbuffer.graphs(parsed)[0].given
        signatures = [list(t.shapeSignature) for t in given if t.shapeSignature is not None]
        dynamic = any(-1 in sides[min(1, len(sides) - 1) :] for sides in signatures)
        refusal: ExportError | None = None
        for side in _SIDES if dynamic else (1,):
            try:
                self.fast, self._plain = (
                    Loaded(content, source=source, delegate=delegate, side=side)
                    for delegate in (True, False)
                )
                for way in (self.fast, self._plain):
                    way.run(_random(way.inputs, 0, np.random.Generator.random))
            except ExportError as error:
                refusal = refusal or error
            else:
                self.side = side if dynamic else None
                return
        assert refusal is not None, "one of them was tried"
        raise _why(parsed, source, refusal)

    def on_random(self, seconds: float) -> Compared:
        """Run it on random inputs, 200 or as many as time allows.

        Some networks take only numbers from 0 to 1, such as those that begin with a logarithm: they
        are tried with these when others give no finite answers.

        Raises:
            ExportError: when the answers aren't finite, or differ.
        """
        try:
            return self.on(self._feeds(np.random.Generator.standard_normal), seconds=seconds)
        except _NotFiniteError:
            return self.on(self._feeds(np.random.Generator.random), seconds=seconds)

    def on(self, feeds: Iterable[Feed], *, seconds: float = np.inf, keep: bool = False) -> Compared:
        """Run it on given inputs, the first 200 of them both ways.

        A state that it keeps begins anew, and the inputs are steps of one stream.

        Args:
            feeds: The inputs.
            seconds: When to stop.
            keep: Whether `outputs` are wanted.

        Raises:
            ExportError: when the answers aren't finite, or differ.
        """
        if self.states:
            self.fast.reset()
            self._plain.reset()
        end = time.monotonic() + seconds
        seen = [_Seen() for _ in self.fast.outputs]
        outputs: list[list[np.ndarray]] = []
        count, answers, first = 0, [], []
        for count, feed in enumerate(feeds, start=1):
            answers = self._finite(self.fast, feed, "with the default delegate")
            if count <= _MOST:
                others = self._finite(self._plain, feed, "without delegates")
                for each, ours, theirs in zip(seen, answers, others, strict=True):
                    each.add(ours, theirs)
            if count <= KEPT_FEEDS:
                first.append(feed)
            if keep:
                outputs.append(answers)
            if time.monotonic() > end:
                break
        differences = [
            self._checked(each, spec.name if len(seen) > 1 else None)
            for each, spec in zip(seen, self.fast.outputs, strict=True)
        ]
        shapes = [answer.shape for answer in answers]
        joined = [np.concatenate(each) for each in zip(*outputs, strict=True)]
        constant = count > 1 and all(each.size > 0 and each.varies == 0 for each in seen)
        return Compared(count, differences, joined, shapes, first, constant)

    def remembers(self, feed: Feed) -> bool:
        """Tell whether the same input is answered otherwise the second time.

        Args:
            feed: The input, of all that `on` has seen the first.

        Raises:
            ExportError: when the file, loaded anew, doesn't begin with the same answers again.
        """
        answers = []
        for _ in range(2):
            self.fast.reset()
            answers.append([self.fast.run(feed), self.fast.run(feed)])
        (first, second), (again, _) = answers
        if not all(map(np.array_equal, first, again)):
            raise ExportError(
                f"{self._source} must give the same answers when it is loaded anew. Its state "
                "doesn't begin with the same numbers each time: something in it isn't initialized."
            )
        return not all(map(np.array_equal, first, second))

    def _feeds(self, drawing: Callable[..., Any]) -> Iterator[Feed]:
        return (_random(self.fast.inputs, number, drawing) for number in range(_MOST))

    def _finite(self, way: Loaded, feed: Feed, how: str) -> list[np.ndarray]:
        answers = way.run(feed)
        for answer in answers:
            if answer.dtype.kind == "f":
                try:
                    check_finite(answer, f"{self._source}, run {how},")
                except ExportError as error:
                    raise _NotFiniteError(str(error)) from None
        return answers

    def _checked(self, seen: _Seen, name: str | None) -> float:
        """The difference of an output, if it is no more than rounding makes."""
        # The two ways may round otherwise what they compute with integer weights.
        rounded = any(
            constant.values.ndim > 1 and constant.values.dtype.kind == "i"
            for constant in flatbuffer.constants(self._parsed)
        )
        tolerance = _ROUNDED_TOLERANCE if rounded else _FLOAT_TOLERANCE
        if (
            seen.difference > tolerance
            and seen.agreement < 1 - tolerance
            and not (rounded and seen.deviation <= tolerance)
            and not _CHOOSING & set(flatbuffer.operators(self._parsed))
        ):
            raise ExportError(
                f"{self._source} must answer alike with and without the default delegate. "
                f"Received: outputs that differ by {seen.difference:.2g} of their range"
                f"{'' if name is None else f', at `{name}`'}. One of the two is wrong: export the "
                "model again in another format."
            )
        return seen.difference


class _NotFiniteError(ExportError):
    """Answers that are NaN or infinite."""


@dataclass(eq=False)
class _Seen:
    """Answers of one output both ways, as far as they are numbers of the same shape."""

    low: float = np.inf
    high: float = -np.inf
    largest: float = 0.0
    squares: float = 0.0
    size: int = 0
    classes: list[bool] = field(default_factory=list)
    first: np.ndarray | None = None
    varies: float = 0.0

    def add(self, fast: np.ndarray, plain: np.ndarray) -> None:
        if fast.shape != plain.shape or fast.dtype.kind not in "fiu" or not fast.size:
            return
        ours, theirs = fast.astype(np.float64), plain.astype(np.float64)
        self.first = theirs if self.first is None else self.first
        if self.first.shape == theirs.shape:
            self.varies = max(self.varies, float(np.abs(theirs - self.first).max()))
        self.low, self.high = min(self.low, theirs.min()), max(self.high, theirs.max())
        apart = np.abs(ours - theirs)
        self.largest = max(self.largest, float(apart.max()))
        self.squares += float((apart**2).sum())
        self.size += apart.size
        if ours.ndim == 2 and ours.shape[1] > 1:
            self.classes.extend(ours.argmax(-1) == theirs.argmax(-1))

    @property
    def _span(self) -> float:
        return max(self.high - self.low, float(np.finfo(np.float32).tiny))

    @property
    def difference(self) -> float:
        return self.largest / self._span if self.size else 0.0

    @property
    def deviation(self) -> float:
        """Root of the mean squared difference, relative to the range."""
        return float(np.sqrt(self.squares / max(self.size, 1))) / self._span

    @property
    def agreement(self) -> float:
        """Share of equal classes; 0 where there are none."""
        return float(np.mean(self.classes)) if self.classes else 0.0


def run_signature(content: bytes, key: str, *, source: str) -> float:
    """Run the graph of a signature on random inputs with the default delegate and without.

    Args:
        content: The whole file.
        key: The signature.
        source: What to call the file in an error.

    Returns:
        The largest difference of an output, relative to its range.

    Raises:
        ExportError: when it doesn't run, or its answers aren't finite.
    """
    answers = []
    for delegate in (True, False):
        interpreter = open_interpreter(content, source=source, delegate=delegate)
        try:
            with quiet():
                runner = interpreter.get_signature_runner(key)
                details = runner.get_input_details()
                specs = {name: spec_of(each) for name, each in details.items()}
                feed = _random(list(specs.values()), 0, np.random.Generator.random)
                given = zip(specs.items(), feed, strict=True)
                answers.append(runner(**{name: spec.quantize(x) for (name, spec), x in given}))
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"{source} must run by its signature {key!r}. It doesn't: {error}"
            ) from error
    seen = {name: _Seen() for name in answers[0]}
    for name, each in seen.items():
        ours, theirs = (found[name] for found in answers)
        if ours.dtype.kind == "f":
            check_finite(ours, f"{source}, run by its signature {key!r},")
        each.add(ours, theirs)
    return max((each.difference for each in seen.values()), default=0.0)


def custom_operators(parsed: Any) -> list[str]:
    """Return the names of the operators that the format itself doesn't have."""
    names = [name for name in flatbuffer.operators(parsed) if name.startswith("custom:")]
    return [name.removeprefix("custom:") for name in names]


def _why(parsed: Any, source: str, refusal: ExportError) -> ExportError:
    custom = custom_operators(parsed)
    if not custom:
        return refusal
    return ExportError(
        f"{source} needs operators that LiteRT doesn't have: {', '.join(custom)}. A file that is "
        "checked must run here. Those called Flex are TensorFlow's: build the layers that need "
        "them from others, and convert without SELECT_TF_OPS. Others are run by programs that "
        "bring them."
    )


def _random(specs: Sequence[TensorSpec], number: int, drawing: Callable[..., Any]) -> Feed:
    """Integers with a scale from their whole range, 0 and 1 for others, and floats as drawn."""
    rng = np.random.default_rng(number)
    arrays = []
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if dtype.kind == "S":
            arrays.append(np.full(spec.shape, b"ticket"))
        elif spec.scale is not None and dtype.kind in "iu":
            limits = np.iinfo(dtype)
            stored = rng.integers(limits.min, limits.max, spec.shape, endpoint=True)
            arrays.append(spec.dequantize(stored))
        elif dtype.kind in "iub":
            arrays.append(rng.integers(0, 2, spec.shape))
        else:
            arrays.append(np.asarray(drawing(rng, spec.shape)))
    return arrays
