"""`fit`: the file of a network that keeps a budget, or which limit stands in the way."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.errors import ExportError, ModelError
from tfticket.export.fitting.budget import Budget, Taken, missing
from tfticket.export.fitting.candidates import Candidate, Data, Maker, Target
from tfticket.export.fitting.fitted import Fitted
from tfticket.export.fitting.narrowing import (
    Training,
    accuracy,
    hot_keys,
    narrowed,
    narrowed_to,
    narrowest,
    probabilities,
    train,
    uniformly_narrow,
)
from tfticket.export.fitting.rounds import Rounds
from tfticket.export.preparation import check_exportable
from tfticket.export.result import Format, Preprocessing
from tfticket.wording import duration

_MOST_ROUNDS = 24
_AIM = 0.98  # of a limit, so that what is predicted may be a little off
_LEAST_LEFT, _MOST_LEFT = 0.6, 0.98  # of the weights, or of the activations, after a round
_HOPELESS = 0.05  # accuracy that is missing while the file is still too large
_LONGER = 4  # times the steps of a round, where only accuracy is missing, or a round costs
_COSTLY = 0.01  # this much
_TRIES, _SLACK = 8, 32  # sizes that are looked at; bytes by which training may change a file
_NEAR, _FINE = 0.98, 0.01  # of the bytes that a control may take, of its widths: near enough
_EXACTER: Mapping[Format, int] = {"dynamic": 1, "fp16": 2, "fp32": 4}  # and bytes a weight
_PAUSE = 10.0  # seconds between two lines about a training
_UNTRAINED = "the network itself isn't as accurate; train it first"


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

    The network as it is comes first. Then channels of lowest magnitude are taken out round by
    round, with a training behind each that rewinds the learning rate (Renda, Frankle & Carbin 2020,
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
        why += _against(other, better)
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
        self._format: Format = "int8"
        self._bytes_a_parameter = 1.0
        self._begun = time.monotonic()

    def run(self) -> tuple[Candidate, str]:
        """Search; return what keeps the budget or came nearest, and why, in sentences."""
        now = self._given()
        budget = self.maker.budget
        for place in range(1, _MOST_ROUNDS + 1):
            missing = now.shortfalls
            if not missing:
                return now, _kept(now, budget)
            if missing.get("accuracy", 0.0) > _HOPELESS:
                because = "narrower networks are less accurate still"
                return self._out_of_reach(because if place > 1 else _untrained(now))
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
        self._format = "dynamic"
        return self._try(name, self.model)

    def _floor(self, now: Candidate) -> str:
        """Say why no network with these layers is small enough; nothing if one may be."""
        try:
            smallest = narrowest(self.model)
        except ModelError as error:
            return str(error).rstrip(".")
        taken, budget = self._sketch(smallest, self._format), self.maker.budget
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

    def _sketch(self, model: keras.Model, format: Format) -> Taken | None:
        """Tell what a file will take; None where weights that fit nothing yet give none that runs.

        Scales of an untrained network can be so far apart that no runtime takes them.
        """
        try:
            return self.maker.sketch(model, format)
        except ExportError:
            return None

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
        share = found.count_params() / self._parameters
        return f"the network with {share:.1%} of its parameters", found

    def _narrower(self, now: Candidate) -> keras.Model:
        """Take out as many channels as the limit needs that is exceeded most, within bounds."""
        over = {name: ratio for name, ratio in now.shortfalls.items() if name != "accuracy"}
        worst = max(over, key=lambda name: over[name])
        taken = now.taken
        if worst == "ram":
            fixed = taken.ram_bytes - taken.activation_bytes
            left = _bounded((_AIM * taken.ram_bytes / over[worst] - fixed) / taken.activation_bytes)
            return narrowed(now.model, 1 - left, keys=hot_keys(now.model))
        if worst == "time":
            return narrowed_to(now.model, _bounded(_AIM / over[worst]))
        limit = self.maker.budget.flash_bytes or 0
        removed = (taken.flash_bytes - limit) / self._bytes_a_parameter
        left = _bounded(1 - removed / now.model.count_params())
        for _ in range(_TRIES):
            narrow = narrowed_to(now.model, left)
            sized = self._sketch(narrow, self._format)
            if left == _LEAST_LEFT or sized is None or sized.flash_bytes <= limit - _SLACK:
                break
            left = max(_LEAST_LEFT, left * min(0.99, _AIM * limit / sized.flash_bytes))
        return narrow

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
            return last, _kept(last, self.maker.budget)
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
        """Make the file of a network; where its format alone may be at fault, in others too."""
        found = self._candidate(name, model, self._format)
        for format in self._others(found):
            try:
                other = self._candidate(name, model, format)
            except ExportError as error:
                self.tell(f"{name} in {format}: no file. {error}")
                continue
            if not other.shortfalls:
                return other
        return found

    def _candidate(self, name: str, model: keras.Model, format: Format) -> Candidate:
        found = self.maker.candidate(name, model, format)
        self.candidates.append(found)
        verdict = missing(found.shortfalls) or "within the budget"
        since = duration(time.monotonic() - self._begun)
        kind = "" if format == "int8" else f" in {format}"
        self.tell(f"{name}{kind}: {found.taken.describe()}: {verdict} ({since})")
        return found

    def _others(self, found: Candidate) -> Iterator[Format]:
        """Formats that may keep the limit that this one doesn't, those of fewest bytes first."""
        over = set(found.shortfalls)
        if self.maker.target == "micro" or not over:
            return
        flash = self.maker.budget.flash_bytes or math.inf
        if over == {"flash"} and found.taken.flash_bytes / 2 < flash and _has_int4():
            yield "int4"
        if over == {"accuracy"} and found.draft.report.verification.keras_accuracy is not None:
            if found.draft.report.verification.keras_accuracy < self.maker.budget.accuracy:
                return
            for format, factor in _EXACTER.items():
                if format != self._format and factor * found.taken.flash_bytes < 1.2 * flash:
                    yield format

    def control(self, best: Candidate, trained_steps: int) -> Candidate | None:
        """Train a dense network of no more bytes from new weights, for as many steps."""
        goal, steps = best.taken.flash_bytes, max(1, self.steps + trained_steps)
        found = self.rounds.load("control")
        if found is None:
            found = self._of_size(goal, best)
            if found is None:
                return None
            count = f"{found.count_params():,}"
            what = f"the control: a dense network of {count} parameters from new weights"
            self._train(found, what, "control", steps=steps)
            self.rounds.save("control", found)
        name = f"a dense network of {found.count_params():,} parameters from new weights"
        made = self.maker.tested(self.maker.candidate(name, found, best.format))
        self.tell(f"{name}, {steps:,} steps: {made.taken.describe()}")
        return made

    def _of_size(self, goal: int, best: Candidate) -> keras.Model | None:
        """The widest network whose file is small enough, all layers narrower by one factor."""
        low, high, found = 0.0, 1.0, None
        share = math.sqrt(best.model.count_params() / self._parameters)
        for _ in range(_TRIES):
            model = uniformly_narrow(self.model, share, seed=self.maker.training.seed)
            sized = self._sketch(model, best.format)
            size = goal if sized is None else sized.flash_bytes
            if size <= goal - _SLACK:
                low, found = share, model
                if size > _NEAR * goal:
                    break
            else:
                high = share
            guess = share * goal / size
            share = guess if low < guess < high else (low + high) / 2
            if high - low < _FINE:
                break
        return found

    @property
    def _parameters(self) -> int:
        return int(self.model.count_params())


def _bounded(left: float) -> float:
    return min(max(left, _LEAST_LEFT), _MOST_LEFT)


def _copy(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _has_int4() -> bool:
    return importlib.util.find_spec("ai_edge_quantizer") is not None


def _untrained(given: Candidate) -> str:
    """Say that a network isn't accurate enough to begin with, and what was seen of it."""
    warnings = given.draft.report.warnings
    return " ".join([_UNTRAINED, *(f"({warning.rstrip('.')})" for warning in warnings)])


def _against(control: Candidate, better: bool) -> str:
    """Say how the control did, in a sentence."""
    told = (
        f"a dense network of {control.taken.flash_bytes:,} bytes, trained from new weights for as "
        f"many steps, reaches {control.taken.accuracy:.2%}"
    )
    if better:
        return f" But {told}: it is what was written."
    if control.shortfalls:
        told += f" and doesn't keep the limit of {' and '.join(control.shortfalls)}"
    return f" A{told[1:]}."


def _kept(candidate: Candidate, budget: Budget) -> str:
    name = candidate.name[0].upper() + candidate.name[1:]
    kind = "" if candidate.format == "int8" else f" in {candidate.format}"
    return f"{name}{kind} keeps the budget ({budget.describe()}): {candidate.taken.describe()}."
