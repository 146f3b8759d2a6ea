import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from tiny_labels import CLASSES, split_of, write_images

from tfticket.noise import LabeledData, find_label_issues, symmetric
from tfticket.noise.page import render
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
