"""The text of HTML and SGML, with the paragraphs and word boundaries that tags imply.

ir_datasets' parser removes tags and leaves no space: `<p>one</p><p>two</p>` becomes "onetwo". So break characters are
inserted before the tags first, and the parser's clean-up of white space does not merge them.
"""

import re

_PARAGRAPH = "\u2029"
_STARTS_PARAGRAPH = re.compile(
    r"(?i)<(?=/?(?:p|div|h[1-6]|ul|ol|dl|table|blockquote|pre|hr|form|section|article|body|text|headline)\b)"
)
_STARTS_LINE = re.compile(r"(?i)<(?=/?(?:br|li|tr|td|th|dt|dd|option|title|h[dl])\b)")


def words_of_page(body: bytes, headers: bytes | str) -> tuple[str, str]:
    """Returns (title, text) of an HTML page, in the character set that it or its HTTP headers name."""
    from ir_datasets.util.html_parsing import decode_html

    title, text = words_within(decode_html(body, headers), frozenset({"title"}), frozenset({"body"}))
    return " ".join(title.split()), text


def words_within(markup: str, *fields: frozenset[str]) -> tuple[str, ...]:
    """Returns the text inside the tags of each field; paragraphs are separated by blank lines."""
    from ir_datasets.util import sax_html_parser

    markup = _STARTS_LINE.sub("\n<", _STARTS_PARAGRAPH.sub(f"{_PARAGRAPH}<", markup))
    return tuple(_with_paragraphs(text) for text in sax_html_parser(markup, fields=list(fields)))


def _with_paragraphs(text: str) -> str:
    blocks = (block.strip() for block in text.split(_PARAGRAPH))
    return "\n\n".join(block for block in blocks if block)
