import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_labels import CLASSES, split_of, write_images

from tfticket.noise import LabeledData, find_label_issues, symmetric
from tfticket.noise.page import Thumbnails, headline, render
from tfticket.noise.report import relations

pytestmark = pytest.mark.slow


def page_of(labeled, split):
    matrix = symmetric(CLASSES, 0.1)
    issues = find_label_issues(split.labels, pred_probs=split.probabilities, transition=matrix)
    return render(labeled, issues, relations(labeled)), issues


@pytest.fixture
def whole(tmp_path):
    return LabeledData.load(write_images(tmp_path / "images.npz"))


def test_the_page_shows_images_with_both_labels_and_needs_nothing_beside_it(whole):
    labeled = whole.corrupted(symmetric(CLASSES, 0.1), seed=0, exact=True)
    page, issues = page_of(labeled, split_of(labeled.given, whole.given))
    assert "30 label issues among 300 labels" in page
    cards = re.findall(
        r'id="example-(\d+)"[^>]*>\n<img class="small" src="data:image/png;base64,([^"]+)"', page
    )
    assert [int(number) for number, _ in cards] == issues.ids.tolist()
    number, data = cards[0]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shown, labeled.data.train.x[int(number), :, :, 0])
    first = f"<del>{labeled.given[int(number)]}</del><b>{whole.given[int(number)]}</b>"
    assert first in re.sub(r"\s*<span.*?</span>\s*", "", page)
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def issues_with(count, *, real=1.0, **estimate):
    """Label issues of 1,000 labels of two classes, as they are said to be estimated."""
    given = np.arange(1000) % 2
    shown = np.where(np.arange(1000) < count, 1 - given, given)
    found = find_label_issues(given, pred_probs=0.02 + 0.96 * np.eye(2)[shown])
    changed = replace(found.estimate, reason="Too few.", learned=True, **estimate)
    score = np.where(found.is_issue, real, 0.0)
    return replace(found, estimate=changed, score=score)


@pytest.mark.parametrize(
    ("count", "estimate", "said"),
    [
        (
            40,
            {"kind": "symmetric", "identifiable": True, "rate": 0.03, "low": 0.02, "high": 0.05},
            "About 3.6 % of the labels are wrong (2.0 % to 5.0 % with 95 % confidence; type of the "
            "noise: symmetric). Of the 40 in this list about 36 are expected to be.",
        ),
        (
            20,
            {"kind": "symmetric", "identifiable": True, "rate": 0.03, "low": 0.02, "high": 0.05},
            "About 3.0 % of the labels are wrong (2.0 % to 5.0 % with 95 % confidence; type of the "
            "noise: symmetric). Of the 20 in this list about 18 are expected to be.",
        ),
        (
            20,
            {"kind": "clean", "identifiable": True, "rate": 0.0, "low": 0.0, "high": 0.024},
            "At most 2.4 % of the labels, 24, are wrong, with 95 % confidence. These are the 20 "
            "most suspicious.",
        ),
        (
            20,
            {"kind": "symmetric", "identifiable": True, "rate": 0.01, "low": 0.0, "high": 0.012},
            "At most 1.2 % of the labels, 12, are wrong, with 95 % confidence. These are the 20 "
            "most suspicious.",
        ),
        (
            0,
            {"kind": "clean", "identifiable": True, "rate": 0.0, "low": 0.0, "high": 0.004},
            "No wrong labels are established, in any class; at most 0.40 % can be wrong, with 95 % "
            "confidence.",
        ),
        (
            0,
            {"kind": "pair", "identifiable": True, "rate": 0.02, "low": 0.0, "high": 0.04},
            "About 2.0 % of the labels are wrong, but none stands out; at most 4.0 % can be wrong, "
            "with 95 % confidence.",
        ),
        (
            20,
            {"kind": "general", "identifiable": False, "rate": 0.1, "low": 0.0, "high": 0.4},
            "The share of wrong labels is not identifiable. Too few. The list is an order to look "
            "in, from the top; how many are wrong isn't known.",
        ),
    ],
)
def test_the_headline_contradicts_no_list(count, estimate, said):
    issues = issues_with(count, real=0.9, **estimate)
    assert len(issues) == count
    assert headline(issues).replace("\N{NARROW NO-BREAK SPACE}", " ") == said


def test_no_card_expects_more_than_can_be_wrong(whole):
    labeled = whole.corrupted(symmetric(CLASSES, 0.1), seed=0, exact=True)
    issues = split_of(labeled.given, whole.given).label_issues()
    few = replace(issues.estimate, identifiable=True, high=0.01)
    sure = replace(issues, estimate=few, expected_precision=np.ones(300))
    page = render(labeled, sure, relations(labeled))
    told = re.findall(r"expected to be wrong: (\d+).% of the first (\d+)<", page)
    assert told[:4] == [("100", "1"), ("100", "2"), ("100", "3"), ("75", "4")]
    assert told[-1] == ("10", "30")


@pytest.mark.parametrize(
    ("x", "black", "white"),
    [
        (np.array([[0, 16], [4, 8]], np.uint8), 0, 255),
        (np.array([[0, 200], [4, 8]], np.uint8), 0, 200),  # as it is
        (np.array([[1000.0, 1400], [1100, 1200]]), 0, 255),
        (np.array([[-1.5, 2.5], [0, 0]]), 0, 255),
        (np.array([[7, 7], [7, 7]], np.uint8), 0, 0),
    ],
)
def test_thumbnails_have_the_range_of_the_data(x, black, white):
    images = np.stack([x, np.full_like(x, x[1, 1])])[..., np.newaxis]
    uri = Thumbnails.of(images).uri(images[0])
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    assert (shown.min(), shown.max()) == (black, white)


def test_large_images_are_shown_small():
    images = np.random.default_rng(0).integers(0, 256, (2, 300, 600, 3), dtype=np.uint8)
    uri = Thumbnails.of(images).uri(images[0])
    assert uri.startswith("data:image/jpeg")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (144, 72)
    assert Thumbnails.of(images[..., :2]) is None
    assert Thumbnails.of(images[:, 0, :, 0]) is None


def test_clean_labels_and_examples_that_are_no_images(whole, tmp_path):
    page, _ = page_of(whole, split_of(whole.given, whole.given))
    assert "No label issues." in page
    np.savez(tmp_path / "flat.npz", x=np.eye(150, 6), y=np.arange(150) % CLASSES)
    labeled = LabeledData.load(f"npz:{tmp_path / 'flat.npz'}")
    true = labeled.given.copy()
    true[0] = (true[0] + 1) % CLASSES
    page, _ = page_of(labeled, split_of(labeled.given, true))
    assert 'id="example-0"' in page
    assert "<img" not in page
