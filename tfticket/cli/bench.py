"""`tfticket bench`: paired benchmarks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import json_option, print_columns, print_json

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
@json_option
def bench(names: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Compare tfticket with others, in turns on this machine.

    NAMES are tracker, group_norm, coteaching and coteaching_dense; without one, all are run. Each
    contender runs several times, in changing order; what is in each, the documentation of
    tfticket.bench.norms and tfticket.bench.noisy says.

    \b
    tfticket bench coteaching
    """
    from tfticket.cli.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.bench.catalog import BENCHMARKS
    from tfticket.bench.paired import compare
    from tfticket.export.latency import host
    from tfticket.files import write_json
    from tfticket.recipe.environment import machine

    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        raise click.BadParameter(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.",
            param_hint="NAMES",
        )
    results = []
    for name, benchmark in BENCHMARKS.items():
        if name in names or not names:
            click.echo(f"{benchmark.title} ...", err=True)
            results.append(compare(benchmark))
            if not as_json:
                _print(results[-1])
    found = {"host": host(), **machine(), "results": [asdict(result) for result in results]}
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['host']}, {found['cpus']} CPUs, tensorflow {_version(found)}")
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
        click.echo(f"  ratio to {name}: {', '.join(parts)}")


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
