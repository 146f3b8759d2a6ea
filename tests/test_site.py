"""The site, as far as it can be checked without building it, which `.ci/run` does strictly."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from extensions import figures, offline, reference, repository, studies  # noqa: E402

from tfticket.display import Chart  # noqa: E402
from tfticket.display.narrow import ROOM  # noqa: E402
from tfticket.display.plots import lines  # noqa: E402

HOME = "https://github.com/tfticket/tfticket"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The reference but for texts of constants, which Sphinx reads: it isn't installed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "_described", lambda module, name: "")
        return reference.pages()


def test_every_public_name_has_one_entry(pages: dict[str, str]) -> None:
    entries = re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)", "\n".join(pages.values()), re.M)
    assert len(entries) == len(set(entries)) > 200
    for module in reference.modules():
        page = pages[f"reference/{module.__name__}.rst"]
        for name in set(module.__all__) - {"__version__"}:
            value = getattr(module, name)
            if isinstance(value, ModuleType):
                assert value.__name__ in reference.OLD or value.__name__ in entries, name
            elif f"{module.__name__}.{name}" not in entries:
                home = re.search(rf"^- ``{name}`` is :py:obj:`(\S+)`\.$", page, re.M)
                assert home is not None, f"{module.__name__}.{name}"
                assert home[1] in entries
                package, _, attribute = home[1].rpartition(".")
                assert getattr(importlib.import_module(package), attribute) is value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("the norm |w| of (n, *shape)", r"the norm \|w\| of (n, \*shape)"),
        ("an *important* word, `a | b`", "an *important* word, `a | b`"),
        (">>> a | b", ">>> a | b"),
    ],
)
def test_docstrings_have_no_marks_of_another_language(written: str, read: str) -> None:
    assert reference.escaped([written]) == [read]


def test_output_of_examples_is_left_alone() -> None:
    lines = [">>> print(x)", "|x|", "", "|x|"]
    assert reference.escaped(lines) == [">>> print(x)", "|x|", "", r"\|x\|"]


def test_formulas_of_modules_are_shown_as_they_stand() -> None:
    lines = ["Text:", "", "    a = b", "", "    c", "", "More."]
    assert reference.with_blocks(lines) == [*lines[:2], ".. code-block:: text", "", *lines[2:]]


def test_a_type_leads_to_its_source() -> None:
    address = reference.source_of("tfticket.lottery.comparison.Interval")
    assert address is not None
    path, line = address.removeprefix(f"{HOME}/blob/main/").split("#L")
    text = (ROOT / path).read_text("utf-8").splitlines()
    assert any("class Interval" in each for each in text[int(line) - 1 : int(line) + 1])
    assert reference.source_of("tfticket.lottery.comparison.Intervall") is None
    assert reference.source_of("tfticket.no_such.Interval") is None


@pytest.mark.parametrize(
    ("page", "link", "there"),
    [
        ("docs/index.md", "recipes.md", "recipes.md"),
        ("docs/index.md", "recipes.md#resuming", "recipes.md#resuming"),
        ("docs/index.md", "../ARCHITECTURE.md", "project/architecture.md"),
        ("docs/index.md", "tutorials/", "gallery/index.rst"),
        ("docs/index.md", "tutorials/01_a.py", "gallery/01_a.rst"),
        ("docs/index.md", "../saved_models", f"{HOME}/tree/main/saved_models"),
        ("docs/a.md", "../recipes/lth_mnist.toml", f"{HOME}/blob/main/recipes/lth_mnist.toml"),
        ("docs/a.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/a.md", "#here", "#here"),
        ("CONTRIBUTING.md", "docs/api.md", "../api.md"),
        ("CONTRIBUTING.md", "ARCHITECTURE.md", "architecture.md"),
        ("CONTRIBUTING.md", "LICENSE", f"{HOME}/blob/main/LICENSE"),
        ("docs/studies/a.md", "../../recipes/a.toml", f"{HOME}/blob/main/recipes/a.toml"),
    ],
)
def test_links_hold_on_the_site(page: str, link: str, there: str) -> None:
    assert repository.on_site(f"See [it]({link}).", Path(page)) == f"See [it]({there})."


def test_images_and_code_stay() -> None:
    text = "![it](../a.png)\n\n```python\nx = [it](../a.py)\n```\n"
    assert repository.on_site(text, Path("docs/a.md")) == text


def test_the_index_is_the_table_of_contents() -> None:
    tables = repository.contents((DOCS / "index.md").read_text("utf-8"))
    listed = {line for line in tables.splitlines() if line and not line.startswith(("`", ":"))}
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= listed
    assert {"gallery/index", "project/changelog"} <= listed


def test_every_published_study_has_a_page() -> None:
    made = studies.pages()
    published = {path.parent.name for path in (ROOT / "saved_models").glob("*/card.json")}
    assert {Path(name).stem for name in made} == published
    for name, text in made.items():
        folder = ROOT / "saved_models" / Path(name).stem
        for figure in folder.glob("figures/*.png"):
            assert f"](../../saved_models/{folder.name}/figures/{figure.name})" in text


def test_pages_of_runs_are_in_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "saved" / "lth_a").mkdir(parents=True)
    (tmp_path / "saved" / "lth_a" / "page.html").write_text("a page")
    (tmp_path / "site" / "studies").mkdir(parents=True)
    monkeypatch.setattr(studies, "PUBLISHED", tmp_path / "saved")
    studies.copy_pages(tmp_path / "site")
    assert (tmp_path / "site" / "studies" / "lth_a.page.html").read_text() == "a page"


def test_a_chart_of_a_tutorial_is_shown_once_at_any_width(tmp_path: Path) -> None:
    scraper = figures.ChartScraper()
    places = iter([str(tmp_path / "images" / "a_1.png"), str(tmp_path / "images" / "a_2.png")])

    def shown(value: object) -> str:
        names = {"example_globals": {"___": value}, "image_path_iterator": places}
        return scraper(None, names, {"src_dir": str(tmp_path)})

    assert shown(3) == ""
    chart = Chart(lines({"a": ([0, 1], [2.0, 3.0])}, "step", "loss"), title="Record")
    found = re.findall(r"image:: /(\S+)\n   :alt: (.+)\n   :class: .*?(\S+)\n", shown(chart))
    assert found == [
        ("images/a_1.svg", "Figure of the Record", "on-wide"),
        ("images/a_1_narrow.svg", "Figure of the Record", "on-narrow"),
    ]
    widths = [float(re.search(r'width="([\d.]+)"', (tmp_path / path).read_text())[1])
              for path, *_ in found]  # fmt: skip
    assert widths[1] <= ROOM < widths[0]
    assert shown(chart) == "", "it is still the last value of the next block"
    css = (DOCS / "static" / "site.css").read_text("utf-8")
    assert all(f".{name} {{ display: none; }}" in css for *_, name in found)


@pytest.mark.parametrize(
    ("suffix", "text", "found"),
    [
        (".html", '<script defer src="https://cdn.example/a.js"></script>', "https://cdn.example/a.js"),
        (".html", '<link rel="stylesheet" href="//cdn.example/a.css">', "//cdn.example/a.css"),
        (".html", "<img src='http://cdn.example/a.png'>", "http://cdn.example/a.png"),
        (".html", '<p style="background: url(https://cdn.example/a)">', "https://cdn.example/a"),
        (".css", '@import url("https://fonts.example/a");', "https://fonts.example/a"),
    ],
)  # fmt: skip
def test_a_request_to_another_host_is_found(suffix: str, text: str, found: str) -> None:
    assert offline.requests(text, suffix) == [found]


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://example.org/">a link is only followed</a>',
        '<script src="_static/a.js"></script><img src="data:image/png;base64,AA">',
        '<link rel="canonical" href="https://example.org/">',
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0,0"/></svg>',
    ],
)
def test_a_page_that_asks_nobody_is_fine(text: str) -> None:
    assert offline.requests(text, ".html") == []


def test_ci_builds_the_site_as_contributing_says() -> None:
    block = re.search(
        r"<!-- site -->\s*```bash\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.S
    )
    assert block is not None
    assert {"-W", "-n"} <= set(block[1].split())
    assert "run site CONTRIBUTING.md" in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
