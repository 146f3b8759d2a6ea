"""What the page of a run of the kind `edge` shows."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.report import reading as common
from tfticket.report import words
from tfticket.report.contents import Contents
from tfticket.report.judging import TAGS, Reading
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table
from tfticket.report.words import number, percent
from tfticket.studies.edge.figures import plane
from tfticket.studies.edge.summary import (
    CheckedClaim,
    Row,
    Study,
    Summary,
    read_study,
    summarize_study,
)


def compose(files: RunFiles) -> Contents:
    """Reads the table of files and draws it.

    Args:
        files: The run.
    """
    study = read_study(files)
    summary = summarize_study(study)
    readings = {claim.reading for claim in summary.claims}
    return Contents(
        summary=summary,
        values={
            "facts": _facts(study, summary),
            "met": readings == {Reading.PASS},
            "reason": study.choice.get("reason", ""),
            "explanations": study.choice.get("explanations", ()),
            "energy": energy_table(study),
            "assumptions": study.choice.get("energy", {}).get("assumptions", ()),
            "host": study.host,
            "margin": f"{100 * study.margin:g}",
            "claims": claim_table(summary.claims),
            "files": file_table(study.passed),
            "failures": failure_table(study.failed),
            "replicates": replicate_table(study),
            "searches": [
                (str(search["structure"]), f"../searches/{search['structure']}/report/index.html")
                for search in study.searches
            ],
            "chosen": study.choice.get("name"),
        },
        figures={"plane": ("Accuracy against bytes and time", plane(study))},
    )


def _facts(study: Study, summary: Summary) -> common.Facts:
    files = study.files
    seeds = files.recipe.get("seeds") or ()
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Network", common.network(files)),
            ("Structures", ", ".join(str(search["structure"]) for search in study.searches)),
            (
                "Training",
                f"{words.number(files.table('train').get('steps', 0))} iterations a level",
            ),
            ("Seeds", words.ranges(list(seeds))),
            ("Times measured on", study.host),
            *common.origin(files.environment),
        ]
    )


_MEASURES = {
    "smaller": "times smaller than dense fp32",
    "smaller_gzip": "times smaller after gzip than the dense fp32 file",
    "faster": "times as fast as dense fp32",
    "loss": "points of test accuracy lost",
}


def file_table(rows: Sequence[Row]) -> Table:
    """Every file that passed its checks."""
    columns = (
        "<File", "Weights left", "Bytes", "After gzip", "After zstd", "Smaller", "Microseconds",
        "As fast", "Validation accuracy", "Test accuracy", "<On the front of",
    )  # fmt: skip
    return Table(columns, tuple(_row(row) for row in rows))


def _row(row: Row) -> tuple[Cell, ...]:
    tuned = row["tuned_from"]
    return (
        Cell(row["name"], _shape(row)),
        Cell("" if row["density"] is None else percent(row["density"])),
        Cell(number(row["bytes"])),
        Cell(number(row["gzip"])),
        Cell(number(row["zstd"])),
        Cell(f"{row['smaller']:.1f} x"),
        Cell(number(row["microseconds"], 1)),
        Cell(f"{row['speedup']:.2f} x"),
        Cell(_share(row["accuracy"]), "" if tuned is None else f"{_share(tuned)} before tuning"),
        Cell(_share(row["test_accuracy"])),
        Cell(", ".join(row["fronts"])),
    )


def _shape(row: Row) -> str:
    removed = row["units_removed"]
    parts = [f"{number(removed)} units cut out"] if removed else []
    if row["encodings"]:
        parts.append(", ".join(dict.fromkeys(row["encodings"].values())))
    return "; ".join(parts)


def failure_table(rows: Sequence[Row]) -> Table | None:
    """What was tried and gave no file."""
    found = tuple((Cell(row["name"]), Cell(row["failure"])) for row in rows)
    return Table(("<File", "<Why there is none"), found) if found else None


def claim_table(claims: Sequence[CheckedClaim]) -> Table | None:
    """The recipe's expectations."""
    rows = tuple(
        (
            Cell(claim.claim, claim.network),
            Cell(_MEASURES[claim.measure]),
            Cell(_bound(claim)),
            Cell(_number(claim.ours, claim)),
            Cell(
                "" if claim.seeds < 2 else _number(claim.worst, claim),
                f"of {claim.seeds} seeds" if claim.seeds > 1 else "",
            ),
            Cell(str(claim.reading), tag=TAGS[claim.reading]),
        )
        for claim in claims
    )
    header = ("<Expectation", "<Measure", "Asked", "Here", "Worst seed", "<Met")
    return Table(header, rows) if rows else None


def _bound(claim: CheckedClaim) -> str:
    if claim.at_least is not None:
        return f"≥ {_number(claim.at_least, claim)}"
    return f"≤ {_number(claim.at_most, claim)}"


def _number(value: float | None, claim: CheckedClaim) -> str:
    if value is None:
        return "not there"
    return f"{100 * value:.2f}" if claim.measure == "loss" else f"{value:.1f}"


def replicate_table(study: Study) -> Table | None:
    """What the chosen network and format come to with each seed."""
    header = ("Seed", "Bytes", "Smaller", "As fast", "Test accuracy", "Dense test accuracy")
    rows = tuple(
        (
            Cell(str(found["seed"])),
            *(Cell("") for _ in range(4)),
            Cell(found["failure"]),
        )
        if found["failure"] is not None
        else (
            Cell(str(found["seed"])),
            Cell(number(found["bytes"])),
            Cell(f"{found['smaller']:.1f} x"),
            Cell(f"{found['speedup']:.2f} x"),
            Cell(_share(found["test_accuracy"])),
            Cell(_share(found["dense_test_accuracy"])),
        )
        for found in study.replicates
    )
    return Table(header, rows) if len(rows) > 1 else None


def energy_table(study: Study) -> Table | None:
    """What an inference of the file to ship computes and moves, beside the dense fp32 file."""
    rows = tuple(
        (
            Cell(found["name"]),
            Cell(_quantity(found["dense"], found["unit"])),
            Cell(_quantity(found["ticket"], found["unit"])),
            Cell("" if found["ratio"] is None else f"{found['ratio']:.1f} x"),
        )
        for found in study.choice.get("energy", {}).get("rows", ())
    )
    return Table(("<Of one inference", "Dense fp32", "To ship", "Less by"), rows) if rows else None


def _quantity(value: float, unit: str) -> str:
    if unit == "J":
        return f"{1e6 * value:.3g} µJ"
    return f"{number(value)} {unit}".strip()


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"
