"""Why did it not get smaller or faster? What a file says when it is read closely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.export import foreign
from tfticket.export.flatbuffer import dynamic_tensors, parse, states, type_name
from tfticket.export.inspect.cost import count
from tfticket.export.inspect.energy import EnergyComparison, Quantity, compare
from tfticket.export.inspect.layers import Explanation, View
from tfticket.export.inspect.memory import UNKNOWN_SIDES, Memory
from tfticket.export.inspect.reasons import PRUNED, explain_operators, explain_weights
from tfticket.export.metadata import provenance_of

__all__ = ["Explanation", "FileExplanation", "explain", "explain_file"]

_NO_ZEROS = 0.05
_CALLING = ("IF", "WHILE", "CALL", "STABLEHLO_COMPOSITE")
_FLOATS = ("FLOAT32", "FLOAT16")
_SAME = 0.02


def explain(parsed: Any, baseline_parsed: Any = None) -> tuple[Explanation, ...]:
    """Say why a file isn't smaller or faster, and what would help.

    The file is only read, not run. Times that are told were measured on one x86 machine with
    AVX-512; they are no promise for another.

    Args:
        parsed: A `ModelT`, from `flatbuffer.parse`.
        baseline_parsed: Another, such as the dense network's, that it should have been better than.

    Returns:
        First what is so of the whole file, then of its tensors in order, then of its operators.
        Empty when nothing was found.
    """
    view = View.of(parsed)
    baseline = None if baseline_parsed is None else View.of(baseline_parsed)
    return (
        *_of_the_file(view, baseline),
        *_states(view),
        *_other_graphs(view),
        *explain_weights(view),
        *explain_operators(view),
    )


@dataclass(frozen=True, repr=False)
class FileExplanation(Displayable):
    """The reasons that `explain_file` found. `plot` draws the memory of each operator.

    Attributes:
        explanations: See `explain`.
        energy: See `energy.compare`; None without a file to compare with.
        memory: What activations take, operator by operator.
    """

    explanations: tuple[Explanation, ...]
    energy: EnergyComparison | None
    memory: Memory

    def __repr__(self) -> str:
        rules = ", ".join(dict.fromkeys(found.rule for found in self.explanations))
        return f"FileExplanation({rules})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "memory": self.memory.to_dict()}

    def summary(self) -> str:
        """Return the reasons and the memory in sentences."""
        said = [found.fact for found in self.explanations]
        return " ".join([*said, self.memory.summary()])

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each reason."""
        return [found.to_dict() for found in self.explanations]

    def _figure(self) -> Figure | None:
        return self.memory.figure() if self.memory.operators else None


def explain_file(
    path: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    timeout: float | None = None,
) -> FileExplanation:
    """Say why a file of any origin isn't smaller or faster; see `explain`.

    It is read in a process of its own, so that a damaged file ends nothing else.

    Args:
        path: The file.
        against: Another, such as the dense network's, to compare with.
        timeout: Seconds that the reading may compute; by default 15, and 2 for each MiB.

    Raises:
        ExportError: when one of them can't be read, or is damaged.

    Example:
        >>> import keras
        >>> from tfticket.export import to_tflite
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> report = to_tflite(model, "net.tflite")
        >>> [found.rule for found in explain_file("net.tflite").explanations]
        ['no_zeros', 'floats']
    """
    paths = [path] if against is None else [path, against]
    files = [(f"`{each}`", foreign.read_file(each)) for each in paths]
    found = foreign.ask(explain_in_child, foreign.Request(files), timeout=timeout).value
    energy = found["energy"]
    return FileExplanation(
        tuple(Explanation(**each) for each in found["explanations"]),
        energy
        and EnergyComparison(
            tuple(Quantity(**row) for row in energy["rows"]), tuple(energy["assumptions"])
        ),
        Memory.from_dict(found["memory"]),
    )


def explain_in_child(request: foreign.Request) -> foreign.Answer:
    """Explain a file in a child."""
    parsed, *others = [parse(content, source=source) for source, content in request.files]
    dense = others[0] if others else None
    energy = None if dense is None else compare(count(dense), count(parsed))
    found = FileExplanation(explain(parsed, dense), energy, Memory.of(parsed))
    return foreign.Answer(found.to_dict())


def _of_the_file(view: View, baseline: View | None) -> Iterator[Explanation]:
    if baseline is not None:
        yield from _same_work(view, baseline)
        yield from _same_bytes(view, baseline)
    yield from _no_zeros(view)
    yield from _other_bytes(view)
    yield from _floats(view)


def _same_work(view: View, baseline: View) -> Iterator[Explanation]:
    ours, theirs = (v.cost.effective_multiply_adds for v in (view, baseline))
    types = [{o.arithmetic for o in v.cost.operators if o.multiply_adds} for v in (view, baseline)]
    if theirs and ours >= (1 - _SAME) * theirs and types[0] == types[1]:
        yield Explanation.of_file(
            "same_work",
            f"It computes {ours:,} multiply-adds an inference, the file it is compared with "
            f"{theirs:,}, of the same type. There is nothing that could make it faster.",
            "Compute fewer: whole units that shrink cuts out"
            + (
                "." if _is_narrow(view) else ", dense layers as sparse_fc; or narrower ones (int8)."
            ),
        )


def _same_bytes(view: View, baseline: View) -> Iterator[Explanation]:
    zeros, dense = _sparsity(view), _sparsity(baseline)
    if view.stored_bytes >= (1 - _SAME) * baseline.stored_bytes and zeros > dense + PRUNED:
        yield Explanation.of_file(
            "same_bytes",
            f"It stores {view.stored_bytes:,} bytes, the file it is compared with "
            f"{baseline.stored_bytes:,}: {zeros:.1%} of its weights are zero instead of "
            f"{dense:.1%}, but a zero takes as many bytes as another number.",
            "Compressed files show the difference: compare them after gzip. In flash, "
            + ("fewer units make" if _is_narrow(view) else "sparse_fc, fewer units or int8 make")
            + " it smaller.",
        )


def _no_zeros(view: View) -> Iterator[Explanation]:
    if view.layers and _sparsity(view) < _NO_ZEROS and not _was_cut(view):
        yield Explanation.of_file(
            "no_zeros",
            f"Only {_sparsity(view):.1%} of its weights are zero: this isn't the file of a pruned "
            "network, or the mask wasn't applied to what was exported.",
            "If the network was pruned, export the sparsified model itself, or give `mask`; the "
            "export then checks that each pruned weight is zero in the file.",
        )


def _was_cut(view: View) -> bool:
    """Tell whether the file says that units, and their zeros, were cut out of the network."""
    about = provenance_of(view.model, "The file") or {}
    return bool(about.get("parameters_after", 0) < about.get("parameters_before", 0))


def _other_bytes(view: View) -> Iterator[Explanation]:
    weights = sum({id(layer.tensor): layer.stored_bytes for layer in view.layers}.values())
    other = view.stored_bytes - weights
    if view.stored_bytes and other > view.stored_bytes / 2:
        yield Explanation.of_file(
            "other_bytes",
            f"{other:,} of the {view.stored_bytes:,} bytes that it stores are no weights of dense "
            "or convolutional layers, but biases, tables and indices, which pruning leaves.",
            "A network this small is near what it can be; fewer and narrower layers make it "
            "smaller, not zeros.",
        )


def _floats(view: View) -> Iterator[Explanation]:
    cost = view.cost
    floats = sum(o.multiply_adds for o in cost.operators if o.arithmetic == "float32")
    if floats and floats == cost.effective_multiply_adds:
        sides = f" {UNKNOWN_SIDES}" if dynamic_tensors(view.model) else ""
        yield Explanation.of_file(
            "floats",
            f"All {floats:,} multiply-adds are of float32.{sides}",
            "int8 is what makes a dense network faster: 4.1 to 6.2 times as fast on one x86 "
            "machine with AVX-512, and a quarter of the bytes, with zeros or without.",
        )


def _states(view: View) -> Iterator[Explanation]:
    found = states(view.model)
    if found:
        size = sum(state.size_bytes for state in found)
        yield Explanation.of_file(
            "state",
            f"It keeps a state between inferences: {len(found)} variables of {size:,} bytes, in "
            "memory beside the activations.",
            "Its inputs are steps of one stream; load it anew to begin another.",
        )


def _other_graphs(view: View) -> Iterator[Explanation]:
    names = [name for name, _ in view.named()]
    calling = [name for name in names if name in _CALLING]
    others = len(view.model.subgraphs) - 1 - names.count("CALL_ONCE")
    if calling and others:
        yield Explanation.of_operators(
            calling,
            "other_graphs",
            f"They run {others} other graphs, as often as the inputs decide. What these compute, "
            "and the memory that it takes, isn't counted here.",
            "",
        )


def _is_narrow(view: View) -> bool:
    """Tell whether weights are integers already, which sparse_fc and int8 can't make smaller."""
    return all(type_name(layer.tensor) not in _FLOATS for layer in view.layers)


def _sparsity(view: View) -> float:
    size = sum(layer.zero.size for layer in view.layers)
    return sum(int(layer.zero.sum()) for layer in view.layers) / max(size, 1)
