"""The words that lexical indexes count, in every script.

Chinese, Japanese, Thai and their like put no blanks between words. A run of such letters is cut into the pairs of
neighbours: that needs no dictionary, and pairs retrieve about as well as words do. All other text is left to the
libraries, whose pattern of a word only learns that combining marks belong to the letter before them.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable
from functools import cache

from gr2_jax.corpus.scripts import blankless, marks


@cache
def word_pattern() -> str:
    r"""Returns a regular expression for words: two or more letters, digits and underscores with their marks.

    In a text without marks it finds what `\w\w+` finds, as bm25s and scikit-learn do. That ASCII is tried by itself
    changes nothing, but it is faster.
    """
    accents = rf"[{marks()}]"
    return rf"\w(?:[0-9A-Za-z_]++|\w++|{accents}++)++"


def split_off(text: str) -> tuple[str, list[str]]:
    """What a library is to split, with a blank in place of every run of letters of a script without blanks, and the
    pairs of these runs. Letters and accents become single characters where there are such: e and \\u0301 é."""
    if text.isascii():
        return text, []
    text = unicodedata.normalize("NFC", text)
    return _runs().sub(" ", text), [pair for run in _runs().findall(text) for pair in _pairs(run)]


def stems() -> Callable[[str], list[str]]:
    """Words without scikit-learn's English stop words, reduced to Porter2 stems as in BM25, and `split_off`'s pairs."""
    import Stemmer
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(stop_words="english", token_pattern=word_pattern()).build_analyzer()
    stemmer = Stemmer.Stemmer("english")

    def analyse(text: str) -> list[str]:
        rest, pairs = split_off(text)
        return stemmer.stemWords(words(rest)) + pairs

    return analyse


def _pairs(run: str) -> list[str]:
    """Each letter, its marks with it, and the next one; a letter alone as it is."""
    letters = _letters().findall(run)
    return ["".join(pair) for pair in itertools.pairwise(letters)] or letters


@cache
def _runs() -> re.Pattern[str]:
    return re.compile(rf"(?:[{blankless()}][{marks()}]*+)++")


@cache
def _letters() -> re.Pattern[str]:
    return re.compile(rf"[{blankless()}][{marks()}]*+")
