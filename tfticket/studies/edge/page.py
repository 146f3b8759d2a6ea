"""The page of a run of the kind `edge`."""

from __future__ import annotations

from collections.abc import Callable

from tfticket.display import words
from tfticket.display.words import number
from tfticket.report import facts
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, table
from tfticket.studies.edge.figures import plane
from tfticket.studies.edge.summary import Row, Study, summarize_files


def compose(files: RunFiles) -> Contents:
    """Read the table of files and draw it.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    study, structures = summary.study, [str(found["structure"]) for found in summary.study.searches]
    return Contents(
        summary=summary,
        values={
            "facts": facts.facts(
                files,
                ("Network", facts.network(files)),
                ("Structures", ", ".join(structures)),
                ("Training", f"{number(files.table('train').get('steps', 0))} iterations a level"),
                ("Times measured on", study.host),
                seeds=files.seeds,
            ),
            "reason": study.choice.get("reason", ""),
            "explanations": study.choice.get("explanations", ()),
            "energy": energy_table(study),
            "assumptions": study.choice.get("energy", {}).get("assumptions", ()),
            "host": study.host,
            "margin": f"{100 * study.margin:g}",
            "files": file_table(study),
            "failures": table(
                study.failed,
                ("<File", lambda row: str(row["name"])),
                ("<Why there is none", lambda row: str(row["failure"])),
            ),
            "replicates": replicate_table(study) if len(study.replicates) > 1 else None,
            "searches": [(name, f"../searches/{name}/report/index.html") for name in structures],
            "chosen": study.choice.get("name"),
        },
        figures={"plane": ("Accuracy against bytes and time", plane(study))},
    )


def file_table(study: Study) -> Table | None:
    """Every file that passed its checks."""
    return table(
        study.passed,
        ("<File", lambda row: Cell(row["name"], _shape(row))),
        (
            "Weights left",
            lambda row: "" if row["density"] is None else words.percent(row["density"]),
        ),
        ("Bytes", lambda row: number(row["bytes"])),
        ("After gzip", lambda row: number(row["gzip"])),
        ("After zstd", lambda row: number(row["zstd"])),
        ("Smaller", lambda row: f"{row['smaller']:.1f} x"),
        ("Microseconds", lambda row: number(row["microseconds"], 1)),
        ("As fast", lambda row: f"{row['speedup']:.2f} x"),
        (
            "Validation accuracy",
            lambda row: Cell(
                _share(row["accuracy"]),
                "" if row["tuned_from"] is None else f"{_share(row['tuned_from'])} before tuning",
            ),
        ),
        ("Test accuracy", lambda row: _share(row["test_accuracy"])),
        ("<On the front of", lambda row: ", ".join(row["fronts"])),
    )


def _shape(row: Row) -> str:
    removed, encodings = row["units_removed"], row["encodings"] or {}
    return words.joined(
        f"{number(removed)} units cut out" if removed else "",
        ", ".join(dict.fromkeys(encodings.values())),
        by="; ",
    )


def replicate_table(study: Study) -> Table | None:
    """The chosen network and format, made with each seed."""

    def made(say: Callable[[Row], str]) -> Callable[[Row], str]:
        return lambda found: say(found) if found["failure"] is None else ""

    return table(
        study.replicates,
        ("Seed", lambda found: str(found["seed"])),
        ("Bytes", made(lambda found: number(found["bytes"]))),
        ("Smaller", made(lambda found: f"{found['smaller']:.1f} x")),
        ("As fast", made(lambda found: f"{found['speedup']:.2f} x")),
        ("Test accuracy", made(lambda found: _share(found["test_accuracy"]))),
        (
            "Dense test accuracy",
            lambda found: found["failure"] or _share(found["dense_test_accuracy"]),
        ),
    )


def energy_table(study: Study) -> Table | None:
    """Cost of an inference of the file to ship, beside the dense fp32 file."""
    return table(
        study.choice.get("energy", {}).get("rows", ()),
        ("<Of one inference", lambda found: str(found["name"])),
        ("Dense fp32", lambda found: _quantity(found["dense"], found["unit"])),
        ("To ship", lambda found: _quantity(found["ticket"], found["unit"])),
        ("Less by", lambda found: "" if found["ratio"] is None else f"{found['ratio']:.1f} x"),
    )


def _quantity(value: float, unit: str) -> str:
    return f"{1e6 * value:.3g} µJ" if unit == "J" else f"{number(value)} {unit}".strip()


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"
