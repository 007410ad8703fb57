"""Removes tables, in wikitext and in HTML, from prose."""

import re

_EDGE = re.compile(
    r"^[ \t:*#]*+(?:(?P<open>\{\|)|\|\})|(?P<html><table\b[^<>]*>)|</table\s*>", re.MULTILINE | re.IGNORECASE
)


def without_tables(text: str) -> str:
    """Returns the text without its tables and what is nested in them; an open one runs to the end."""
    if "{|" not in text and "<" not in text:
        return text
    kept, at = [], 0
    opened: list[bool] = []  # of each open table, whether it is one of HTML: each is closed in its own way
    for edge in _EDGE.finditer(text):
        if edge["open"] or edge["html"]:
            if not opened:
                kept.append(text[at : edge.start()])
            opened.append(bool(edge["html"]))
        elif opened and opened[-1] is edge[0].startswith("<"):
            opened.pop()
            at = edge.end()
    return "\n\n".join(kept if opened else [*kept, text[at:]])
