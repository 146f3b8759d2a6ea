import datetime as dt
from decimal import Decimal

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

from tfticket.data.columns import MOST_CATEGORIES, encode  # noqa: E402
from tfticket.errors import DataError  # noqa: E402


def encoded(known=None, **columns):
    table = pa.table(columns)
    rows = np.arange(table.num_rows) if known is None else np.array(known)
    return encode(table, list(columns), rows, source="it")


def features(known=None, **columns):
    made = encoded(known, **columns)
    return {f.name: made.x[:, place].tolist() for place, f in enumerate(made.features)}


def test_numbers_stay_numbers():
    assert features(a=["1", " 2.5 ", "-3e2"]) == {"a": [1, 2.5, -300]}
    assert features(a=[1, None, 5, 6]) == {"a": [1, 5, 5, 6], "a is missing": [0, 1, 0, 0]}
    made = features(a=[1.0, np.nan, np.inf, 4])
    assert made == {"a": [1, 2.5, 2.5, 4], "a is missing": [0, 1, 1, 0]}
    assert features(a=[True, None, False, True])["a"] == [1, 1, 0, 1]
    assert features(a=[Decimal("1.5"), Decimal("2.5")]) == {"a": [1.5, 2.5]}


def test_a_few_texts_among_numbers_count_as_missing():
    texts = [str(value) for value in range(20)]
    texts[4], texts[9] = "<5", "1,000"
    made = features(a=[*texts, "50"])
    assert made["a is missing"] == [float(row in (4, 9)) for row in range(21)]
    assert made["a"][4] == np.median([*(set(range(20)) - {4, 9}), 50])


def test_dates_are_days_and_times_are_hours():
    days = [dt.date(1970, 1, 2), dt.date(2020, 1, 1)]
    assert features(a=days) == {"a": [1, 18262]}
    assert features(a=["1970-01-02", "2020-01-01"]) == {"a": [1, 18262]}
    assert features(a=["1970-01-02 12:00:00", "1970-01-01T00:00Z"]) == {"a": [1.5, 0]}
    stamps = pa.array([dt.datetime(1970, 1, 2, 6), None], pa.timestamp("ns", "Europe/Rome"))
    assert features(a=stamps) == {"a is missing": [0, 1]}
    assert features(a=[dt.time(6, 30), dt.time(7)]) == {"a": [6.5, 7]}
    assert features(a=[dt.timedelta(1), dt.timedelta(0)]) == {"a": [1, 0]}


def test_categories_are_ones_and_zeros():
    assert features(a=["x", "y", "x", "z", "z", "y"]) == {
        "a = x": [1, 0, 1, 0, 0, 0],
        "a = y": [0, 1, 0, 0, 0, 1],
        "a = z": [0, 0, 0, 1, 1, 0],
    }
    assert features(a=["no", "yes", "no", "yes"]) == {"a = yes": [0, 1, 0, 1]}
    assert features(a=["x", "", "x", "NA"]) == {"a is missing": [0, 1, 0, 1]}


def test_rare_categories_are_pooled_and_many_limited():
    assert features(a=["x", "y", "x", "y", "z", "w"]) == {
        "a = x": [1, 0, 1, 0, 0, 0],
        "a = y": [0, 1, 0, 1, 0, 0],
        "a = any other": [0, 0, 0, 0, 1, 1],
    }
    many = [f"c{row % 80:02}" for row in range(800)]
    made = features(a=many)
    assert len(made) == MOST_CATEGORIES + 1
    assert sum(made["a = any other"]) == 300
    assert (np.sum(list(made.values()), axis=0) == 1).all()


def test_what_says_nothing_is_dropped_and_told():
    rows = range(30)
    made = encoded(
        good=[row % 3 for row in rows],
        key=[f"{row:x}-{row * 7919 % 1000:x}" for row in rows],
        index=list(rows),
        same=["a"] * 30,
        one=[1.0] * 30,
        empty=[None] * 30,
        blank=[""] * 30,
        struct=[{"a": 1}] * 30,
    )
    assert [f.name for f in made.features] == ["good"]
    assert made.words == (
        "1 feature from 1 column of numbers; dropped: key (another text in each row), index "
        "(it counts the rows), same, one (constant), empty, blank (empty), struct (of the type "
        "struct<a: int64>)"
    )
    pairs = [f"{row // 2}x" for row in range(1000)]
    assert encoded(a=pairs, b=[1, 2] * 500).words.endswith("dropped: a (rare texts alone)")
    with pytest.raises(DataError, match=r"beside the labels.*Received: dropped: a \(constant\)"):
        encoded(a=["x", "x"])


def test_lists_of_numbers_are_columns():
    made = features(a=[[1.0, 2.0, 5.0], [3.0, 2.0, 6.0]])
    assert made == {"a[0]": [1, 3], "a[2]": [5, 6]}
    fixed = pa.array([[1, 2], [3, 5]], pa.list_(pa.int32(), 2))
    assert features(a=fixed) == {"a[0]": [1, 3], "a[1]": [2, 5]}
    made = encoded(a=[[1.0], [3.0, 2.0]], b=[1, 2])
    assert "a (lists of several lengths)" in made.words


def test_rows_that_are_not_known_change_nothing():
    known = [0, 1, 2, 3]
    made = features(
        known,
        a=["x", "y", "x", "y", "z"],
        b=[1.0, 3.0, None, 3.0, 1e6],
        c=["1", "2", "3", "4", "what"],
    )
    assert made == {
        "a = y": [0, 1, 0, 1, 0],
        "b": [1, 3, 3, 3, 1e6],
        "b is missing": [0, 0, 1, 0, 0],
        "c": [1, 2, 3, 4, 2.5],
    }


SENTENCES = [
    "the cat sat on the mat",
    "a dog barked at the cat",
    "the dog slept",
    "a cat slept on a dog",
]


def test_sentences_become_weights_of_words():
    made = encoded(text=SENTENCES, a=[1, 2, 3, 4])
    names = [f.name for f in made.features]
    assert names == ["a", *(f"text: {word}" for word in ("cat", "dog", "on", "slept", "the"))]
    weights = dict(zip(names, made.x[0].tolist(), strict=True))
    # Smoothed inverse frequency of scikit-learn: 1 + ln(5 / (1 + texts)); the comes twice.
    three, two = 1 + np.log(5 / 4), 1 + np.log(5 / 3)
    row = np.array([three, 0, two, 0, three * (1 + np.log(2))])
    np.testing.assert_allclose(made.x[0, 1:], row / np.linalg.norm(row), rtol=1e-5)
    assert weights["text: dog"] == 0


def test_a_single_column_of_words_is_looked_at_by_letters():
    words = [f"{chr(97 + row % 26)}{chr(97 + row // 26)}{'ing' if row % 2 else 'ed'}"
             for row in range(60)]  # fmt: skip
    made = encoded(word=words)
    names = [f.name for f in made.features]
    weights = made.x[:, names.index("word: ing")]
    np.testing.assert_array_equal(weights > 0, np.arange(60) % 2 == 1)
    assert "texts by TF-IDF" not in encoded(word=words, a=[1, 2] * 30).words


def test_a_hostile_amount_of_text_is_read_in_part(monkeypatch):
    texts = [f"{'one two three ' * 50}{'left' if row % 2 else 'right'} {row}" for row in range(60)]
    made = encoded(a=texts)
    assert [f.name for f in made.features][:2] == ["a: left", "a: one"]
    monkeypatch.setattr("tfticket.data.terms._MOST_WORDS", 60 * 28)
    assert {f.name for f in encoded(a=texts).features} == {"a: one", "a: two", "a: three"}


def test_features_that_would_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr("tfticket.data.columns._MOST_BYTES", 4 * 4 * 2)
    assert encoded(a=[1, 2, 3, 5], b=[1, 2, 3, 5]).x.shape == (4, 2)
    with pytest.raises(DataError, match=r"32 bytes. Received: 3 features or more of 4 rows"):
        encoded(a=[1, 2, 3, 5], b=[1, 2, 3, 5], c=[1, 2, 3, 5])


def test_large_texts_and_many_columns_of_them_stay_in_their_limits():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in rng.integers(0, 3000, 40)) for _ in range(300)]
    texts[0] = "long " * 400_000
    made = encoded(a=texts, b=texts[::-1])
    assert made.x.shape == (300, 1000)
    assert np.isfinite(made.x).all()
