"""An estimate of the energy of one inference, from published numbers and stated assumptions.

It is an estimate for no device in particular. It orders files whose counts differ much; it is no
measurement, and says nothing of a processor that wasn't measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from tfticket.export.inspect.cost import Cost

_WORD_BYTES = 8
_PICO = 1e-12
_COUNTED = (
    ("multiply-adds in the layers", "", "multiply_adds"),
    ("multiply-adds computed", "", "effective_multiply_adds"),
    ("weights read", "bytes", "weight_bytes"),
    ("activations read and written", "bytes", "activation_bytes"),
    ("activations alive at once, at least", "bytes", "peak_activation_bytes"),
)


@dataclass(frozen=True)
class Memory:
    """A kind of memory.

    Attributes:
        name: What it is called.
        size_bytes: How much there is of it; None for as much as one wants.
        pj_per_word: Least and most energy to read or write 64 bits, in picojoules.
    """

    name: str
    size_bytes: int | None
    pj_per_word: tuple[float, float]


def _pj(**values: float) -> Mapping[str, float]:
    return MappingProxyType(values)


@dataclass(frozen=True)
class EnergyModel:
    """Energy of operations, by default in a 45 nm process at 0.9 V.

    M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure
    1.1.9. Products of int16 aren't in it; they are charged as those of int32.

    Attributes:
        name: What the numbers are for.
        multiply_pj: Energy of a multiplication by type, in picojoules.
        add_pj: The same of an addition to the sum: float32 for floats, int32 for integers.
        memories: Smallest first; the last one holds anything.

    Example:
        >>> EnergyModel().memory_for(20_000).name
        'SRAM of 32 KiB'
    """

    name: str = "a 45 nm process (Horowitz, ISSCC 2014)"
    multiply_pj: Mapping[str, float] = field(
        default_factory=lambda: _pj(float32=3.7, int8=0.2, int16=3.1, int32=3.1)
    )
    add_pj: Mapping[str, float] = field(
        default_factory=lambda: _pj(float32=0.9, int8=0.1, int16=0.1, int32=0.1)
    )
    memories: tuple[Memory, ...] = (
        Memory("SRAM of 8 KiB", 8 << 10, (10.0, 10.0)),
        Memory("SRAM of 32 KiB", 32 << 10, (20.0, 20.0)),
        Memory("SRAM of 1 MiB", 1 << 20, (100.0, 100.0)),
        Memory("DRAM", None, (1300.0, 2600.0)),
    )

    def memory_for(self, size_bytes: int) -> Memory:
        """Return the smallest memory that holds so many bytes."""
        fitting = (m for m in self.memories if m.size_bytes is None or size_bytes <= m.size_bytes)
        return next(fitting)


@dataclass(frozen=True)
class Energy:
    """Estimated energy of one inference, in joules, as the least and the most by the assumptions.

    Attributes:
        arithmetic: Of products, sums and other operations.
        weights: Of fetching each stored weight once.
        activations: Of reading and writing what is computed.
        assumptions: What this rests on, in sentences.
    """

    arithmetic: float
    weights: tuple[float, float]
    activations: tuple[float, float]
    assumptions: tuple[str, ...]

    @property
    def joules(self) -> tuple[float, float]:
        """The least and the most, of all together."""
        low, high = (
            self.arithmetic + self.weights[side] + self.activations[side] for side in (0, 1)
        )
        return low, high


@dataclass(frozen=True)
class Quantity:
    """One line of a comparison.

    Attributes:
        name: What is compared.
        unit: Of the numbers; empty for counts.
        dense: Of the dense network.
        ticket: Of the ticket.
        ratio: How many times the ticket needs less; None where it needs nothing.
    """

    name: str
    unit: str
    dense: float
    ticket: float
    ratio: float | None


@dataclass(frozen=True)
class EnergyComparison:
    """A dense network's file against a ticket's.

    Attributes:
        rows: What is compared, line by line.
        assumptions: What the lines of energy rest on, in sentences.
    """

    rows: tuple[Quantity, ...]
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def estimate(cost: Cost, model: EnergyModel | None = None, *, beside: Cost | None = None) -> Energy:
    """Estimate the energy of one inference by a model of energy.

    Args:
        cost: What the file does, from `count`.
        model: Energy of each operation; by default Horowitz's numbers for 45 nm.
        beside: What another file does: memories are then large enough for either, so that what is
            compared isn't which of them just fits into one.
    """
    model = EnergyModel() if model is None else model
    arithmetic = sum(
        operator.effective_multiply_adds
        * (model.multiply_pj[operator.arithmetic] + model.add_pj[operator.arithmetic])
        + operator.other_operations * model.add_pj[operator.arithmetic]
        for operator in cost.operators
    )
    held = (cost,) if beside is None else (cost, beside)
    weights = model.memory_for(max(each.weight_bytes for each in held))
    activations = model.memory_for(max(each.peak_activation_bytes for each in held))
    return Energy(
        arithmetic=arithmetic * _PICO,
        weights=_moving(cost.weight_bytes, weights),
        activations=_moving(cost.activation_bytes, activations),
        assumptions=_assumptions(cost, model, weights, activations),
    )


def compare(dense: Cost, ticket: Cost, model: EnergyModel | None = None) -> EnergyComparison:
    """Estimate what a ticket's file saves against a dense network's.

    Energy is estimated twice: with the same memories for both, which tells what less arithmetic and
    fewer bytes save; and with each file in the smallest memories that hold it, where much depends
    on whether it just fits.

    Args:
        dense: What the dense file does, from `count`.
        ticket: What the ticket's does.
        model: As for `estimate`.

    Returns:
        Counts, bytes and estimated energy of both; data for a table.
    """
    same = estimate(dense, model, beside=ticket), estimate(ticket, model, beside=dense)
    own = estimate(dense, model), estimate(ticket, model)
    rows = [
        _quantity(name, unit, getattr(dense, attribute), getattr(ticket, attribute))
        for name, unit, attribute in _COUNTED
    ]
    rows.append(_quantity("estimated energy of arithmetic", "J", *(e.arithmetic for e in same)))
    for where, energies in (("in the same memories", same), ("in the smallest memories", own)):
        for side, bound in enumerate(("low", "high")):
            name = f"estimated energy {where}, {bound}"
            rows.append(_quantity(name, "J", *(energy.joules[side] for energy in energies)))
    return EnergyComparison(tuple(rows), _joined(same, own))


def _joined(same: tuple[Energy, Energy], own: tuple[Energy, Energy]) -> tuple[str, ...]:
    """Each assumption once; of whom, or where, in front of it unless it holds throughout."""
    everywhere = [
        said
        for said in same[0].assumptions
        if all(said in energy.assumptions for energy in (*same, *own))
    ]
    sources = (("In the same memories", same[0]), ("Dense", own[0]), ("Ticket", own[1]))
    others = [
        f"{who}: {said[0].lower()}{said[1:]}"
        for who, energy in sources
        for said in energy.assumptions
        if said not in everywhere
    ]
    return (*everywhere, *others)


def _quantity(name: str, unit: str, dense: float, ticket: float) -> Quantity:
    return Quantity(name, unit, dense, ticket, dense / ticket if ticket else None)


def _moving(size_bytes: int, memory: Memory) -> tuple[float, float]:
    words = size_bytes / _WORD_BYTES
    low, high = memory.pj_per_word
    return words * low * _PICO, words * high * _PICO


def _assumptions(
    cost: Cost, model: EnergyModel, weights: Memory, activations: Memory
) -> tuple[str, ...]:
    said = [
        f"An estimate for no device in particular, from the numbers of {model.name}.",
        "Counted are products, sums, and each weight and activation moved once; not counted are "
        "fetching and decoding of instructions, caches that are missed, leakage, and flash.",
        f"All weights that are read are in {weights.name}.",
        f"Activations are in {activations.name}.",
    ]
    if cost.uncounted:
        said.append(f"Not counted: {', '.join(cost.uncounted)}, whose cost isn't known.")
    return tuple(said)
