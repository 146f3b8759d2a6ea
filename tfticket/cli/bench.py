"""`tfticket bench`: paired benchmarks."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import data_dir_option, json_option, print_columns, print_json

if TYPE_CHECKING:
    from tfticket.bench.paired import Comparison, Spread


@click.command()
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
    help="Use so many processors, and as many threads; all by default.",
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with the results of an earlier run, a file that -o wrote.",
)
@click.option("--list", "listing", is_flag=True, help="Say what the benchmarks are, run none.")
@data_dir_option
@json_option
def bench(
    names: tuple[str, ...],
    output: Path | None,
    cores: int | None,
    against: Path | None,
    listing: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Compare tfticket with others, in turns on this machine.

    Without NAMES all benchmarks are run, which takes an hour or more; --list says which there are.
    Each contender runs several times, in changing order, and what is compared is the ratio within
    each round. PyTorch takes part when it is installed (pip install 'tfticket[bench]'),
    and open_lth when OPEN_LTH is the folder of a checkout. What exactly each one does is written in
    the modules of tfticket.bench.

    \b
    tfticket bench lenet --cores 1
    tfticket bench coteaching -o now.json --against before.json
    """
    from tfticket.bench.cores import use_cores
    from tfticket.cli.quiet import start_tensorflow

    use_cores(cores)
    if data_dir is not None:
        os.environ["TFTICKET_DATA_DIR"] = str(data_dir)  # for processes of their own, too
    start_tensorflow()
    from tfticket.bench import earlier
    from tfticket.bench.catalog import BENCHMARKS
    from tfticket.bench.paired import compare
    from tfticket.files import write_json
    from tfticket.machine import processor, usable_cores
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
    before = {} if against is None else earlier.load(against)
    results = []
    for name, benchmark in BENCHMARKS.items():
        if name in names or not names:
            click.echo(f"{benchmark.title} ...", err=True)
            results.append(compare(benchmark))
            if not as_json:
                _print(results[-1])
                for line in earlier.changes(results[-1], before[name]) if name in before else ():
                    click.echo(f"  against {against}: {line}")
    found = {
        "host": processor(),
        **machine(),
        "cores": usable_cores(),
        "results": [asdict(result) for result in results],
    }
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['host']}, {found['cores']} CPUs, tensorflow {_version(found)}")
    if output is not None:
        write_json(output, found)


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


def _version(found: dict) -> str:
    return found["versions"]["tensorflow"]
