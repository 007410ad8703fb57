"""Words of every script in the lexical indexes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.search.bm25 import BM25
from gr2_jax.search.lsa import LSA
from gr2_jax.search.query_likelihood import QueryLikelihood
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


@pytest.mark.parametrize(
    ("text", "rest", "pairs"),
    [
        ("苹果是什么", "", ["苹果", "果是", "是什", "什么"]),
        ("猫", "", ["猫"]),
        ("买iPhone手机, 2020年", "iPhone , 2020", ["买", "手机", "年"]),
        ("東京・カタカナー々", "・", ["東京", "カタ", "タカ", "カナ", "ナー", "ー々"]),
        ("ที่ดี", "", ["ที่ดี"]),  # two letters, each with its vowel or tone
        ("𠮷野家", "", ["𠮷野", "野家"]),
    ],
)
def test_runs_without_blanks_are_cut_into_pairs(text, rest, pairs):
    left, found = split_off(text)
    assert (" ".join(left.split()), found) == (rest, pairs)


@pytest.mark.parametrize("text", ["naïve café", "한국어 문서", "हिन्दी भाषा।", "Ελληνικά и кириллица", "😀😁!", ""])
def test_other_texts_are_left_to_the_library(text):
    assert split_off(text) == (text, [])


HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=8)


@given(HAN, st.text(st.characters(max_codepoint=0x2FF), max_size=12))
def test_every_letter_is_in_a_pair_and_the_rest_is_as_without_the_run(run, text):
    left, pairs = split_off(f"{text} {run} {text}")
    assert left == f"{text}   {text}"
    assert pairs[0] + "".join(pair[-1] for pair in pairs[1:]) == run
    assert stems()(f"{text} {run}") == stems()(text) + split_off(run)[1]


TEXTS = {
    "zh": ["苹果的历史和用途。很多人喜欢苹果", "香蕉的历史和用途。很多人喜欢香蕉", "猫咪的历史和用途。很多人喜欢猫咪"],
    "ja": ["りんごの歴史と用途について", "東京都の歴史と用途について", "ネコの歴史と用途について"],
    "th": ["ประวัติของแอปเปิ้ลและการใช้งาน", "ประวัติของกล้วยและการใช้งาน", "ประวัติของแมวและการใช้งาน"],
    "hi": ["सेब का इतिहास", "केले का इतिहास", "बिल्ली का इतिहास"],
}
QUERIES = {"zh": "我想知道香蕉是什么", "ja": "東京都はどこですか", "th": "อยากรู้เรื่องกล้วย", "hi": "केले क्या हैं"}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("row", [BM25, QueryLikelihood, LSA])
def test_a_query_finds_the_document_that_is_about_it(row, language):
    ((best, *_),) = row(["one", "two", "three"], TEXTS[language]).search([QUERIES[language]], k=3)
    assert best.doc_id == "two"
