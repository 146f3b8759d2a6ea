"""`fit`: the file of a network that keeps a budget, or which limit stands in the way."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.errors import ExportError, ModelError
from tfticket.export.fitting.budget import Budget
from tfticket.export.fitting.candidates import Candidate, Data, Maker, Target
from tfticket.export.fitting.narrowing import (
    Training,
    accuracy,
    as_if_trained,
    hot_keys,
    narrowed,
    probabilities,
    train,
    uniformly_narrow,
)
from tfticket.export.fitting.rounds import Rounds
from tfticket.export.preparation import check_exportable
from tfticket.export.result import Preprocessing

_MOST_ROUNDS = 24
_AIM = 0.98  # of a limit, so that what is predicted may be a little off
_LEAST_LEFT, _MOST_LEFT = 0.6, 0.97  # of the weights, or of the activations, after a round
_HOPELESS = 0.05  # accuracy that is missing while the file is still too large
_LONGER = 4  # times the steps of a round, where only accuracy is missing
_TRIES, _SLACK = 8, 32  # widths of a control; bytes by which training may change its file
_UNTRAINED = "the network itself isn't as accurate; train it first"


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Displayable):
    """The result of `fit`.

    Attributes:
        budget: The limits.
        candidates: All that was tried, in order; the first is the network as it was given.
        best: The one that keeps the budget, or came nearest.
        control: A dense network of no more bytes, trained from new weights for as many steps; None
            where the network as it was given keeps the budget, or nothing does.
        chosen: What was written: `best`, or `control` where that is at least as accurate; None
            where the budget is out of reach.
        reason: Why, in sentences.
        files: The files that were written.
    """

    budget: Budget
    candidates: tuple[Candidate, ...]
    best: Candidate
    control: Candidate | None
    chosen: Candidate | None
    reason: str
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"Fitted({'met' if self.met else 'out of reach'}, {len(self.candidates)} tried)"

    @property
    def met(self) -> bool:
        """Whether the budget is kept."""
        return self.chosen is not None

    def summary(self) -> str:
        """Return what was found, in sentences."""
        return self.reason

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each network that was tried, the control last."""
        control = [] if self.control is None else [self.control]
        return [each.to_dict() for each in (*self.candidates, *control)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "met": self.met,
            "budget": self.budget.describe(),
            "chosen": None if self.chosen is None else self.chosen.name,
            "reason": self.reason,
            "files": [str(path) for path in self.files],
            "tried": self.to_rows(),
        }

    def _figure(self) -> Figure | None:
        found = (
            [each.taken.flash_bytes / 1000 for each in self.candidates],
            [100 * each.taken.accuracy for each in self.candidates],
        )
        return lines({"pruned": found}, "size of the file (kB)", "validation accuracy (%)")


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
    path = Path(path)
    if path.suffix != ".tflite":
        raise ExportError(f"`path` must end in .tflite. Received: {path}")
    check_exportable(model)
    maker = Maker(path, budget, training, validation, test, target, preprocessing, provenance)
    rounds = Rounds.open(folder, maker.fingerprint(model))
    search = _Search(model, maker, rounds, tell or (lambda line: None))
    best, why = search.run()
    if best.shortfalls:
        return Fitted(budget, tuple(search.candidates), best, None, None, why)
    if len(search.candidates) == 1:
        why += " Nothing had to be taken out."
        return Fitted(budget, (best,), best, None, best, why, maker.write(best))
    other = search.control(best, trained_steps) if control else None
    chosen = best
    if other is not None:
        better = not other.shortfalls and other.taken.accuracy >= best.taken.accuracy
        chosen = other if better else best
        why += _against(other, better)
    tried = tuple(search.candidates)
    return Fitted(budget, tried, best, other, chosen, why, maker.write(chosen))


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

    def run(self) -> tuple[Candidate, str]:
        """Search; return what keeps the budget or came nearest, and why, in sentences."""
        now = self._try("the network as it was given", self.model)
        budget = self.maker.budget
        for place in range(1, _MOST_ROUNDS + 1):
            missing = now.shortfalls
            if not missing:
                return now, _kept(now, budget)
            if missing.keys() == {"accuracy"}:
                return self._longer(now, place)
            if missing.get("accuracy", 0.0) > _HOPELESS:
                return self._out_of_reach(
                    "narrower networks are less accurate still" if place > 1 else _UNTRAINED
                )
            try:
                now = self._try(*self._round(now, place))
            except (ModelError, ExportError) as error:
                return self._out_of_reach(str(error).rstrip("."))
        return self._out_of_reach(f"{_MOST_ROUNDS} rounds were not enough")

    def _round(self, now: Candidate, place: int) -> tuple[str, keras.Model]:
        """Take out channels and train; or load what an earlier search did."""
        found = self.rounds.load(place)
        if found is None:
            keys, left = self._what_goes(now)
            narrow = narrowed(now.model, 1 - left, keys=keys)
            found = self._trained(narrow, place)
            self.rounds.save(place, found)
        elif self._teacher is None and self.rounds.taught:
            self._teacher = probabilities(self.model, self.maker.training.x)
        self.steps += self.maker.training.steps_a_round
        share = found.count_params() / self._parameters
        return f"the network with {share:.1%} of its parameters", found

    def _what_goes(self, now: Candidate) -> tuple[tuple[str, ...] | None, float]:
        """Which kernels give way (None: all compete), and the share of the channels that stay."""
        over = {name: ratio for name, ratio in now.shortfalls.items() if name != "accuracy"}
        worst = max(over, key=lambda name: over[name])
        left = _AIM / over[worst]
        taken = now.taken
        if worst == "flash":
            left = _left(taken.flash_bytes, self._fixed_flash(now), over[worst])
        elif worst == "ram":
            left = _left(taken.ram_bytes, taken.ram_bytes - taken.activation_bytes, over[worst])
        left = min(max(left, _LEAST_LEFT), _MOST_LEFT)
        if worst == "ram":
            return hot_keys(now.model), left
        return None, math.sqrt(left)  # weights go with the square of the channels

    def _fixed_flash(self, now: Candidate) -> float:
        """Bytes of the file that don't shrink with the parameters, by the last two networks."""
        if len(self.candidates) < 2:
            return 0.0
        before = self.candidates[-2]
        parameters, others = now.model.count_params(), before.model.count_params()
        slope = (before.taken.flash_bytes - now.taken.flash_bytes) / max(others - parameters, 1)
        fixed = float(now.taken.flash_bytes - slope * parameters)
        return min(max(0.0, fixed), now.taken.flash_bytes - 1.0)

    def _trained(self, narrow: keras.Model, place: int) -> keras.Model:
        training = self.maker.training
        steps, stream = training.steps_a_round, f"round {place}"
        if place > 1:
            train(narrow, training, steps=steps, stream=stream, teacher=self._teacher)
            return narrow
        other = keras.models.clone_model(narrow)
        other.set_weights(narrow.get_weights())
        teacher = probabilities(self.model, training.x)
        train(narrow, training, steps=steps, stream=stream)
        train(other, training, steps=steps, stream=stream, teacher=teacher)
        plain, taught = (accuracy(each, *self.maker.validation) for each in (narrow, other))
        if taught > plain:
            self.tell(f"Learning half from the dense network helps: {taught:.2%}, not {plain:.2%}.")
            self._teacher = teacher
            self.rounds.remember_teacher()
            return other
        return narrow

    def _longer(self, now: Candidate, place: int) -> tuple[Candidate, str]:
        """Only accuracy is missing: train longer, if there was a round at all."""
        if len(self.candidates) == 1:
            return self._out_of_reach(_UNTRAINED)
        found = self.rounds.load(place)
        if found is None:
            model = keras.models.clone_model(now.model)
            model.set_weights(now.model.get_weights())
            steps = _LONGER * self.maker.training.steps_a_round
            train(model, self.maker.training, steps=steps, stream="longer", teacher=self._teacher)
            self.rounds.save(place, model)
            found = model
        self.steps += _LONGER * self.maker.training.steps_a_round
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
        found = self.maker.tested(self.maker.candidate(name, model))
        self.candidates.append(found)
        missing = ", ".join(found.shortfalls) or "nothing"
        self.tell(f"{name}: {found.taken.describe()}; missing: {missing}")
        return found

    def control(self, best: Candidate, trained_steps: int) -> Candidate | None:
        """Train a dense network of no more bytes from new weights, for as many steps."""
        training, goal = self.maker.training, best.taken.flash_bytes
        steps = max(1, self.steps + trained_steps)
        found = self.rounds.load("control")
        if found is None:
            found = self._of_size(goal, math.sqrt(best.model.count_params() / self._parameters))
            if found is None:
                return None
            train(found, training, steps=steps, stream="control")
            self.rounds.save("control", found)
        name = f"a dense network of {found.count_params():,} parameters from new weights"
        made = self.maker.tested(self.maker.candidate(name, found))
        self.tell(f"{name}, {steps:,} steps: {made.taken.describe()}")
        return made

    def _of_size(self, goal: int, share: float) -> keras.Model | None:
        """The network with all layers narrower by one factor, so that its file is small enough."""
        for _ in range(_TRIES):
            model = uniformly_narrow(self.model, share, seed=self.maker.training.seed)
            size = self.maker.candidate("a control", as_if_trained(model)).taken.flash_bytes
            if size <= goal - _SLACK:
                return model
            share *= min(0.97, math.sqrt(goal / size))
        return None

    @property
    def _parameters(self) -> int:
        return int(self.model.count_params())


def _left(taken: float, fixed: float, over: float) -> float:
    """Share of what isn't fixed that keeps a limit; `over` is what is taken over the limit."""
    return (_AIM * taken / over - fixed) / (taken - fixed)


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
    return f"{name} keeps the budget ({budget.describe()}): {candidate.taken.describe()}."
