"""Removes the hidden parts of wikitext and finds the links in it."""

import re

from gr2_jax.corpus.wikipedia.site import ARTICLE, Site

HOLE = "\ufffc"  # the object replacement character, in place of a formula or similar

# The contents of these elements are not wikitext. An unclosed element is ordinary text; an unclosed comment runs to the
# end.
_VERBATIM = (
    "nowiki|pre|math|chem|ce|score|source|syntaxhighlight|timeline|graph|hiero|templatedata|inputbox|categorytree"
)
# No element contains another of its name; this also keeps the search linear where none is closed.
_HIDDEN = re.compile(
    rf"<(?:!--(?:.*?-->|.*)|({_VERBATIM})\b[^<>]*(?:(?<=/)>|>[^<]*(?:<(?!/?\1\b)[^<]*)*</\1\s*>))",
    re.DOTALL | re.IGNORECASE,
)
_NOTE = re.compile(r"<ref\b[^<>]*?(?:/>|>([^<]*(?:<(?!/?ref\b)[^<]*)*)</ref\s*>)", re.IGNORECASE)

# [[target]] or [[target|anchor]]. An anchor contains no link: of nested brackets only the innermost are matched. These
# are the links in a picture's caption; the picture itself is not matched.
_LINK = re.compile(r"\[\[([^\[\]{}|<>\n]+)(?:\|[^\[\]]*(?:(?:\[(?!\[)|\](?!\]))[^\[\]]*)*)?\]\]")


def without_hidden(wikitext: str) -> str:
    """Returns the wikitext without comments, and with HOLE in place of elements that hold no wikitext (`<math>`)."""
    return _HIDDEN.sub(lambda match: "" if match[1] is None or match[0].endswith("/>") else HOLE, wikitext)


def split_notes(wikitext: str) -> tuple[str, str]:
    """Returns the wikitext without its `<ref>` elements, and the contents of these elements."""
    pieces = _NOTE.split(wikitext)  # text, contents of a note (None for a reference to a named one), text, ...
    return "".join(pieces[::2]), "\n".join(filter(None, pieces[1::2]))


def link_targets(wikitext: str) -> list[str]:
    """Returns the targets of all links in order, as written, in every namespace; apply `without_hidden` first."""
    return _LINK.findall(wikitext)


def article_links(wikitext: str, site: Site) -> tuple[str, ...]:
    """Returns the titles in the main namespace that the wikitext links to, each once, in order of first appearance."""
    normalised = map(site.normalise, dict.fromkeys(link_targets(wikitext)))
    return tuple(dict.fromkeys(title for namespace, title in normalised if namespace == ARTICLE and title))
