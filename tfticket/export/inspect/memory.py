"""The memory that the activations of a file take, operator by operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tfticket.display.charts import Figure
from tfticket.display.plots import bars
from tfticket.export.activations import live_tensors
from tfticket.export.flatbuffer import dense_bytes, dynamic_tensors, graphs, name_of, states

_BARS = 40  # of a figure
_LINES = 12  # of a terminal
_WIDTH = 40
_SHOWN = 4
_LONGEST = 40  # letters of a name

UNKNOWN_SIDES = "Sides of unknown length count as the file stores them, mostly as 1."
"""Of numbers that follow from sides."""


@dataclass(frozen=True)
class OperatorMemory:
    """The activations that are alive while one operator runs.

    Attributes:
        operator: Its name and place in the file, such as `CONV_2D 3`, the fourth operator.
        output: The tensor that it writes.
        live_bytes: Of all that was given or computed before and is still needed, and of what it
            writes.
        largest: The largest tensors among them: name to bytes.
    """

    operator: str
    output: str
    live_bytes: int
    largest: Mapping[str, int]


@dataclass(frozen=True)
class Memory:
    """The memory of one inference, with the batch in the file.

    A runtime needs more: scratch buffers, its own records, and gaps where tensors can't be packed.
    Some write a result over what it is made of, and then need less.

    Attributes:
        operators: One after the other.
        state_bytes: What the file keeps from one inference to the next.
        unpacked_bytes: Weights that are unpacked when the file is loaded (from float16, or from
            sparse storage), which stay in memory beside the file.
        dynamic: Whether sides of unknown length were taken as the file stores them.
    """

    operators: tuple[OperatorMemory, ...]
    state_bytes: int
    unpacked_bytes: int
    dynamic: bool = False

    @classmethod
    def of(cls, parsed: Any) -> Memory:
        """Add up what is alive in the first graph of a `ModelT`."""
        graph = graphs(parsed)[0]
        live = live_tensors(parsed)
        found = []
        for place, (name, operator) in enumerate(graph.named()):
            if graph.unpacks(operator):
                continue
            sizes = sorted(live[place].items(), key=lambda entry: -entry[1])
            written = graph.written(operator)
            found.append(
                OperatorMemory(
                    operator=f"{name} {place}",
                    output=name_of(written[0]) if written else "",
                    live_bytes=sum(live[place].values()),
                    largest={_brief(graph.tensor(n)): size for n, size in sizes[:_SHOWN]},
                )
            )
        kept = sum(state.size_bytes for state in states(parsed))
        unpacked = sum(
            sum(map(dense_bytes, graph.written(o))) for o in graph.operators if graph.unpacks(o)
        )
        return cls(tuple(found), kept, unpacked, bool(dynamic_tensors(parsed)))

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Memory:
        """Make one anew from its values as JSON has them."""
        operators = tuple(OperatorMemory(**each) for each in told["operators"])
        return cls(operators, told["state_bytes"], told["unpacked_bytes"], told["dynamic"])

    @property
    def peak(self) -> OperatorMemory | None:
        """The first operator that needs the most; None of a file without operators."""
        return max(self.operators, key=lambda each: each.live_bytes, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, and the peak once more."""
        return {**asdict(self), "peak": None if self.peak is None else asdict(self.peak)}

    def summary(self) -> str:
        """Return the peak, and what is kept beside it, in a sentence or two."""
        peak = self.peak
        if peak is None:
            return "It computes nothing."
        largest = ", ".join(f"`{name}` {size:,}" for name, size in peak.largest.items())
        said = (
            f"Activations need at least {peak.live_bytes:,} bytes, at {peak.operator} ({largest})."
        )
        if self.state_bytes:
            said += f" Its state takes {self.state_bytes:,} bytes more."
        if self.unpacked_bytes:
            said += f" Weights that are unpacked take {self.unpacked_bytes:,} bytes more."
        if self.dynamic:
            said += f" {UNKNOWN_SIDES}"
        return said

    def largest(self, count: int) -> list[OperatorMemory]:
        """Return so many operators with the most, in the order in which they run."""
        places = range(len(self.operators))
        most = sorted(places, key=lambda place: -self.operators[place].live_bytes)[:count]
        return [self.operators[place] for place in sorted(most)]

    def lines(self) -> Iterator[str]:
        """Yield a chart for a terminal, a line an operator."""
        shown, peak = self.largest(_LINES), self.peak
        if peak is None or not peak.live_bytes:
            return
        width = max(len(each.operator) for each in shown)
        digits = len(f"{peak.live_bytes:,}")
        for each in shown:
            bar = "█" * max(1, round(_WIDTH * each.live_bytes / peak.live_bytes))
            mark = "  peak" if each is peak else ""
            yield f"{each.operator.ljust(width)}  {each.live_bytes:>{digits},}  {bar}{mark}"
        left = len(self.operators) - len(shown)
        if left:
            yield f"and {left:,} operators with less"

    def figure(self) -> Figure:
        """Draw a bar for each operator, or for the forty with the most."""
        values = {each.operator: each.live_bytes / 1024 for each in self.largest(_BARS)}
        return bars(values, "activations alive (KiB)")


def _brief(tensor: Any) -> str:
    """The first of the names that the converter joined, without what is around the layer."""
    name = name_of(tensor).partition(";")[0]
    return name if len(name) <= _LONGEST else f"...{name[-_LONGEST:]}"
