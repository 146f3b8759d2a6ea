"""Try tfticket on many damaged and hostile files: `python tests/support/fuzz.py --inputs 50_000`.

Real files of each format are damaged in ways that are drawn by number, so that each input can be
made again, and read as the commands read them. It resumes where it stopped, and prints, per format,
how many inputs were read, refused in a short error, or ended otherwise: in a traceback or an error
that nobody would read (traceback), with the death of the process (abort), not within 20 s (hang),
in code of a file that ran (code), or in a change where nothing may be written (escape). What these
said is kept in the folder of `--state`; `--only ticket:17` tries one again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import hostile
import traps

ROOT = Path(__file__).parents[2]
SECONDS = 20.0
OUTCOMES = ("read", "refused", "traceback", "abort", "hang", "code", "escape")
_INPUTS_A_PROCESS = 2_000  # then its memory is given back
_EVIL = """
from pathlib import Path
Path(__file__).with_name("snapped").touch()
def run(*args, **kwargs): return args
"""


def main() -> None:
    """Runs or continues a campaign, or is one of its processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000, help="in all formats together, so far")
    parser.add_argument("--formats", default=",".join(hostile.FORMATS), help="names, by commas")
    parser.add_argument("--state", type=Path, default=ROOT / "build" / "fuzz", help="a folder")
    parser.add_argument("--only", metavar="FORMAT:N", help="try this input alone, and say all")
    parser.add_argument("--worker", nargs=2, metavar=("FORMATS", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(Path(given.worker[1]))
        return
    state = given.state.resolve()
    prepare(state / "samples")
    if given.only:
        name, _, number = given.only.rpartition(":")
        hostile.SAMPLES[:] = [state / "samples"]
        print(attempt(name, int(number), state / "samples", state / "only", keep=True))
        return
    names = [name for name in hostile.FORMATS if name in given.formats.split(",")]
    counts = Campaign(state, names).run(given.inputs)
    print(table(counts))
    sys.exit(any(counts[name][bad] for name in names for bad in OUTCOMES[2:]))


# One input


def attempt(name: str, number: int, samples: Path, folder: Path, *, keep: bool = False) -> str:
    """Makes an input and reads it; returns one of `OUTCOMES`, and what was told or raised.

    Args:
        name: The format.
        number: Of the input; the same number gives the same input.
        samples: Where the real files are.
        folder: For the damaged one.
        keep: Leave it there.
    """
    chosen, rng = hostile.FORMATS[name], Random(f"{name}:{number}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = chosen.damage(rng, samples, folder)
    try:
        text = hostile.told(lambda: chosen.read(path))
        outcome = "refused" if text else "read"
    except hostile.NoShortError as error:
        outcome, text = "traceback", str(error)[:2000]
    except Exception:
        outcome, text = "traceback", traceback.format_exc()
    precious = folder / "precious.txt"
    if precious.parent.exists() and name == "card" and not precious.exists():
        outcome = "escape"
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return f"{outcome}\n{text}"


def work(state: Path) -> None:
    """Reads `FORMAT:NUMBER` from stdin, line by line, and answers with a line of JSON each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed must not get between the answers
    samples = state / "samples"
    hostile.SAMPLES[:] = [samples]
    snapped = state / "evil" / "snapped", state / "traps" / "snapped"
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for line in sys.stdin:
            name, _, number = line.strip().rpartition(":")
            outcome, _, text = attempt(name, int(number), samples, Path(folder) / "w").partition(
                "\n"
            )
            if any(mark.exists() for mark in snapped):
                outcome = "code"
            for mark in snapped:
                mark.unlink(missing_ok=True)
            answers.write(json.dumps([outcome, text]) + "\n")
            answers.flush()


# The campaign


class Campaign:
    """Inputs of several formats in turns, with what came of them in a folder.

    Args:
        state: The folder.
        names: Of the formats.
    """

    def __init__(self, state: Path, names: Sequence[str]) -> None:
        self._state = state
        self._names = names
        self._file = state / "counts.json"
        found = json.loads(self._file.read_text()) if self._file.is_file() else {}
        self.counts = {name: Counter(found.get(name, {})) for name in hostile.FORMATS}

    def run(self, inputs: int) -> dict[str, Counter]:
        """Tries inputs until there were so many, each format its share; returns the counts."""
        shares = {name: hostile.FORMATS[name].share for name in self._names}
        wanted = {n: round(inputs * share / sum(shares.values())) for n, share in shares.items()}
        for name in self._names:
            done = sum(self.counts[name].values())
            while done < wanted[name]:
                last = min(done + _INPUTS_A_PROCESS, wanted[name])
                self._try(name, range(done, last))
                done = last
        return self.counts

    def _try(self, name: str, numbers: range) -> None:
        left = iter(numbers)
        worker = Worker(self._state)
        try:
            for number in left:
                outcome, text = worker.ask(f"{name}:{number}")
                self._note(name, number, outcome, text)
                if outcome in ("abort", "hang"):
                    worker.end()
                    worker = Worker(self._state)
        finally:
            worker.end()

    def _note(self, name: str, number: int, outcome: str, text: str) -> None:
        self.counts[name][outcome] += 1
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(self.counts))
        partial.replace(self._file)
        if outcome not in OUTCOMES[:2]:
            print(
                f"{name}:{number} {outcome}: {text.strip().rpartition(chr(10))[2][:150]}",
                flush=True,
            )
            failures = self._state / "failures"
            failures.mkdir(exist_ok=True)
            (failures / f"{name.strip('-.')}-{number}.txt").write_text(f"{outcome}\n{text}\n")
        done = sum(self.counts[name].values())
        if done % 500 == 0:
            print(f"{name}: {done:,}", flush=True)


class Worker:
    """A process that tries inputs, in a folder full of traps.

    Args:
        state: The folder of the campaign.
    """

    def __init__(self, state: Path) -> None:
        self._slow: dict[str, float] = {}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - until it ends
        path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", state / "evil")))
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--worker", "all", str(state)],
            cwd=state / "traps",
            env={
                **os.environ,
                "PYTHONPATH": path,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "KERAS_BACKEND": "tensorflow",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._first = True

    def ask(self, question: str) -> tuple[str, str]:
        """Has an input tried; returns the outcome, and a text."""
        patience = SECONDS + (100 if self._first else 0)  # until what it needs is imported
        if question.startswith("legacy"):
            patience += 100  # tf_keras is, for each
        begun, self._first = time.monotonic(), False
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        if not self._selector.select(patience):
            return "hang", f"more than {time.monotonic() - begun:.0f} s"
        line = self._process.stdout.readline()
        if not line:
            return self._ended()
        outcome, text = json.loads(line)
        return outcome, text

    def _ended(self) -> tuple[str, str]:
        status = self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace")[-1000:]
        return "abort", f"{last}\nstatus {status}"

    def end(self) -> None:
        """Ends the process and those that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._selector.close()
        self._errors.close()


def table(counts: dict[str, Counter]) -> str:
    """Figures by format."""
    rows = [("format", "inputs", *OUTCOMES)]
    total: Counter = Counter()
    for name, found in counts.items():
        if found:
            rows.append((name, *_row(found)))
            total += found
    rows.append(("all", *_row(total)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows
    )


def _row(found: Counter) -> Iterator[str]:
    yield f"{sum(found.values()):,}"
    yield from (f"{found[outcome]:,}" for outcome in OUTCOMES)


# The real files


def prepare(samples: Path) -> None:
    """Makes the real files, once: small runs of all kinds, models, and those of the repository."""
    traps.lay(samples.parent / "traps")
    _file(samples.parent / "evil" / "evilmod.py", _EVIL)
    if (samples / "whole").is_file():
        return
    shutil.rmtree(samples, ignore_errors=True)
    for recipe in ("lth_digits", "norms_digits", "noisy_digits", "edge_digits"):
        print(f"A run of {recipe} ...", flush=True)
        made = samples / "made" / recipe / "smoke"
        _python("-m", "tfticket", "recipe", "run", recipe, "--smoke", "--runs", samples / "made")
        (samples / "runs").mkdir(exist_ok=True)
        made.rename(samples / "runs" / recipe)
    (samples / "recipes").mkdir()
    for path in (ROOT / "recipes").glob("*.toml"):
        shutil.copy(path, samples / "recipes")
    (samples / "tflite").mkdir()
    for path in (*samples.glob("runs/*/export/*.tflite"), *ROOT.glob("saved_models/*/*.tflite")):
        if path.stat().st_size < 200_000:
            name = "-".join(path.relative_to(path.parents[2]).parts)
            shutil.copy(path, samples / "tflite" / name)
    print("Models ...", flush=True)
    hostile.write_labels(samples / "labels")
    hostile.write_tables(samples / "tables")
    for folder in ("keras", "legacy"):
        (samples / folder).mkdir()
    _python(ROOT / "tests" / "fuzz_models.py", samples / "keras")
    _python(ROOT / "tests" / "legacy_models.py", samples / "legacy")
    for path in samples.glob("legacy/*.npz"):
        path.unlink()
    _file(samples / "whole", "")


def _python(*arguments: object) -> None:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
