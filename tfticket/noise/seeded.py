"""A Keras model that keeps the states of all seeds in its file."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.internals import flat_layers, own_seeds

_SEED = "seed_"


class SeededModel(keras.Model):
    """Abstract base of models that go on from a `.keras` file with the same random numbers.

    Keras saves no state of a seed generator, so dropout would draw again what it drew before.
    """

    def save_own_variables(self, store: Any) -> None:
        """Save its variables, and the states of all seeds, which Keras doesn't save."""
        super().save_own_variables(store)
        for number, state in enumerate(self._seed_states()):
            store[f"{_SEED}{number}"] = state

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        saved = {name: store[name] for name in tuple(store.keys())}
        seeds = {name: saved.pop(name) for name in list(saved) if name.startswith(_SEED)}
        super().load_own_variables(saved)
        for number, state in enumerate(self._seed_states()):
            state.assign(seeds[f"{_SEED}{number}"])

    def _seed_states(self) -> list[keras.Variable]:
        layers = [x for x in flat_layers(self) if not isinstance(x, keras.metrics.Metric)]
        return [state for layer in layers for state in own_seeds(layer)]
