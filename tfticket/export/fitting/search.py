"""`fit`: the file of a network that keeps a budget, or which limit stands in the way."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.errors import ExportError, ModelError
from tfticket.export.fitting.alternatives import alternatives
from tfticket.export.fitting.budget import Budget, missing
from tfticket.export.fitting.candidates import Candidate, Data, Maker, Storage, Target
from tfticket.export.fitting.fitted import Fitted, against, kept, untrained
from tfticket.export.fitting.narrowing import (
    Training,
    accuracy,
    hot_keys,
    narrowed,
    narrowed_to,
    narrowest,
    probabilities,
    train,
)
from tfticket.export.fitting.rounds import Rounds
from tfticket.export.fitting.sizing import AIM, bounded, dense_of_bytes, narrowed_to_bytes
from tfticket.export.preparation import check_exportable
from tfticket.export.result import Preprocessing
from tfticket.wording import duration

_MOST_ROUNDS = 24
_HOPELESS = 0.05  # accuracy that is missing while the file is still too large
_LONGER = 4  # times the steps of a round, where only accuracy is missing, or a round costs
_COSTLY = 0.01  # this much
_PAUSE = 10.0  # seconds between two lines about a training

Tell = Callable[[str], None]


def fit(
    model: keras.Model,
    path: str | os.PathLike[str],
    budget: Budget,
    *,
    training: Training,
    validation: Data,
    test: Data | None = None,
    target: Target = "micro",
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, Any] | None = None,
    trained_steps: int = 0,
    control: bool = True,
    folder: str | os.PathLike[str] | None = None,
    tell: Tell | None = None,
) -> Fitted:
    """Fit a trained classifier into a device: narrow it until its int8 file keeps a budget.

    The network as it is comes first. Where rounding to int8 loses the accuracy, other ways to store
    it are tried, the cheapest first: for `micro` `int16x8`, then the layers that rounding costs
    most in float (see `sensitivity`); for phones `dynamic`, such layers, `fp16`, `fp32`, and
    `int16x8`, which is slow there. Then channels of lowest magnitude are taken out round by round,
    with a training behind each that rewinds the learning rate (Renda, Frankle & Carbin 2020,
    arXiv:2003.02389). A round takes as many as the limit needs that is exceeded most; where only
    RAM is exceeded, the layers with the largest activations give way. The first round tries whether
    learning half from the dense network helps. The search stops as soon as the budget is kept, or
    is shown to be out of reach.

    What keeps it is held against the obvious alternative: a dense network of no more bytes, all of
    its layers narrower by the same factor, trained from new weights for as many steps. If that is
    as accurate, it is what is written.

    Args:
        model: A built Sequential or Functional classifier. It isn't changed.
        path: Where to write; must end in `.tflite`.
        budget: The limits.
        training: Training data, and how long to train after each round.
        validation: Examples as the model takes them and their labels, which all choices go by.
        test: The same, which no choice goes by.
        target: `micro` (TensorFlow Lite Micro, slim, with C sources) or `phone` (LiteRT).
        preprocessing: How raw data becomes what the model takes.
        provenance: What the file is to tell about its origin.
        trained_steps: Optimizer steps that the model has been trained for; the control gets as
            many more.
        control: Whether to train the control.
        folder: Where finished rounds are kept, to resume from; None keeps nothing.
        tell: Called with a line of progress.

    Returns:
        What was tried, what was written, and why. Nothing is written if the budget is out of reach.

    Raises:
        ExportError: when the model can't be exported in int8, or an argument is out of its range.
        ModelError: for a subclassed model.
        RunError: when `folder` is about another model or budget, or a file can't be written.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 400)
        >>> x = (rng.normal(size=(400, 4)) + 3 * y[:, None]).astype("float32")
        >>> hidden, out = keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out])
        >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = model.fit(x, y, epochs=20, verbose=0)
        >>> budget = Budget(accuracy=0.9, flash_bytes=2600)
        >>> training = Training(x[:300], y[:300], steps=50)
        >>> fitted = fit(model, "net.tflite", budget, training=training,
        ...              validation=(x[300:], y[300:]), target="phone", control=False)
        >>> fitted.met, fitted.chosen.taken.flash_bytes <= 2600
        (True, True)
    """
    maker = Maker(Path(path), budget, training, validation, test, target, preprocessing, provenance)
    found = search(
        model, maker, trained_steps=trained_steps, control=control, folder=folder, tell=tell
    )
    return found if found.chosen is None else replace(found, files=maker.write(found.chosen))


def search(
    model: keras.Model,
    maker: Maker,
    *,
    trained_steps: int = 0,
    control: bool = True,
    folder: str | os.PathLike[str] | None = None,
    tell: Tell | None = None,
) -> Fitted:
    """Search as `fit` does, and write nothing but finished rounds.

    Args:
        model: As for `fit`.
        maker: Makes its files, and holds the data and the budget.
        trained_steps: As for `fit`.
        control: As for `fit`.
        folder: As for `fit`.
        tell: As for `fit`.
    """
    if maker.path.suffix != ".tflite":
        raise ExportError(f"`path` must end in .tflite. Received: {maker.path}")
    check_exportable(model)
    budget = maker.budget
    rounds = Rounds.open(folder, maker.fingerprint(model))
    found = _Search(model, maker, rounds, tell or (lambda line: None))
    best, why = found.run()
    tested = maker.tested(best)
    tried = tuple(tested if each is best else each for each in found.candidates)
    best = tested
    if best.shortfalls:
        return Fitted(budget, tried, best, None, None, why)
    if best.model is model:
        return Fitted(budget, tried, best, None, best, f"{why} Nothing had to be taken out.")
    other = found.control(best, trained_steps) if control else None
    chosen = best
    if other is not None:
        better = not other.shortfalls and other.taken.accuracy >= best.taken.accuracy
        chosen = other if better else best
        why += against(other, better)
    return Fitted(budget, tried, best, other, chosen, why)


@dataclass
class _Search:
    """Rounds of pruning and training, until the budget is kept or out of reach."""

    model: keras.Model
    maker: Maker
    rounds: Rounds
    tell: Tell

    def __post_init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.steps = 0
        self._teacher: np.ndarray | None = None
        self._storage = Storage()
        self._bytes_a_parameter = 1.0
        self._begun = time.monotonic()

    def run(self) -> tuple[Candidate, str]:
        """Search; return what keeps the budget or came nearest, and why, in sentences."""
        now = self._given()
        budget = self.maker.budget
        for place in range(1, _MOST_ROUNDS + 1):
            missing = now.shortfalls
            if not missing:
                return now, kept(now, budget)
            if missing.get("accuracy", 0.0) > _HOPELESS:
                because = "narrower networks are less accurate still"
                return self._out_of_reach(because if place > 1 else untrained(now, budget))
            if missing.keys() == {"accuracy"}:
                return self._longer(now, place)
            too_large = self._floor(now) if place == 1 else ""
            if too_large:
                return self._out_of_reach(too_large)
            try:
                now = self._try(*self._round(now, place))
            except (ModelError, ExportError) as error:
                return self._out_of_reach(str(error).rstrip("."))
        return self._out_of_reach(f"{_MOST_ROUNDS} rounds were not enough")

    def _given(self) -> Candidate:
        """The network as it was given; in another format where there is no int8 of it."""
        name = "the network as it was given"
        try:
            return self._try(name, self.model)
        except ExportError:
            if self.maker.target == "micro":
                raise
        self._storage = Storage("dynamic")
        return self._try(name, self.model)

    def _floor(self, now: Candidate) -> str:
        """Say why no network with these layers is small enough; nothing if one may be."""
        try:
            smallest = narrowest(self.model)
        except ModelError as error:
            return str(error).rstrip(".")
        taken, budget = self.maker.sketch(smallest, self._storage), self.maker.budget
        if taken is None:
            return ""
        removed = self.model.count_params() - smallest.count_params()
        self._bytes_a_parameter = (now.taken.flash_bytes - taken.flash_bytes) / max(removed, 1)
        for name, limit, least in (
            ("file", budget.flash_bytes, taken.flash_bytes),
            ("RAM", budget.ram_bytes, taken.activation_bytes),
        ):
            if limit is not None and least > limit:
                return f"with one channel left in each layer the {name} still takes {least:,} bytes"
        return ""

    def _round(self, now: Candidate, place: int) -> tuple[str, keras.Model]:
        """Take out channels and train; or load what an earlier search did."""
        found = self.rounds.load(place)
        if found is None:
            found = self._trained(self._narrower(now), place)
            self.rounds.save(place, found)
        elif self._teacher is None and self.rounds.taught:
            self._teacher = probabilities(self.model, self.maker.training.x)
        self.steps += self.maker.training.steps_a_round
        if now.taken.accuracy - accuracy(found, *self.maker.validation) > _COSTLY:
            found = self._trained_on(found, f"round_{place:02d}_longer")
        share = found.count_params() / self.model.count_params()
        return f"the network with {share:.1%} of its parameters", found

    def _narrower(self, now: Candidate) -> keras.Model:
        """Take out as many channels as the limit needs that is exceeded most, within bounds."""
        over = {name: ratio for name, ratio in now.shortfalls.items() if name != "accuracy"}
        worst = max(over, key=lambda name: over[name])
        taken = now.taken
        if worst == "ram":
            fixed = taken.ram_bytes - taken.activation_bytes
            left = bounded((AIM * taken.ram_bytes / over[worst] - fixed) / taken.activation_bytes)
            return narrowed(now.model, 1 - left, keys=hot_keys(now.model))
        if worst == "time":
            return narrowed_to(now.model, bounded(AIM / over[worst]))
        limit = self.maker.budget.flash_bytes or 0
        return narrowed_to_bytes(now, self.maker, limit=limit, bytes_each=self._bytes_a_parameter)

    def _trained(self, narrow: keras.Model, place: int) -> keras.Model:
        what = f"round {place}: {narrow.count_params():,} parameters"
        if place > 1:
            self._train(narrow, what, f"round {place}", teacher=self._teacher)
            return narrow
        other = _copy(narrow)
        teacher = probabilities(self.model, self.maker.training.x)
        self._train(narrow, what, f"round {place}")
        self._train(other, f"{what}, distilled", f"round {place}", teacher=teacher)
        plain, taught = (accuracy(each, *self.maker.validation) for each in (narrow, other))
        if taught > plain:
            self.tell(f"Learning half from the dense network helps: {taught:.2%}, not {plain:.2%}.")
            self._teacher = teacher
            self.rounds.remember_teacher()
            return other
        return narrow

    def _train(
        self,
        model: keras.Model,
        what: str,
        stream: str,
        *,
        steps: int | None = None,
        teacher: np.ndarray | None = None,
    ) -> None:
        """Train a network and tell of it."""
        training = self.maker.training
        steps = training.steps_a_round if steps is None else steps
        began = told = time.monotonic()

        def hook(made: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _PAUSE and made < steps:
                told, left = now, (now - began) / made * (steps - made)
                self.tell(f"  step {made:,} of {steps:,}, about {duration(left)} left")

        self.tell(f"{what[0].upper()}{what[1:]}, {steps:,} steps")
        train(model, training, steps=steps, stream=stream, teacher=teacher, hook=hook)

    def _trained_on(self, model: keras.Model, name: int | str) -> keras.Model:
        """Train a copy for several times the steps of a round; or load it."""
        found, steps = self.rounds.load(name), _LONGER * self.maker.training.steps_a_round
        if found is None:
            found = _copy(model)
            self._train(found, "training longer", "longer", steps=steps, teacher=self._teacher)
            self.rounds.save(name, found)
        self.steps += steps
        return found

    def _longer(self, now: Candidate, place: int) -> tuple[Candidate, str]:
        """Only accuracy is missing, and not much: train longer."""
        found = self._trained_on(now.model, place)
        last = self._try(f"{now.name}, trained longer", found)
        if not last.shortfalls:
            return last, kept(last, self.maker.budget)
        return self._out_of_reach("training longer didn't bring it back")

    def _out_of_reach(self, because: str) -> tuple[Candidate, str]:
        def distance(candidate: Candidate) -> float:
            over = [math.log(r) for name, r in candidate.shortfalls.items() if name != "accuracy"]
            return sum(over) + 10 * candidate.shortfalls.get("accuracy", 0.0)

        nearest = min(self.candidates, key=distance)
        limits = " and ".join(nearest.shortfalls)
        return nearest, (
            f"The budget ({self.maker.budget.describe()}) is out of reach: {because}. Nearest came "
            f"{nearest.name}: {nearest.taken.describe()}; what stands in the way is {limits}."
        )

    def _try(self, name: str, model: keras.Model) -> Candidate:
        """Make the file of a network; where its storage alone may be at fault, in others too.

        The search goes on with a storage that keeps the accuracy of the network as it was given,
        where int8 doesn't and another limit is exceeded.
        """
        found, accurate = self._candidate(name, model, self._storage), None
        for storage in alternatives(found, self.maker, self.tell):
            try:
                other = self._candidate(name, model, storage)
            except ExportError as error:
                self.tell(f"{name} in {storage.describe()}: no file. {error}")
                continue
            if not other.shortfalls:
                return other
            if accurate is None and "accuracy" not in other.shortfalls:
                accurate = other
        if model is self.model and "accuracy" in found.shortfalls and accurate is not None:
            self._storage = accurate.storage
            return accurate
        return found

    def _candidate(self, name: str, model: keras.Model, storage: Storage) -> Candidate:
        found = self.maker.candidate(name, model, storage)
        self.candidates.append(found)
        verdict = missing(found.shortfalls) or "within the budget"
        since = duration(time.monotonic() - self._begun)
        self.tell(f"{name}{storage.suffix()}: {found.taken.describe()}: {verdict} ({since})")
        return found

    def control(self, best: Candidate, trained_steps: int) -> Candidate | None:
        """Train a dense network of no more bytes from new weights, for as many steps."""
        steps = max(1, self.steps + trained_steps)
        found = self.rounds.load("control")
        if found is None:
            found = dense_of_bytes(self.model, best, self.maker)
            if found is None:
                return None
            count = f"{found.count_params():,}"
            what = f"the control: a dense network of {count} parameters from new weights"
            self._train(found, what, "control", steps=steps)
            self.rounds.save("control", found)
        name = f"a dense network of {found.count_params():,} parameters from new weights"
        made = self.maker.tested(self.maker.candidate(name, found, best.storage))
        self.tell(f"{name}, {steps:,} steps: {made.taken.describe()}")
        return made


def _copy(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
