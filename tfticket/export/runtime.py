"""LiteRT, the runtime that executes the files: load one, feed it, read its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfticket.errors import ExportError
from tfticket.quiet import quiet

_LONGEST = 300  # of what the runtime says


Arrays = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]
"""One array, or where there are several inputs or outputs, one for each: in a list or by name."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of all inputs.

    Attributes:
        arrays: One an input, shape (n, ...).
    """

    arrays: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, x: Arrays | Examples) -> Examples:
        """Take one array for one input, and a list or dictionary for one each, in its order."""
        if isinstance(x, Examples):
            return x
        if isinstance(x, Mapping):
            return cls(tuple(map(np.asarray, x.values())))
        if isinstance(x, (list, tuple)) and x and all(np.ndim(each) for each in x):
            return cls(tuple(map(np.asarray, x)))
        return cls((np.asarray(x),))

    def __len__(self) -> int:
        return len(self.arrays[0])

    def first(self, count: int) -> Examples:
        """Return the first so many."""
        return Examples(tuple(array[:count] for array in self.arrays))

    def batches(self, size: int = 1) -> Iterator[list[np.ndarray]]:
        """Yield one array an input, with so many examples in each."""
        for start in range(0, len(self), size):
            yield [array[start : start + size] for array in self.arrays]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a file.

    Attributes:
        shape: Its shape; the first side is the batch, 1 in our files.
        dtype: Name of its type, such as `float32` or `int8`.
        scale: For integers: `real = (stored - zero_point) * scale`; None for floats.
        zero_point: The integer that stands for 0.0; None for floats.
        name: What the file calls it: in its signature, or else its tensor.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    name: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> TensorSpec:
        """Make one anew from its values as JSON has them."""
        return cls(**{**told, "shape": tuple(told["shape"])})

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Return real numbers as the file takes them; rounded and clipped for integers."""
        if self.scale is None or self.zero_point is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        stored = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.asarray(np.clip(stored, limits.min, limits.max), self.dtype)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """Return outputs as real numbers: floats and scaled integers as float32, others as is."""
        if self.scale is None or self.zero_point is None:
            return stored.astype(np.float32) if stored.dtype.kind == "f" else stored
        return (stored.astype(np.float32) - self.zero_point) * np.float32(self.scale)


def open_interpreter(content: bytes, *, source: str, delegate: bool = False) -> Interpreter:
    """Load a file's bytes into LiteRT, to run on one thread.

    Args:
        content: The whole file.
        source: What to call it in an error.
        delegate: Whether the default delegate (XNNPACK) may take over operators, as it does in
            every ordinary use.

    Raises:
        ExportError: when the runtime refuses the file.
    """
    resolver = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet():
            return Interpreter(
                model_content=content, num_threads=1, experimental_op_resolver_type=resolver
            )
    except (ValueError, RuntimeError) as error:
        raise _refusal(source, delegate, error) from error


class Loaded:
    """A loaded file of any origin, ready to run: any number of inputs and outputs, of any types.

    Args:
        content: The whole file.
        source: What to call it in an error.
        delegate: As for `open_interpreter`.
        side: What sides of unknown length are taken for, but for the first of an input of several
            sides, its batch, which is taken for 1.

    Attributes:
        inputs: What it takes.
        outputs: What it gives; sides that are only known after a run may be wrong before it.

    Raises:
        ExportError: when the runtime refuses the file.
    """

    def __init__(
        self, content: bytes, *, source: str, delegate: bool = True, side: int = 1
    ) -> None:
        self._source, self._delegate = source, delegate
        self._content, self._side = content, side
        self.reset()

    def reset(self) -> None:
        """Load the file anew: the state that it kept between inferences is gone."""
        source, delegate, side = self._source, self._delegate, self._side
        self._interpreter = open_interpreter(self._content, source=source, delegate=delegate)
        try:
            with quiet():
                for details in self._interpreter.get_input_details():
                    shape = _known_shape(details, side)
                    if shape != tuple(details["shape"]):
                        self._interpreter.resize_tensor_input(details["index"], shape)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _refusal(source, delegate, error) from error
        given = self._interpreter.get_input_details()
        made = self._interpreter.get_output_details()
        self._places = [details["index"] for details in given]
        self._results = [details["index"] for details in made]
        names = _signature(self._interpreter, self._places + self._results)
        self.inputs = tuple(spec_of(each, names[0]) for each in given)
        self.outputs = tuple(spec_of(each, names[1]) for each in made)

    def feed(self, arrays: Sequence[np.ndarray]) -> None:
        """Set the inputs: real numbers, each of the shape of its input, batch included."""
        for place, spec, array in zip(self._places, self.inputs, arrays, strict=True):
            self._interpreter.set_tensor(place, spec.quantize(array))

    def invoke(self) -> None:
        """Compute once."""
        self._interpreter.invoke()

    def answers(self) -> list[np.ndarray]:
        """Return the outputs; numbers with a scale and floats as float32."""
        return [
            spec.dequantize(self._interpreter.get_tensor(place))
            for place, spec in zip(self._results, self.outputs, strict=True)
        ]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the answers to the arrays that `feed` takes.

        Raises:
            ExportError: when the runtime fails.
        """
        try:
            self.feed(arrays)
            self.invoke()
            return self.answers()
        except (ValueError, RuntimeError) as error:
            raise _refusal(self._source, self._delegate, error) from error

    def run_all(self, x: Examples) -> list[np.ndarray]:
        """Return the answers to examples that are run one after the other.

        Args:
            x: What the Keras model takes, shape (n, ...) for each input.

        Returns:
            One array an output, shape (n, ...), float32; integers are scaled back.

        Raises:
            ExportError: when the runtime fails.
        """
        answers = [self.run(feed) for feed in x.batches()]
        return [np.concatenate(each).astype(np.float32) for each in zip(*answers, strict=True)]


class Session:
    """A loaded file with one input and one output, ready to run on one example at a time.

    Args:
        content: The whole file.
        source: What to call it in an error.
        delegate: As for `open_interpreter`.

    Attributes:
        input: What it takes.
        output: What it gives.

    Raises:
        ExportError: when the runtime refuses the file, or it hasn't one input and one output.
    """

    def __init__(self, content: bytes, *, source: str, delegate: bool = True) -> None:
        self._loaded = loaded = Loaded(content, source=source, delegate=delegate)
        if len(loaded.inputs) != 1 or len(loaded.outputs) != 1:
            raise ExportError(
                f"{source} must have one input and one output. Received: {len(loaded.inputs)} and "
                f"{len(loaded.outputs)}."
            )
        (self.input,), (self.output,) = loaded.inputs, loaded.outputs

    def feed(self, example: np.ndarray) -> None:
        """Set the input to one example of real numbers, shape as `input` without the batch."""
        self._loaded.feed([example[None]])

    def invoke(self) -> None:
        """Compute once."""
        self._loaded.invoke()

    def run(self, x: np.ndarray) -> np.ndarray:
        """Run examples given as real numbers, one after the other.

        Args:
            x: Shape (n, ...), what the Keras model takes.

        Returns:
            Shape (n, ...), float32; integers are scaled back.

        Raises:
            ExportError: when the runtime fails.
        """
        return self._loaded.run_all(Examples((x,)))[0]


def _known_shape(details: dict[str, Any], side: int) -> tuple[int, ...]:
    signature = tuple(int(length) for length in details["shape_signature"])
    if -1 not in signature:
        return tuple(int(length) for length in details["shape"])
    if len(signature) == 1:  # a series, such as sound, and no batch
        return (side,)
    return tuple(
        length if length >= 0 else side if place else 1 for place, length in enumerate(signature)
    )


def _signature(interpreter: Interpreter, ends: Sequence[int]) -> list[dict[int, str]]:
    """Names of inputs and outputs by number, from the signature that has these; or none."""
    for key in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(key)
        named = (runner.get_input_details(), runner.get_output_details())
        found = [{details["index"]: name for name, details in each.items()} for each in named]
        if set(ends) == {number for names in found for number in names}:
            return found
    return [{}, {}]


def spec_of(details: Mapping[str, Any], names: Mapping[int, str] | None = None) -> TensorSpec:
    """Describe an input or output from what the runtime says of it.

    Args:
        details: What it says.
        names: Names to use instead of those of tensors, by their number.
    """
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=(names or {}).get(details["index"], details["name"]),
        shape=tuple(int(side) for side in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale) if scale else None,
        zero_point=int(zero_point) if scale else None,
    )


def _refusal(source: str, delegate: bool, error: Exception) -> ExportError:
    how = "with its default delegate" if delegate else "without delegates"
    said = " ".join(str(error).split())
    if len(said) > _LONGEST:
        said = f"{said[:_LONGEST]} ..."
    return ExportError(f"{source} must load and run in LiteRT {how}. It doesn't: {said}")
