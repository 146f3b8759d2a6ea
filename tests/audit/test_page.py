import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from tiny_labels import CLASSES, split_of, write_images

from tfticket.audit import Subject
from tfticket.audit.page import render
from tfticket.noisy import find_suspects, symmetric


def page_of(subject, split):
    matrix = symmetric(CLASSES, 0.1)
    suspects = find_suspects(split.labels, split.probabilities, transition=matrix)
    return render(subject, split, suspects), suspects


@pytest.fixture
def whole(tmp_path):
    return Subject.load(write_images(tmp_path / "images.npz"))


def test_the_page_shows_images_with_both_labels_and_needs_nothing_beside_it(whole):
    subject = whole.corrupted(symmetric(CLASSES, 0.1), seed=0, exact=True)
    page, suspects = page_of(subject, split_of(subject.given, whole.given))
    assert "30 suspicious labels out of 300" in page
    cards = re.findall(r'<li id="example-(\d+)">\n<img src="data:image/png;base64,([^"]+)"', page)
    assert [int(number) for number, _ in cards] == suspects.ids.tolist()
    number, data = cards[0]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shown, subject.data.train.x[int(number), :, :, 0])
    first = f"<del>{subject.given[int(number)]}</del> &rarr; <b>{whole.given[int(number)]}</b>"
    assert first in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_clean_labels_and_examples_that_are_no_images(whole, tmp_path):
    page, _ = page_of(whole, split_of(whole.given, whole.given))
    assert "No label is suspicious" in page
    np.savez(tmp_path / "flat.npz", x=np.eye(150, 6), y=np.arange(150) % CLASSES)
    subject = Subject.load(f"npz:{tmp_path / 'flat.npz'}")
    true = subject.given.copy()
    true[0] = (true[0] + 1) % CLASSES
    page, _ = page_of(subject, split_of(subject.given, true))
    assert '<li id="example-0">' in page
    assert "<img" not in page
