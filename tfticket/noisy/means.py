"""Running means that share one variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras


class Means(keras.metrics.Metric):
    """Several weighted means, reported by their names.

    As many of Keras' `Mean` say the same, but each brings two variables and a dozen operations to
    a step, and in small networks that is what a step costs.

    Args:
        names: What the means are called, in the order in which they are reported.
        name: As for any metric.
    """

    def __init__(self, names: Sequence[str], *, name: str = "means") -> None:
        super().__init__(name=name)
        self._names = tuple(names)
        self._sums = self.add_variable(
            shape=(2, len(self._names)), initializer="zeros", name="sums"
        )

    def update_state(self, added: Mapping[str, tuple[Any, Any]]) -> None:
        """Adds to some means or all.

        Args:
            added: The weighted sum of the new values and the sum of their weights, scalars, by
                name.
        """
        ops = keras.ops
        nothing = dict.fromkeys(self._names, (0.0, 0.0))
        sums, weights = zip(*({**nothing, **added}[name] for name in self._names), strict=True)
        numbers = [ops.cast(number, self.dtype) for number in (*sums, *weights)]
        self._sums.assign_add(ops.reshape(ops.stack(numbers), (2, -1)))

    def result(self) -> dict[str, Any]:
        """Each mean by name, float32 scalars; 0 where nothing was added."""
        ops = keras.ops
        means = ops.divide_no_nan(self._sums[0], self._sums[1])
        return dict(zip(self._names, ops.unstack(means), strict=True))
