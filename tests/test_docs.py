"""What README and docs/ say is true: numbers come from cards, links lead somewhere, examples run.

The rule for pages of results (`docs/results-*.md`): a number with the unit of a result (percent,
points, times, bytes, a duration), an interval and a table stand inside a block that says where they
come from, `<!-- cards: ... -->` (which `docs/cards.py` writes) or `<!-- measured: COMMAND -->` (for
what no card holds), or in a sentence that names a paper by `arXiv:`. Settings therefore have no
unit there: "symmetric noise of rate 0.4", "an eighth of the weights".
"""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path

import click
import pytest

from tfticket.cli import cli
from tfticket.recipe import catalog

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import cards  # noqa: E402
from card_tables import numbers, studies  # noqa: E402

PAGES = sorted(DOCS.glob("*.md"))
RESULTS = [page for page in PAGES if page.name.startswith("results-")]
TEXT = {page: page.read_text(encoding="utf-8") for page in cards.pages()}

BLOCK = re.compile(r"<!-- (?:cards|measured): [^>]+? -->.*?<!-- end -->", re.DOTALL)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
RESULT = re.compile(
    r"\d\s?(?:%|percent\b|points?\b|times\b|bytes\b|[kMG]i?B\b|µ?s\b|ms\b|seconds?\b|min\b"
    r"|minutes?\b|h\b|hours?\b)|\([+-]?[\d.]+ to [+-]?[\d.]+"
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|`|measured: )tfticket ([a-z][a-z-]*)(?: ([a-z]+))?", re.MULTILINE)
EXAMPLE = re.compile(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?<!-- example -->\n```python\n(.*?)```", re.S | re.M
)
WITH_EXAMPLES = [DOCS / "examples.md", *sorted(DOCS.glob("howto-*.md"))]
EXAMPLES = [found for page in WITH_EXAMPLES for found in EXAMPLE.findall(TEXT[page])]
# An example runs with fewer steps than a reader would train, and nothing else is changed.
FEWER = {
    "level_steps=200": "level_steps=20",
    "levels=5, epochs=25": "levels=1, epochs=2",
    "level_steps=400": "level_steps=100",
    "epochs=20, verbose=0": "epochs=2, verbose=0",
}

each_page = pytest.mark.parametrize("page", TEXT, ids=lambda page: page.stem)


def unsupported(text: str) -> list[str]:
    """The sentences and rows that hold a result without saying where it comes from."""
    text = BLOCK.sub(" ", FENCE.sub("", text))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=\s*- |#)", text)]
    sentences = [sentence for part in parts for sentence in re.split(r"(?<=[.?!])\s+", part)]
    return rows + [s for s in sentences if RESULT.search(s) and "arXiv:" not in s]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@each_page
def test_blocks_are_what_the_cards_say(page: Path) -> None:
    assert TEXT[page] == cards.rendered(page), "run python docs/cards.py"


@each_page
def test_every_card_that_a_page_asks_for_is_published(page: Path) -> None:
    assert cards.MISSING not in TEXT[page]


@pytest.mark.parametrize("page", RESULTS, ids=lambda page: page.stem)
def test_results_say_where_they_come_from(page: Path) -> None:
    assert unsupported(TEXT[page]) == []


@pytest.mark.parametrize(
    "text",
    [
        "It gains 3 points.",
        "It has 48,128 bytes, and more.",
        "The file is 12.8 times smaller.",
        "It keeps 8.7 % of them.",
        "The ratio is 1.95 (1.59 to 2.39).",
        "It took 40 minutes.",
        "Better, says arXiv:1803.03635. Here it gains 3 points.",
        "| 8.7 |",
        "- It gains\n  3 points.",
    ],
)
def test_a_number_from_nowhere_is_refused(text: str) -> None:
    assert unsupported(text)


@pytest.mark.parametrize(
    "text",
    [
        "The paper (arXiv:1803.03635) gains 3 points.",
        "Noise of rate 0.4, on 5,000 images, for 300 steps.",
        "<!-- cards: headline x -->\nIt gains 3 points.\n<!-- end -->",
        "It gains <!-- measured: python -m benchmarks x -->3 points<!-- end -->.",
    ],
)
def test_a_number_from_somewhere_is_not(text: str) -> None:
    assert not unsupported(text)


@pytest.mark.parametrize("page", RESULTS, ids=lambda page: page.stem)
def test_only_a_verdict_calls_a_ticket_winning(page: Path) -> None:
    if page.stem != "results-lottery":
        assert "winning ticket" not in TEXT[page]


@each_page
def test_values_stand_inside_their_line(page: Path) -> None:
    # A line that begins with a comment is HTML for CommonMark, and nothing in it is Markdown.
    for line in TEXT[page].splitlines():
        if re.match(r"\s*(?:[-*|]\s*)?<!--", line):
            assert re.fullmatch(r"<!-- [^>]+ -->", line), line


@each_page
def test_links_and_images_point_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", TEXT[page])):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_names_every_page() -> None:
    named = {DOCS / link for link in LINK.findall(TEXT[DOCS / "index.md"])}
    assert {page for page in PAGES if page.name != "index.md"} <= named


@each_page
def test_commands_exist(page: Path) -> None:
    for noun, verb in COMMAND.findall(TEXT[page]):
        assert noun in cli.commands, noun
        command = cli.commands[noun]
        if isinstance(command, click.Group) and verb:
            assert verb in command.commands, f"{noun} {verb}"
    for script in re.findall(r"(?:`|measured: )python ([\w/]+\.py)", TEXT[page]):
        assert (ROOT / script).is_file(), script


def test_every_recipe_is_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", TEXT[DOCS / "recipes.md"], re.MULTILINE)
    assert sorted(listed) == sorted(entry.name for entry in catalog.list_recipes())


def test_every_benchmark_exists() -> None:
    from benchmarks.catalog import BENCHMARKS  # imported late: it imports TensorFlow

    text = TEXT[DOCS / "benchmarks.md"]
    named = re.findall(r"(?:^\| |python -m benchmarks )`?(\w+)`?", text, re.MULTILINE)
    assert len(named) > 10
    assert set(named) - {"NAME"} <= set(BENCHMARKS)


def test_the_examples_that_run_with_fewer_steps_have_these_numbers() -> None:
    code = "".join(code for _, code in EXAMPLES)
    assert [code.count(number) for number in FEWER] == [1] * len(FEWER)


def test_no_example_is_overlooked() -> None:
    text = "".join(TEXT[page] for page in WITH_EXAMPLES)
    not_run = text.count("<!-- not run -->\n```python")  # of packages that aren't dependencies
    assert len(EXAMPLES) == text.count("```python") - not_run > 0


@pytest.mark.parametrize("code", [code for _, code in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, fewer in FEWER.items():
        code = code.replace(number, fewer)
    exec(compile(code, "an example of docs/", "exec"), {})
    assert list(tmp_path.iterdir()), "each example ends with a file"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        ("79.24566706021626", 1, "79.2"),  # in two steps, by 79.25, it would be 79.3
        ("26.645000278949738", 1, "26.6"),
        ("97.34933316707611", 1, "97.3"),
        ("0.125", 2, "0.13"),
        ("-0.125", 2, "-0.13"),
        ("2.5", 0, "3"),
        ("-0.004", 2, "0.00"),
        ("1069648", 0, "1,069,648"),
    ],
)
def test_numbers_are_rounded_once_half_up(value: str, digits: int, text: str) -> None:
    assert numbers.fixed(Decimal(value), digits) == text


def test_ratios_keep_two_digits() -> None:
    ratios = ["0.00067858", "0.0067858", "0.95", "1.949", "12.81", "65704.37", "3394296994.1"]
    shown = [numbers.times(Decimal(ratio)) for ratio in ratios]
    assert shown == ["6.8e-4", "0.0068", "0.95", "1.95", "12.8", "65,704", "3.4e9"]


def test_paired_differences_have_the_interval_of_the_report() -> None:
    found = studies.summary("incv_cifar10")
    by = {each["branch"]: each["measures"]["accuracy_last"] for each in found["trainings"]}
    ours = numbers.paired(by["symmetric0.8-incv"], by["symmetric0.8-coteaching"])
    (claim,) = (c for c in found["claims"] if "symmetric0.8" in c["measure"])
    for bound in ("mean", "lower", "upper"):
        assert float(ours[bound]) == pytest.approx(float(claim["ours"][bound]), abs=1e-6)


def test_a_stale_block_is_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Of <!-- cards: number edge_mnist summary.rows[name=dense.fp32].bytes -->9<!-- end --> "
        "bytes.\n\n<!-- cards: deviations norms_digits -->\nold\n<!-- end -->\n"
    )
    text = cards.rendered(page)
    assert text.startswith(
        "Of <!-- cards: number edge_mnist summary.rows[name=dense.fp32].bytes -->1,069,648<!-- end "
    )
    assert "\nold\n" not in text
    assert "-->\n- Digits" in text


def test_what_is_not_published_is_said() -> None:
    assert cards.MISSING in cards.made("verdicts nothing_of_this_name")
    with pytest.raises(KeyError, match="no_such_table"):
        cards.made("no_such_table lth_mnist")
