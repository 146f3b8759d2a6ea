"""Pages of studies in a real browser."""

import json
import pathlib
import re

import pytest
import synthetic_runs

from tfticket.files import write_json
from tfticket.studies.report import render

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
"""Pictures of the pages, for whoever looks at a run of CI; nothing compares them."""


def write_lottery(path):
    synthetic_runs.write_lottery(path, controls=("reinit", "random"))
    synthetic_runs.write_extras(path)


def write_norms(path):
    norms, rates = ("none", "batch", "group"), (0.1, 0.2, 0.5)
    cells = [synthetic_runs.cell(norm, learning_rate=rate) for norm in norms for rate in rates]
    synthetic_runs.write_norms(path, cells)


def write_noisy(path):
    claim = {"claim": "co-teaching gains", "source": "table 2", "method": "coteaching",
             "against": "cross_entropy", "noise": "pair0.4", "value": 0.1}  # fmt: skip
    synthetic_runs.write_noisy(
        path, noises={"symmetric": 0.5, "pair": 0.4}, recipe={"expect": [claim]}
    )


def write_edge(path):
    """The table of the published study, as a run."""
    published = json.loads((ROOT / "saved_models/edge_mnist/summary.json").read_text())
    table = {key: published[key] for key in ("rows", "choice", "replicates", "host", "seed")}
    write_json(path / "edge.json", {**table, "margin": 0.005, "files": []})
    searches = [{"structure": "unstructured"}, {"structure": "channel"}]
    recipe = {"kind": "edge", "name": "edge_mnist", "title": "Files", "search": searches}
    write_json(path / "recipe.json", recipe)
    write_json(path / "COMPLETE", {})


WRITERS = {
    "lottery": write_lottery, "norms": write_norms, "noisy": write_noisy, "edge": write_edge,
}  # fmt: skip


@pytest.fixture(scope="module", params=WRITERS)
def page(request, tmp_path_factory):
    """The page of a kind of study, its file."""
    run = tmp_path_factory.mktemp("browser") / request.param / "default"
    WRITERS[request.param](run)
    return render(run)


@pytest.fixture
def opened(browser, page, request):
    """The page, loaded; a script error or a request to another address fails the test."""
    width, scheme = getattr(request, "param", (1280, "light"))
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda asked: wrong.append(asked.url) if asked.url != page.as_uri() else None)
    tab.goto(page.as_uri())
    yield tab
    tab.close()
    assert wrong == []


@pytest.mark.parametrize(
    "opened",
    [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")],
    indirect=True,
    ids=str,
)
def test_nothing_leaves_the_screen_and_an_accessibility_checker_passes(opened, page):
    assert opened.evaluate("document.documentElement.scrollWidth") == opened.viewport_size["width"]
    found = axe.Axe().run(opened, options={"resultTypes": ["violations"]})
    assert [
        (rule["id"], node["html"][:200])
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ] == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    scheme = "dark" if opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else ""
    name = "_".join(filter(None, [page.parts[-4], str(opened.viewport_size["width"]), scheme]))
    opened.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize("opened", [(390, "light"), (1280, "light")], indirect=True, ids=str)
def test_text_in_figures_can_be_read(opened):
    sizes = opened.eval_on_selector_all(
        "figure:not(.strip) svg text",
        """texts => texts.filter(text => text.getClientRects().length).map(text =>
             parseFloat(getComputedStyle(text).fontSize) *
             Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b))""",
    )
    assert len(sizes) > 20
    assert min(sizes) > 8


def test_a_mark_says_its_values_under_the_pointer(opened):
    mark = opened.locator("figure path[aria-label]:visible").first
    mark.scroll_into_view_if_needed()
    # Scrolling hides the tip, and its event comes with the next frame.
    opened.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    mark.hover(force=True)
    tip = opened.locator(".tip")
    assert tip.is_visible()
    assert tip.inner_text().split("\n")[0]
    assert tip.inner_text().replace("\n", "; ") in opened.eval_on_selector_all(
        "figure path[aria-label]", "marks => marks.map(mark => mark.getAttribute('aria-label'))"
    )
    opened.keyboard.press("Escape")
    assert tip.is_hidden()


def test_a_click_on_a_heading_sorts_a_table_and_the_third_undoes_it(opened):
    """The numeric column of the first table in which values differ, in the order Python gives."""
    table = opened.locator(".scroll table:visible", has=opened.locator("th button")).first
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.split('\\n')[0]))"

    def read():
        return table.locator("tbody tr").evaluate_all(cells)

    before = read()
    headings = table.locator("th")
    place = next(
        place
        for place in range(headings.count())
        if "text" not in (headings.nth(place).get_attribute("class") or "")
        and len({row[place] for row in before if number(row[place]) is not None}) > 1
    )
    for order in ("ascending", "descending"):
        headings.nth(place).locator("button").click()
        assert headings.nth(place).get_attribute("aria-sort") == order
        values = [number(row[place]) for row in read()]
        known = [value for value in values if value is not None]
        assert values[: len(known)] == known  # the others stand last
        assert known == sorted(known, reverse=order == "descending")
    headings.nth(place).locator("button").click()
    assert read() == before


def number(text):
    """The number at the beginning of a cell, or None."""
    found = re.search(r"[-+]?[\d.]+", text.replace("\u202f", "").replace("\u2212", "-"))
    return None if found is None else float(found[0])


def test_a_long_table_can_be_filtered(opened):
    opened.locator("details").evaluate_all("all => all.forEach(each => { each.open = true; })")
    rows = "tables => tables.filter(table => table.tBodies[0].rows.length > 7).length"
    assert opened.locator(".filter").count() == opened.locator("table").evaluate_all(rows)
    if opened.locator(".filter").count():
        field = opened.locator(".filter input").first
        shown = opened.locator(".filter + .scroll").first.locator("tbody tr >> visible=true")
        word = shown.last.locator("td").first.inner_text().split("\n")[0]
        field.fill(word)
        assert shown.count() > 0
        assert all(word in text for text in shown.all_inner_texts())
        field.fill("no such row")
        assert shown.count() == 0


def test_a_page_is_one_file_of_at_most_two_megabytes(page):
    assert page.stat().st_size <= 2e6
