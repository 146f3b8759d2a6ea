"""The command line: `python -m benchmarks NAME [--cores N]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import data_dir_option, json_option, print_columns, print_json
from tfticket.errors import TFTicketError
from tfticket.machine import processor, usable_cores

if TYPE_CHECKING:
    from benchmarks.paired import Comparison, Spread

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("names", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results to this file, as JSON.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    help="Number of CPU cores and threads to use.  [default: all]",
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with the results of an earlier run, a file that -o wrote.",
)
@click.option("--list", "listing", is_flag=True, help="List the benchmarks and stop.")
@data_dir_option
@json_option
def main(
    names: tuple[str, ...],
    output: Path | None,
    cores: int | None,
    against: Path | None,
    listing: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Compare tfticket with its peers, in turns on this machine.

    Without NAMES all benchmarks run, which takes an hour or more; --list names them. Each contender
    runs several times, in changing order, and what is compared is the ratio within each round.
    PyTorch takes part when it is installed (pip install -e '.[bench]'), and open_lth when OPEN_LTH
    is the folder of a checkout. The modules of benchmarks/ say exactly what each contender does.

    \b
    python -m benchmarks lenet --cores 1
    python -m benchmarks coteaching -o now.json --against before.json
    """
    from tfticket.quiet import start_tensorflow

    use_cores(cores)  # before TensorFlow starts
    if data_dir is not None:
        os.environ["TFDS_DATA_DIR"] = str(data_dir)  # what child processes read, too
    start_tensorflow()
    from benchmarks.catalog import BENCHMARKS
    from benchmarks.paired import changes, compare, load_earlier
    from tfticket.files import write_json
    from tfticket.runs.environment import machine

    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        raise click.BadParameter(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.",
            param_hint="NAMES",
        )
    if listing:
        print_columns((name, each.title) for name, each in BENCHMARKS.items())
        return
    before: Mapping[str, Mapping[str, Any]] = {} if against is None else load_earlier(against)
    results = []
    for name, benchmark in BENCHMARKS.items():
        if name in names or not names:
            click.echo(f"{benchmark.title} ...", err=True)
            results.append(compare(benchmark))
            if not as_json:
                _print(results[-1])
                for line in changes(results[-1], before[name]) if name in before else ():
                    click.echo(f"  against {against}: {line}")
    found: dict[str, Any] = {
        "host": processor(),
        **machine(),
        "cores": usable_cores(),
        "results": [asdict(result) for result in results],
    }
    if as_json:
        print_json(found)
    else:
        version = found["versions"]["tensorflow"]
        click.echo(f"{found['host']}, {found['cores']} CPUs, tensorflow {version}")
    if output is not None:
        write_json(output, found)


def use_cores(count: int | None) -> None:
    """Limit this process, and those that it starts, to so many CPU cores and threads.

    Args:
        count: How many; None for all.

    Raises:
        TFTicketError: when the machine has fewer.
    """
    if count is None:
        return
    if count > usable_cores():
        raise TFTicketError(
            f"This machine lets a process use {usable_cores()} CPU cores, and --cores asks for "
            f"{count}. Give at most {usable_cores()}."
        )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    os.environ.update(dict.fromkeys(_THREADS, str(count)))


def _print(result: Comparison) -> None:
    click.echo(f"{result.title}, {result.rounds} rounds")
    print_columns(
        (
            f"  {name}",
            f"CPU {_seconds(result.cpu_seconds[name])}",
            f"wall {_seconds(wall)}",
            *_memory(result, name),
        )
        for name, wall in result.wall_seconds.items()
    )
    for name, ratio in result.cpu_ratios.items():
        parts = [f"CPU {_ratio(ratio)}", f"wall {_ratio(result.wall_ratios[name])}"]
        if name in result.memory_ratios:
            parts.append(f"memory {_ratio(result.memory_ratios[name])}")
        if name in result.goals:
            goal = result.goals[name]
            seen = ratio if result.goals_of == "cpu" else result.wall_ratios[name]
            kind = "CPU" if result.goals_of == "cpu" else "wall"
            met = "met" if seen.median <= goal else "not met"
            parts.append(f"goal {goal:.3g} {kind}, {met}")
        click.echo(f"  ratio to {name}: {', '.join(parts)}")
    for name, reason in result.absent.items():
        click.echo(f"  {name} didn't take part: {reason}")


def _memory(result: Comparison, name: str) -> list[str]:
    if name not in result.memory_bytes:
        return []
    added = result.memory_bytes[name]
    return [
        f"memory {_mib(added.median)} MiB ({_mib(added.low)} to {_mib(added.high)})",
        f"variables {_mib(result.variable_bytes[name])} MiB",
    ]


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f}"


def _seconds(spread: Spread) -> str:
    return f"{spread.median:.3f} s ({spread.low:.3f} to {spread.high:.3f})"


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.low:.3f} to {spread.high:.3f})"


if __name__ == "__main__":
    from tfticket.cli import run_command

    sys.exit(run_command(main, sys.argv[1:], name="python -m benchmarks"))
