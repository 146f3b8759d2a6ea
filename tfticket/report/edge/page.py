"""What the page of a run of the kind `edge` shows."""

from __future__ import annotations

from tfticket.report import facts as common
from tfticket.report import words
from tfticket.report.contents import Contents
from tfticket.report.edge import plots, tables
from tfticket.report.edge.study import Study, read_study
from tfticket.report.edge.summary import Summary, summarize_study
from tfticket.report.judging import Reading
from tfticket.report.reading import RunFiles


def compose(files: RunFiles) -> Contents:
    """Reads the table of files and draws it; to be called inside `canvas.settings()`.

    Args:
        files: The run.
    """
    study = read_study(files)
    summary = summarize_study(study)
    readings = {claim.reading for claim in summary.claims}
    return Contents(
        template="edge/page.html.j2",
        summary=summary,
        values={
            "facts": _facts(study, summary),
            "met": readings == {Reading.PASS},
            "reason": study.choice.get("reason", ""),
            "explanations": study.choice.get("explanations", ()),
            "energy": tables.energy_table(study),
            "assumptions": study.choice.get("energy", {}).get("assumptions", ()),
            "host": study.host,
            "margin": f"{100 * study.margin:g}",
            "claims": tables.claim_table(summary.claims),
            "files": tables.file_table(study.passed),
            "failures": tables.failure_table(study.failed),
            "replicates": tables.replicate_table(study),
            "searches": [
                (str(search["structure"]), f"../searches/{search['structure']}/report/index.html")
                for search in study.searches
            ],
            "chosen": study.choice.get("name"),
        },
        figures={"plane": ("Accuracy against bytes and time", plots.plane(study))},
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
