"""The page of label issues in a real browser: looked at, decided on, and the decisions followed."""

import contextlib
import csv
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tfticket.cli import main
from tfticket.noise import LabeledData, find_label_issues, write_label_report
from tfticket.noise.table import read_label_table

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = pytest.mark.slow
SHOTS = pathlib.Path(__file__).parents[2] / "build" / "screenshots"
NAMES = ("bar", "box", "dot")


def write_photos(folder, *, per_class=90, wrong=12):
    """Gray images of 8x8 pixels, 0 to 16, whose class is a bright part; some in a wrong folder."""
    rng = np.random.default_rng(0)
    bright = (np.s_[3:5, :], np.s_[1:7, 1:7], np.s_[5:8, 5:8])
    for true in range(3):
        for place in range(per_class):
            pixels = rng.integers(0, 5, (8, 8))
            pixels[bright[true]] += 11
            shown = (true + 1) % 3 if place < wrong // 3 else true
            path = folder / NAMES[shown] / f"{NAMES[true]}{place:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_rows(folder, *, unlabeled=(3, 7, 10)):
    """A table with numbers, categories and sentences, and some rows without a label."""
    rng = np.random.default_rng(0)
    lines = ["weight,color,review,label"]
    for place in range(150):
        true = place % 2
        given = "" if place in unlabeled else 1 - true if place % 15 == 4 else true
        word = ("dull and slow", "quick and bright")[true]
        color = ("red", "green", "blue")[int(rng.integers(0, 2)) + true]
        lines.append(f"{rng.normal() + 4 * true:.3f},{color},Number {place} is {word},{given}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of images, of a table, and of data without issues."""
    folder = tmp_path_factory.mktemp("labels")
    write_photos(folder / "photos")
    (folder / "photos" / "bar" / "broken.png").write_bytes(b"no image")
    write_rows(folder)
    with contextlib.chdir(folder):
        for name, data in (("images", "folder:photos"), ("table", "csv:rows.csv")):
            assert main(["noise", "clean", data, "-o", name]) == 0
    labeled = LabeledData.load("digits", limit=300)
    issues = find_label_issues(labeled.given, pred_probs=0.01 + 0.9 * np.eye(10)[labeled.given])
    write_label_report(folder / "clean", labeled, None, issues)
    return {name: folder / name / "index.html" for name in ("images", "table", "clean")}


@pytest.fixture
def opened(browser, pages, request):
    """A page, loaded; a script error or a request to another address fails the test."""
    name, width, scheme = getattr(request, "param", ("images", 1280, "light"))
    page = pages[name].as_uri()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("data:", "blob:", page)) else wrong.append(asked.url)
        ),
    )
    tab.goto(page)
    yield tab
    context.close()
    assert wrong == []


LOOKS = [
    (name, width, scheme)
    for name in ("images", "table", "clean")
    for width in (390, 1280)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize("opened", LOOKS, indirect=True, ids=str)
def test_nothing_leaves_the_screen_and_an_accessibility_checker_passes(opened, request):
    if opened.locator(".card").count():
        opened.keyboard.press("j")
        opened.keyboard.press("c")
        opened.keyboard.press("x")
    width = opened.viewport_size["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    found = axe.Axe().run(opened, options={"resultTypes": ["violations"]})
    assert [
        (rule["id"], node["html"][:200])
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ] == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    name, width, scheme = request.node.callspec.params["opened"]
    opened.screenshot(path=SHOTS / f"labels_{name}_{width}_{scheme}.png", full_page=True)


def decided(tab):
    return tab.locator("#count").inner_text()


def test_keys_and_mouse_decide_and_the_count_is_live(opened):
    cards = opened.locator(".card")
    assert decided(opened) == f"0 of {cards.count()} decided"
    assert opened.locator("#save").is_disabled()
    opened.keyboard.press("j")
    assert cards.nth(0).evaluate("card => card === document.activeElement")
    opened.keyboard.press("c")
    opened.keyboard.press("x")
    assert cards.nth(2).evaluate("card => card === document.activeElement")
    opened.keyboard.press("k")
    assert cards.nth(1).get_attribute("class") == "card decided current"
    opened.keyboard.press("u")
    cards.nth(3).get_by_role("button", name="Reject").click()
    assert decided(opened) == f"2 of {cards.count()} decided: 1 confirmed, 1 rejected"
    assert cards.nth(3).get_by_role("button", name="Reject").get_attribute("aria-pressed") == "true"
    cards.nth(3).get_by_role("button", name="Reject").click()
    assert "rejected" not in decided(opened)
    opened.keyboard.press("j")
    opened.keyboard.press("e")
    opened.keyboard.type("owl jc")  # letters are text there
    opened.keyboard.press("Enter")
    assert cards.nth(4).locator(".word").inner_text() == "Corrected: owl jc, a new class"
    cards.nth(5).locator("input").fill("never mind")
    cards.nth(5).locator("input").press("Escape")
    assert cards.nth(5).locator("input").input_value() == ""
    cards.nth(6).locator("input").fill(cards.nth(6).get_attribute("data-suggested"))
    cards.nth(6).locator("input").press("Enter")
    assert decided(opened) == f"3 of {cards.count()} decided: 2 confirmed, 1 corrected"
    opened.locator("#keys").uncheck()
    cards.nth(1).focus()
    opened.keyboard.press("c")
    assert decided(opened).startswith("3 of")
    opened.on("dialog", lambda dialog: dialog.accept())
    opened.locator("#discard").click()
    assert decided(opened) == f"0 of {cards.count()} decided"
    opened.reload()
    assert decided(opened) == f"0 of {cards.count()} decided"


def test_the_first_link_skips_to_the_issues(opened):
    opened.keyboard.press("Tab")
    link = opened.locator(".skip")
    assert link.evaluate("link => link === document.activeElement")
    assert link.bounding_box()["y"] >= 0
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "issues"


def test_digits_of_0_to_16_can_be_seen(opened):
    brightest = opened.locator(".card img").first.evaluate(
        """image => {
             const canvas = document.createElement("canvas");
             canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
             const paint = canvas.getContext("2d");
             paint.drawImage(image, 0, 0);
             return Math.max(...paint.getImageData(0, 0, canvas.width, canvas.height).data
               .filter((_, place) => place % 4 < 3));
           }"""
    )
    assert brightest > 200


@pytest.mark.parametrize("opened", [("table", 1280, "light")], indirect=True)
def test_a_table_shows_its_sentences_and_what_speaks_against_the_label(opened):
    card = opened.locator(".card").first
    assert "Number" in card.locator(".said").inner_text()
    rows = card.locator("tbody tr").all_inner_texts()
    assert any(row.startswith("weight") for row in rows)
    assert not any("review" in row for row in rows)


def test_missing_labels_are_decided_on_and_filled_in(browser, pages, tmp_path):
    folder = pages["table"].parent
    tab = browser.new_page()
    tab.goto(pages["table"].as_uri())
    tab.evaluate("localStorage.clear()")
    tab.reload()
    assert "3 examples without a label" in tab.locator("h2").all_inner_texts()
    cards = tab.locator('.card[data-given=""]')
    ids = [card.get_attribute("data-id") for card in cards.all()]
    assert sorted(ids, key=int) == ["3", "7", "10"]
    cards.nth(0).focus()
    tab.keyboard.press("c")  # and goes on
    tab.keyboard.press("x")
    assert cards.nth(1).locator(".word").inner_text() == "Rejected: stays without a label"
    suggested = [card.get_attribute("data-suggested") for card in cards.all()]
    other = "1" if suggested[2] == "0" else "0"
    tab.keyboard.press("e")
    tab.keyboard.type(other)
    tab.keyboard.press("Enter")
    with tab.expect_download() as download:
        tab.get_by_text("Save decisions", exact=True).click()
    download.value.save_as(folder / "decisions.csv")
    tab.close()
    apply = ["noise", "apply", str(folder / "decisions.csv"), "-o", str(tmp_path / "rows.csv")]
    assert main([*apply, "--yes"]) == 0
    with (folder.parent / "rows.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    for place, label in ((0, suggested[0]), (2, other)):
        expected[int(ids[place])]["label"] = label
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == expected


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_persons_way_from_a_folder_to_a_corrected_one_and_back(browser, pages, monkeypatch):
    out = pages["images"].parent
    monkeypatch.chdir(out.parent)
    photos = out.parent / "photos"
    before = content(photos)

    tab = browser.new_page()
    tab.goto((out / "index.html").as_uri())
    cards = [
        {key: card.get_attribute(f"data-{key}") for key in ("file", "given", "suggested")}
        for card in tab.locator(".card").all()
    ]
    tab.keyboard.press("j")
    tab.keyboard.press("c")
    tab.locator(".card").nth(1).get_by_role("button", name="Reject").click()
    tab.keyboard.press("j")
    tab.keyboard.press("e")
    tab.keyboard.type("=odd, one")
    tab.keyboard.press("Enter")
    tab.reload()
    said = tab.locator("#count").inner_text()
    assert said == f"3 of {len(cards)} decided: 1 confirmed, 1 corrected, 1 rejected"
    with tab.expect_download() as download:
        tab.get_by_text("Save decisions", exact=True).click()
    assert download.value.suggested_filename == "decisions.csv"
    download.value.save_as(out / "decisions.csv")
    tab.close()
    rows = read_label_table("images/decisions.csv").rows
    assert [row.decision for row in rows] == ["confirm", "reject", "correct"]
    assert [row.file for row in rows] == [card["file"] for card in cards[:3]]
    with (out / "decisions.csv").open(newline="") as file:
        assert [row["label_name"] for row in csv.DictReader(file)] == ["", "", "'=odd, one"]

    apply = ["noise", "apply", "images/decisions.csv", "--move", "--new-classes"]
    assert main(apply) == 0
    assert content(photos) == before
    assert main([*apply, "--yes"]) == 0
    after = dict(before)
    for place, name in ((0, cards[0]["suggested"]), (2, "=odd, one")):
        old = cards[place]["file"]
        after[f"{name}/{old.partition('/')[2]}"] = after.pop(old)
    assert content(photos) == after
    receipt = json.loads((out / "moved.json").read_text())
    assert receipt["created"] == ["=odd, one"]
    assert main(["noise", "undo", "images/moved.json"]) == 0
    assert content(photos) == before
    assert sorted(each.name for each in photos.iterdir()) == sorted(NAMES)
