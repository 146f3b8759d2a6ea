"""Data and labels for a file of any origin: which belong to which input and output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.inspect.delegates import Feed
from tfticket.export.labels import check_numbers
from tfticket.export.runtime import TensorSpec

Given = np.ndarray | Mapping[str, np.ndarray]


def arrays_of(raw: Given, y: Given | None) -> dict[str, np.ndarray]:
    """Return data and labels under the names that `named` takes apart, once they are numbers.

    Raises:
        ExportError: when some aren't.
    """
    return {
        f"{what}.{name}": check_numbers(array, f"{what}[{name!r}]" if name else what)
        for what, given in (("raw", raw), ("y", {} if y is None else y))
        for name, array in (given if isinstance(given, Mapping) else {"": given}).items()
    }


def named(arrays: Mapping[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `what`, without it."""
    return {
        name.removeprefix(what): array for name, array in arrays.items() if name.startswith(what)
    }


def labelled(
    specs: Sequence[TensorSpec],
    outputs: Sequence[np.ndarray],
    labels: Mapping[str, np.ndarray],
    source: str,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, answers and labels of each output that has labels; one may have no name."""
    if "" in labels:  # of the first output
        yield specs[0].name, outputs[0], labels[""]
        return
    by_name = {spec.name: answers for spec, answers in zip(specs, outputs, strict=bool(labels))}
    unknown = labels.keys() - by_name.keys()
    if unknown:
        raise ExportError(
            f"Labels must have names of outputs of {source}: {', '.join(by_name)}. Received: "
            f"{', '.join(sorted(unknown))}."
        )
    for name, right in labels.items():
        yield name, by_name[name], right


def given_to(
    specs: Sequence[TensorSpec],
    raw: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any] | None,
    source: str,
) -> Iterator[Feed]:
    """The data by the names of inputs; of one without a name, as the metadata says that it is fed.

    Raw data by name goes through what the metadata says of these inputs, where it says anything.
    """
    if "" in raw and (provenance is None or len(specs) != 1):
        raise ExportError(
            f"{source} must say how raw data becomes its input to be tried on data. It holds no "
            "metadata of tfticket. Check it without data, or give the numbers that it takes, by "
            f"name: {', '.join(spec.name for spec in specs)}."
        )
    names = [""] if "" in raw else [spec.name for spec in specs]
    if raw.keys() != set(names):
        raise ExportError(
            f"The data must have an array for each input of {source}: {', '.join(names)}. "
            f"Received: {', '.join(raw)}."
        )
    feeding = {} if provenance is None else provenance["feeding"]
    fed = []
    for name, spec in zip(names, specs, strict=True):
        array = raw[name]
        if tuple(array.shape[1:]) != spec.shape[1:]:
            raise ExportError(
                f"The data must have examples of the shape that {source} takes, {spec.shape[1:]}. "
                f"Received: {array.shape[1:]}."
            )
        fed.append(_fed(array, spec, feeding if len(specs) == 1 else feeding.get(spec.name)))
    counts = {len(array) for array in raw.values()}
    if len(counts) > 1:
        raise ExportError(
            f"The data must have as many examples for each input of {source}. Received: "
            f"{', '.join(f'{len(array):,} of {name}' for name, array in raw.items())}."
        )
    return map(list, zip(*fed, strict=True))


def _fed(
    array: np.ndarray, spec: TensorSpec, feeding: Mapping[str, Any] | None
) -> Iterator[np.ndarray]:
    """Examples of one input as real numbers, with the batch."""
    if not feeding:
        yield from (example[None] for example in array)
        return
    scale, offset = np.asarray(feeding["scale"], np.float64), np.asarray(feeding["offset"])
    for example in array:
        fed = example * scale + offset
        if spec.scale is None or spec.zero_point is None:
            yield fed.astype(spec.dtype)[None]
        else:
            yield ((fed - spec.zero_point) * spec.scale)[None]
