"""Words of every script in the lexical indexes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.search.bm25 import BM25
from gr2_jax.search.words import split_off, stems, word_pattern

SCRIPTS = {
    "hindi": ("हिन्दी में नदी", "नदी"),
    "chinese": ("北京是首都", "首都"),
    "japanese": ("東京タワーは高い", "タワー"),
    "russian": ("Москва стоит здесь", "москва"),
    "thai": ("ภาษาไทยง่าย", "ไทย"),
    "decomposed": ("the cafe\u0301 here", "café"),
}


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=60))
def test_without_marks_and_blankless_scripts_words_are_the_usual_ones(text):
    assert re.findall(word_pattern(), text) == re.findall(r"\b\w\w+\b", text)


@pytest.mark.parametrize("script", SCRIPTS)
def test_bm25_finds_a_word_of_every_script(script):
    text, query = SCRIPTS[script]
    ((hit, *others),) = BM25(["other", "wanted"], ["something else", text]).search([query])
    assert (hit.doc_id, others) == ("wanted", [])


def test_lsa_and_query_likelihood_count_the_same_words():
    words = stems()
    assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert words("cafe\u0301 cats 北京") == ["café", "cat", "北京"]


def test_runs_without_blanks_become_pairs_and_the_rest_stays():
    assert split_off("the 北京站 in 京 2024") == ("the   in   2024", ["北京", "京站", "京"])
    assert split_off("ที่นี่") == (" ", ["ที่นี่"])  # a letter's vowel and tone belong to it
