"""From texts to the weights of their words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_TERMS = 1000
"""Limit of the features that all columns of texts together become."""

_MOST_NUMBERS = 2**26  # a quarter of a gigabyte
_LONGEST = 100_000  # characters of a text that are looked at
_MOST_WORDS, _MOST_LETTERS = 3e8, 3e7  # characters in all rows, a minute's work
_FEWEST_WORDS = 3.0
_MANY = 50  # different texts; fewer are categories
_LOOKED_AT = 10_000  # different texts


def looks_like_text(values: Sequence[str], codes: np.ndarray, *, alone: bool) -> bool:
    """Return whether a column holds sentences, not names of categories.

    Args:
        values: The different texts.
        codes: The place of each row's text among them, -1 where it is empty, shape (n,).
        alone: Whether there is no other column beside the labels.
    """
    there = codes[codes >= 0]
    different = len(np.unique(there))
    often_another = 2 * different > len(there)
    if different < 2 or not (often_another or different > _MANY):
        return False
    if _words(values) >= _FEWEST_WORDS:
        return True
    return alone and often_another and different > _MANY


def _words(values: Sequence[str]) -> float:
    """Return the mean number of words."""
    some = values[:: max(1, len(values) // _LOOKED_AT)]
    return float(np.mean([len(text[:_LONGEST].split()) for text in some]))


def term_weights(
    values: Sequence[str], codes: np.ndarray, known: np.ndarray, *, share: int = 1
) -> tuple[list[str], np.ndarray]:
    """Weight words by TF-IDF: how often they are in a text, and in how few texts they are at all.

    A word counts 1 + log(occurrences), times the logarithm of the inverse share of texts that have
    it, and each text is scaled to length 1. The most frequent words that are in two texts or more
    become features. Texts of fewer than three words are looked at by their groups of two to four
    letters. Case and accents don't count. Where there is more text than can be read in about a
    minute, the beginning of each is read.

    Args:
        values: The different texts.
        codes: The place of each row's text among them, -1 where it is empty, shape (n,).
        known: Places of the rows that words and their weights are taken from, shape (m,).
        share: Number of columns of texts that share the limit of features.

    Returns:
        The words, and their weights, shape (n, words), float32; no words if none is in two texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    most = max(1, min(MOST_TERMS, _MOST_NUMBERS // max(1, len(codes))) // share)
    by_word = _words(values) >= _FEWEST_WORDS
    lengths = np.array([*(min(len(text), _LONGEST) for text in values), 0])
    budget = _MOST_WORDS if by_word else _MOST_LETTERS
    longest = _LONGEST if lengths[codes].sum() <= budget else int(budget // len(codes))
    texts = [text[:longest] for text in values]
    vectorizer = TfidfVectorizer(
        analyzer="word" if by_word else "char_wb",
        ngram_range=(1, 1) if by_word else (2, 4),
        strip_accents="unicode",
        sublinear_tf=True,
        min_df=2,
        max_features=most,
        dtype=np.float32,
    )
    seen = codes[known]
    try:
        vectorizer.fit([texts[code] for code in seen[seen >= 0]])
    except ValueError:  # no word in two texts
        return [], np.empty((len(codes), 0), np.float32)
    weights = vectorizer.transform(texts).toarray()
    weights = np.concatenate([weights, np.zeros((1, weights.shape[1]), np.float32)])[codes]
    return vectorizer.get_feature_names_out().tolist(), weights
