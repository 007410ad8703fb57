"""Splits prose with formulas, names and abbreviations into paragraphs and sentences."""

import re

# The end of a sentence: the mark, closing quotes or brackets, white space, and a character that can begin a sentence.
_END = re.compile(r"[.!?]+[\"'\u2019\u201d)\]]*(?=\s+[\"'\u2018\u201c(\[`]*[A-Z0-9])|(?<=\s)[.!?](?=\s)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'])(?:e\.g|i\.e|etc|cf|vs|viz|al|resp|approx|fig|figs|eq|eqs|sec|ch|ref|refs|no|nos|vol|p|pp|ed|eds"
    r"|dr|mr|mrs|ms|prof|st|jr|inc|dept|univ|[a-z])\.$",
    re.IGNORECASE,
)

_LONGEST = 16  # characters before a full stop that are searched for an abbreviation


def paragraphs(text: str) -> tuple[str, ...]:
    """Returns the blocks between blank lines, with white space collapsed and empty blocks left out."""
    blocks = (" ".join(block.split()) for block in re.split(r"\n[ \t\r]*\n", text))
    return tuple(block for block in blocks if block)


def sentences(text: str) -> tuple[str, ...]:
    """Returns the sentences of the text in order; a paragraph's end always ends a sentence.

    A full stop ends a sentence only before white space and a character that can begin one, so `1.5`, `numpy.linalg` and
    `e.g. this` stay whole. It does not end one after a common abbreviation or an initial. A stop between spaces, as in
    pre-tokenised text, always ends one.
    """
    found = []
    for paragraph in paragraphs(text):
        start = 0
        for end in _END.finditer(paragraph):
            if not _ABBREVIATION.search(paragraph, max(start, end.end() - _LONGEST), end.end()):
                found.append(paragraph[start : end.end()].strip())
                start = end.end()
        found.append(paragraph[start:].strip())
    return tuple(sentence for sentence in found if any(character.isalnum() for character in sentence))
