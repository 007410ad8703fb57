"""The words that lexical indexes count, in every script."""

import unicodedata
from functools import cache

from gr2_jax.corpus.scripts import blankless, marks


@cache
def word_pattern() -> str:
    r"""Returns a regular expression for words: two or more letters, digits and underscores with their marks, and each
    single letter of scripts without blanks, whose words nothing separates.

    In a text without marks and such letters it finds what `\w\w+` finds, as bm25s and scikit-learn do. That ASCII is
    tried by itself changes nothing, but it is faster.
    """
    letters, accents = rf"[^\W{blankless()}]", rf"[{marks()}]"
    return rf"[{blankless()}]{accents}*|{letters}(?:[0-9A-Za-z_]++|{letters}++|{accents}++)++"


def composed(text: str) -> str:
    """Returns the text with letters and their accents as single characters, where there are such: e and \u0301 as é."""
    return unicodedata.normalize("NFC", text)
