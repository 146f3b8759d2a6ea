"""LiteRT, the runtime that executes the files: load one, feed it, read its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfticket.errors import ExportError
from tfticket.export.quiet import quiet


@dataclass(frozen=True)
class TensorSpec:
    """What a file takes in or gives out.

    Attributes:
        shape: Its shape; the first side is the batch, always 1.
        dtype: Name of its type, `float32` or `int8`.
        scale: For integers: `real = (stored - zero_point) * scale`; None for floats.
        zero_point: The integer that stands for 0.0; None for floats.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Real numbers as the file takes them: rounded to nearest and clipped, if it's integers."""
        if self.scale is None or self.zero_point is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        stored = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(stored, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """What the file gave, as real numbers, float32."""
        if self.scale is None or self.zero_point is None:
            return stored.astype(np.float32)
        return (stored.astype(np.float32) - self.zero_point) * np.float32(self.scale)


def open_interpreter(content: bytes, *, source: str, delegate: bool = False) -> Interpreter:
    """Loads a file's bytes into LiteRT, to run on one thread.

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


class Session:
    """A loaded file with one input and one output, ready to run.

    Args:
        content: The whole file.
        source: What to call it in an error.
        delegate: As for `open_interpreter`.

    Raises:
        ExportError: when the runtime refuses the file, or it hasn't one input and one output.
    """

    def __init__(self, content: bytes, *, source: str, delegate: bool = True) -> None:
        self._source, self._delegate = source, delegate
        self._interpreter = open_interpreter(content, source=source, delegate=delegate)
        try:
            with quiet():
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _refusal(source, delegate, error) from error
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        if len(inputs) != 1 or len(outputs) != 1:
            raise ExportError(
                f"{source} must have one input and one output. Received: {len(inputs)} and "
                f"{len(outputs)}."
            )
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        self.input, self.output = _spec(inputs[0]), _spec(outputs[0])

    def feed(self, example: np.ndarray) -> None:
        """Sets the input to one example of real numbers, shape as `input` without the batch."""
        self._interpreter.set_tensor(self._input_index, self.input.quantize(example)[None])

    def invoke(self) -> None:
        """Computes once."""
        self._interpreter.invoke()

    def run(self, x: np.ndarray) -> np.ndarray:
        """The outputs for examples given as real numbers, one after the other.

        Args:
            x: Shape (n, ...), what the Keras model takes.

        Returns:
            Shape (n, ...), float32; integers are scaled back.

        Raises:
            ExportError: when the runtime fails.
        """
        answers = []
        try:
            for example in x:
                self.feed(example)
                self.invoke()
                answers.append(self._interpreter.get_tensor(self._output_index)[0])
        except (ValueError, RuntimeError) as error:
            raise _refusal(self._source, self._delegate, error) from error
        return self.output.dequantize(np.stack(answers))


def _spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        shape=tuple(int(side) for side in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale) if scale else None,
        zero_point=int(zero_point) if scale else None,
    )


def _refusal(source: str, delegate: bool, error: Exception) -> ExportError:
    how = "with its default delegate" if delegate else "without delegates"
    return ExportError(f"{source} must load and run in LiteRT {how}. It doesn't: {error}")
