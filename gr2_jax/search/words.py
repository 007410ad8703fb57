"""The words of a text, for the rows that compare words.

Chinese, Japanese, Thai and their like have no blanks between words. A run of such a script is cut into the pairs of
neighbouring characters: that needs no dictionary, and pairs retrieve about as well as words do. The scripts of India
have blanks, but their vowel signs are marks, at which the usual pattern of a word ends; there a word is a run of
letters and marks. All other text is left to the library, which splits and stems it as English.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # signs among Han
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # Katakana of half width
    (0x20000, 0x323AF),  # Han
)
_MARKED = ((0x0900, 0x0DFF),)  # Devanagari to Sinhala


def split_off(text: str) -> tuple[str, list[str]]:
    """What is left of a text, with a blank for each run that is cut here, and the pieces of these runs."""
    if text.isascii() or not (runs := [match.groups() for match in _runs().finditer(text)]):
        return text, []
    pieces = [piece for unspaced, word in runs for piece in ([word] if word else _pairs(unspaced))]
    return _runs().sub(" ", text), pieces


def stems() -> Callable[[str], list[str]]:
    """Words as scikit-learn splits them, reduced to Porter2 stems as in BM25, and the pieces of `split_off`."""
    import Stemmer
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(stop_words="english").build_analyzer()
    stemmer = Stemmer.Stemmer("english")

    def analyse(text: str) -> list[str]:
        rest, pieces = split_off(text)
        return stemmer.stemWords(words(rest)) + pieces

    return analyse


def _pairs(run: str) -> list[str]:
    """Each character, its marks with it, and the next one; a single character as it is."""
    characters = _characters().findall(run)
    return ["".join(pair) for pair in itertools.pairwise(characters)] or characters


@functools.cache
def _runs() -> re.Pattern:
    """Two groups: a run of an unspaced script, or a word of a marked one."""
    return re.compile(f"([{_class(_UNSPACED, 'LMN')}]+)|([{_class(_MARKED, 'LM')}]+)")


@functools.cache
def _characters() -> re.Pattern:
    return re.compile(f".[{_class(_UNSPACED, 'M')}]*")


def _class(ranges: tuple[tuple[int, int], ...], categories: str) -> str:
    """The characters of the ranges whose Unicode category is one of these, as spans of a regular expression's class."""
    codes = (code for first, last in ranges for code in range(first, last + 1))
    kept = [code for code in codes if unicodedata.category(chr(code))[0] in categories]
    spans = itertools.groupby(enumerate(kept), key=lambda item: item[1] - item[0])
    ends = ((span[0][1], span[-1][1]) for span in (list(own) for _, own in spans))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ends)
