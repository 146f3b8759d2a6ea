"""Networks that take part in a search: their files, and what these take of a budget."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, latency
from tfticket.export.activations import arena_lower_bound
from tfticket.export.conversion import Convertible
from tfticket.export.fitting.budget import Budget, Taken
from tfticket.export.fitting.narrowing import Training, as_if_trained
from tfticket.export.micro import MicroRun, check_on_micro
from tfticket.export.preparation import prepare
from tfticket.export.result import ExportReport, Format, Preprocessing
from tfticket.export.runtime import Session
from tfticket.export.self_test import write_micro_sources
from tfticket.export.slimming import cut_all, slim
from tfticket.export.tflite import Draft, draft
from tfticket.files import digest
from tfticket.state import named_variables
from tfticket.wording import brief_repr

Target = Literal["phone", "micro"]
Data = tuple[np.ndarray, np.ndarray]

_CALIBRATION = 200
_SKETCHED = 8  # examples that a file is run with whose size alone counts


@dataclass(frozen=True)
class Storage:
    """Storage of a network in a file.

    Attributes:
        format: The format.
        keep_float: Keys of layers that an int8 file computes with floats.
    """

    format: Format = "int8"
    keep_float: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return it in words.

        Example:
            >>> Storage("int8", ("first", "output")).describe()
            'int8 with first, output in float'
        """
        kept = f" with {', '.join(self.keep_float)} in float" if self.keep_float else ""
        return f"{self.format}{kept}"

    def suffix(self) -> str:
        """Return what goes behind the name of a network; nothing for int8."""
        return "" if self == Storage() else f" in {self.describe()}"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network, and what its file takes.

    Attributes:
        name: What was done to the network, in words.
        model: The network.
        storage: How the file stores it.
        draft: The file, not written.
        taken: What it takes of the budget.
        shortfalls: The limits that it doesn't keep, see `Budget.shortfalls`.
        run: Its run in TensorFlow Lite Micro; None where it wasn't run there.
        test_accuracy: Of the file on data that nothing was chosen by; None without, or where it
            wasn't measured.
    """

    name: str
    model: keras.Model
    storage: Storage
    draft: Draft
    taken: Taken
    shortfalls: Mapping[str, float]
    run: MicroRun | None = None
    test_accuracy: float | None = None

    __repr__ = brief_repr

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "format": self.storage.format,
            "keep_float": list(self.storage.keep_float),
            "parameters": self.model.count_params(),
            **self.taken.to_dict(),
            "shortfalls": dict(self.shortfalls),
            "test_accuracy": self.test_accuracy,
        }


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes files, and measures them."""

    path: Path
    budget: Budget
    training: Training
    validation: Data
    test: Data | None
    target: Target
    preprocessing: Preprocessing | None
    provenance: Mapping[str, Any] | None

    def candidate(self, name: str, model: keras.Model, storage: Storage) -> Candidate:
        """Convert a network, verify the file, and measure what it takes.

        Raises:
            ExportError: when there is no such file of the network.
        """
        made, run = self._draft(name, model, storage, self.validation), None
        if self.target == "micro":
            slimmed = slim(made.content, self.validation[0], source=self.path.name)
            made = made.slimmed(slimmed.content)
            run = check_on_micro(
                made.content, self.validation[0], self.path.name, floats=bool(storage.keep_float)
            )
        accuracy = float(made.report.verification.accuracy or 0.0)
        taken = self._taken(made, accuracy, run)
        return Candidate(name, model, storage, made, taken, self.budget.shortfalls(taken), run)

    def sketch(self, model: keras.Model, storage: Storage) -> Taken | None:
        """Tell what the file of a network will take once it is trained; its accuracy counts as 1.

        Where it would be run in TensorFlow Lite Micro, only the bytes of activations are known.

        Returns:
            None where there is no file that runs: scales of an untrained network can be so far
            apart that no runtime takes them.
        """
        x, y = self.validation
        few = (x[:_SKETCHED], y[:_SKETCHED])
        try:
            made = self._draft("sketch", as_if_trained(model), storage, few)
        except ExportError:
            return None
        if self.target == "micro":
            made = made.slimmed(cut_all(made.content, source=self.path.name))
        return self._taken(made, 1.0, None)

    def _draft(self, name: str, model: keras.Model, storage: Storage, check_on: Data) -> Draft:
        calibration = np.asarray(self.training.x[:_CALIBRATION], np.float32)
        return draft(
            Convertible(prepare(model).model, calibration, check_on, keep_float=storage.keep_float),
            self.path,
            format=storage.format,
            preprocessing=self.preprocessing,
            provenance={**(self.provenance or {}), "fitted": name},
            min_agreement=0.0,  # the accuracy of the file decides
        )

    def _taken(self, made: Draft, accuracy: float, run: MicroRun | None) -> Taken:
        needed = arena_lower_bound(flatbuffer.parse(made.content, source=self.path.name))
        timed = self.budget.microseconds is not None
        return Taken(
            accuracy=accuracy,
            flash_bytes=made.report.size_bytes,
            ram_bytes=needed if run is None else run.arena.arena_bytes,
            activation_bytes=needed,
            measured_ram=run is not None,
            microseconds=self._time(made.content) if timed else None,
        )

    def _time(self, content: bytes) -> float:
        session = Session(content, source=self.path.name)
        session.feed(self.validation[0][0])
        return latency.alone(session.invoke).microseconds

    def tested(self, candidate: Candidate) -> Candidate:
        """Score a file on test data."""
        if self.test is None:
            return candidate
        x, y = self.test
        outputs = Session(candidate.draft.content, source=self.path.name).run(x)
        return replace(candidate, test_accuracy=float((outputs.argmax(-1) == y).mean()))

    def write(self, candidate: Candidate) -> tuple[Path, ...]:
        """Write the file, its report, the Keras model, and for `micro` the C sources."""
        content = candidate.draft.content
        sources: tuple[Path, ...] = ()
        if self.target == "micro":
            sources = write_micro_sources(content, self.path.with_suffix(""), candidate.run)
        report: ExportReport = candidate.draft.save()
        keras_file = self.path.with_suffix(".keras")
        candidate.model.save(keras_file)
        return (report.path, report.report_path, keras_file, *sources)

    def fingerprint(self, model: keras.Model) -> str:
        """Hash of all that decides what a round gives."""
        weights = {key: v.numpy() for key, v in named_variables(model).items()}
        t = self.training
        arrays = {
            "x": t.x,
            "y": np.asarray(t.y),
            "vx": self.validation[0],
            "vy": self.validation[1],
        }
        told = [self.budget, self.target, t.steps, t.batch_size, t.learning_rate, t.seed, t.augment]
        text = f"{digest(weights)} {digest(arrays)} {told}"
        return hashlib.sha256(text.encode()).hexdigest()
