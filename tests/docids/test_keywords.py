"""Docids of telling words, against a plain definition written with lists and dictionaries."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.corpus.scripts import blankless
from gr2_jax.docids import assign_unique
from gr2_jax.docids.keywords import DocumentFrequencies, Pieces, keyword_candidates, pieces_of, tf_idf, words_of

TEXTS = ["<pad>", "</s>", "<unk>", "▁wing", "s", "▁flow", "▁", ",", "▁heat", "ed", "2", "语", "▁语", "ก", "<extra_id_>"]
PIECES = pieces_of(TEXTS, special=[0, 1, 2, 14], blankless=blankless())
WING, S, FLOW, COMMA, HEAT, ED, TWO = 3, 4, 5, 7, 8, 9, 10


def plain_words(tokens, pieces):
    """The words of one document in order of occurrence, each a tuple of tokens, with their first positions."""
    words, open_word = [], None
    for place, token in enumerate(tokens):
        if not pieces.writes[token]:
            open_word = None
        elif open_word is None or pieces.begins[token]:
            open_word = [token]
            words.append((place, open_word))
        else:
            open_word.append(token)
    return [(place, tuple(word)) for place, word in words]


def plain_docids(documents, leading, pieces, *, least, most, max_length, others, common):
    """The candidates of every document, empty ones left out."""
    found = [plain_words(document, pieces) for document in documents]
    frequency = Counter(word for words in found for word in {word for _, word in words})
    lists = []
    for words, lead in zip(found, leading, strict=True):
        count, first = Counter(word for _, word in words), {}
        for place, word in words:
            first.setdefault(word, place)
        weight = {w: (1 + math.log(count[w])) * math.log(max(len(documents), 2) / frequency[w]) for w in first}
        telling = [w for w in first if weight[w] > 0 and frequency[w] <= max(common * len(documents), 1)]
        telling.sort(key=lambda w: (first[w] >= lead, -weight[w], first[w]))
        ranked = []
        for word in telling:
            if len(word) <= max_length and word[0] not in [other[0] for other in ranked]:
                ranked.append(word)
        ranked = ranked[: most + others]
        used = max(k for k in range(most + 1) if sum(map(len, ranked[:k])) <= max_length and k <= len(ranked))
        prefixes = [sum(ranked[:k], ()) for k in range(min(least, used), used + 1) if k]
        stem = sum(ranked[: max(used - 1, 0)], ())
        endings = [stem + word for word in ranked[max(used, least) :]]
        lists.append(prefixes + [docid for docid in endings if len(docid) <= max_length])
    return lists


def ours(documents, leading, pieces, *, common=1.0, **settings):
    tokens = np.array(documents)
    frequencies = DocumentFrequencies()
    for part in np.array_split(tokens, 2):
        frequencies.add(words_of(part, pieces), len(part))
    words = words_of(tokens, pieces)
    weights = tf_idf(words, frequencies, common=common)
    packed = keyword_candidates(tokens, words, weights, np.array(leading), **settings)
    return [[tuple(docid[docid > 0].tolist()) for docid in own if docid.any()] for own in packed]


def test_pieces_write_words_and_begin_them_also_where_a_script_has_no_blanks():
    assert [text for text, writes in zip(TEXTS, PIECES.writes, strict=True) if writes] == [
        "▁wing", "s", "▁flow", "▁heat", "ed", "2", "语", "▁语", "ก",
    ]  # fmt: skip
    assert [text for text, begins in zip(TEXTS, PIECES.begins, strict=True) if begins] == [
        "▁wing", "▁flow", "▁", "▁heat", "语", "▁语", "ก",
    ]  # fmt: skip


def test_a_word_ends_at_a_comma_and_where_another_begins():
    words = words_of(np.array([[WING, S, FLOW, COMMA, TWO, WING, S, 1, 0]]), PIECES)
    assert list(zip(words.start, words.length, words.count, strict=True)) == [(0, 2, 2), (2, 1, 1), (4, 1, 1)]


def test_documents_without_words_have_no_docids():
    assert len(words_of(np.array([[COMMA, 0], [0, 0]]), PIECES).row) == 0
    assert ours([[COMMA, 0], [0, 0]], [0, 0], PIECES, least=1, most=2, max_length=3) == [[], []]


def test_the_title_comes_first_then_the_words_that_few_documents_have():
    documents = [
        [HEAT, FLOW, WING, S, WING, S],  # title "heat"
        [FLOW, TWO, 0, 0, 0, 0],
        [FLOW, HEAT, HEAT, HEAT, 0, 0],
        [11, 0, 0, 0, 0, 0],
    ]
    first, *_ = ours(documents, [1, 0, 0, 0], PIECES, least=1, most=3, max_length=4)
    assert first == [(HEAT,), (HEAT, WING, S), (HEAT, WING, S, FLOW)]


def test_a_word_of_too_many_documents_tells_nothing():
    documents = [[FLOW, WING, 0], [FLOW, HEAT, 0], [FLOW, 13, 0], [12, 11, 0]]
    lists = ours(documents, [0] * 4, PIECES, least=2, most=2, max_length=4, common=0.5)
    assert lists[:3] == [[(WING,)], [(HEAT,)], [(13,)]]


documents = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=2, max_size=7)
)


@given(
    documents,
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 6),
    st.integers(0, 3),
    st.sampled_from([0.4, 1.0]),
    st.data(),
)
def test_candidates_are_those_of_the_plain_definition(documents, least, more, max_length, others, common, data):
    pieces = Pieces(
        np.array([False, False, True, True, True, True, True, False, True, True]),
        np.array([False, False, True, True, False, True, False, False, True, False]),
    )
    leading = data.draw(st.lists(st.integers(0, 3), min_size=len(documents), max_size=len(documents)))
    settings = {"least": least, "most": least + more, "max_length": max_length, "others": others, "common": common}
    assert ours(documents, leading, pieces, **settings) == plain_docids(documents, leading, pieces, **settings)


@pytest.mark.parametrize("block", [3, 50])
def test_no_docid_needs_a_suffix_where_words_differ_and_slices_do_not_change_it(block):
    rng = np.random.default_rng(0)
    tokens = rng.integers(2, 200, (50, 12))
    pieces = Pieces(np.ones(200, bool), np.ones(200, bool))
    frequencies = DocumentFrequencies()
    frequencies.add(words_of(tokens, pieces), 50)
    shards = []
    for start in range(0, 50, block):
        part = tokens[start : start + block]
        words = words_of(part, pieces)
        shards.append(
            keyword_candidates(
                part, words, tf_idf(words, frequencies), np.zeros(len(part), int), least=1, most=4, max_length=4
            )
        )
    given = assign_unique(shards, suffix_tokens=[500], max_length=4)
    assert given.figures()["needed_suffix"] == 0
    whole = words_of(tokens, pieces)
    lists = keyword_candidates(
        tokens, whole, tf_idf(whole, frequencies), np.zeros(50, int), least=1, most=4, max_length=4
    )
    np.testing.assert_array_equal(np.concatenate(shards), lists)
