"""Removes the hidden parts of wikitext and finds the links in it."""

import re

from gr2_jax.corpus.sentences import HOLE
from gr2_jax.corpus.wikipedia.site import ARTICLE, Site
from gr2_jax.corpus.wikipedia.standins import VERBATIM, literal

# The contents of these elements are neither wikitext nor prose. An unclosed element is ordinary text; an unclosed
# comment or `<includeonly>` runs to the end.
_OBJECTS = (
    "math|chem|ce|score|source|syntaxhighlight|timeline|graph|hiero|templatedata|inputbox|categorytree|mapframe|maplink"
)
# No element contains another of its name; this also keeps the search linear where none is closed.
_HIDDEN = re.compile(
    rf"<(?:!--(?:(?>.*?-->)(?:[ \t]*+<!--(?>.*?-->))*+(?P<rest>[ \t]*+\n)?|.*)"
    rf"|includeonly\b[^<>]*(?:(?<=/)>|>(?:.*?</includeonly\s*>|.*))|/?(?:noinclude|onlyinclude)\b[^<>]*>"
    rf"|(?P<name>nowiki|pre|{_OBJECTS})\b[^<>]*(?:(?<=/)>|>(?P<inside>[^<]*(?:<(?!/?(?P=name)\b)[^<]*)*)</(?P=name)\s*>))",
    re.DOTALL | re.IGNORECASE,
)
_NOTE = re.compile(r"<ref\b[^<>]*?(?:/>|>([^<]*(?:<(?!/?ref\b)[^<]*)*)</ref\s*>)", re.IGNORECASE)

# [[target]] or [[target|anchor]]. An anchor contains no link: of nested brackets only the innermost are matched. These
# are the links in a picture's caption; the picture itself is not matched.
_LINK = re.compile(r"\[\[([^\[\]{}|<>\n]+)(?:\|[^\[\]]*(?:(?:\[(?!\[)|\](?!\]))[^\[\]]*)*)?\]\]")


def without_hidden(wikitext: str) -> str:
    """Returns the wikitext without comments and without what is only for pages that include this one.

    What `<nowiki>` and `<pre>` hold is kept as text that is no markup; other elements that hold no wikitext (`<math>`)
    become HOLE.
    """
    return _HIDDEN.sub(_seen, wikitext)


def _seen(hidden: re.Match) -> str:
    name, inside, rest = hidden.group("name", "inside", "rest")
    if rest is not None:  # comments up to the end of the line: if they are all of it, there is no line
        return "" if hidden.start() == 0 or hidden.string[hidden.start() - 1] == "\n" else rest
    if name is None or inside is None:
        return ""
    if name.lower() == "nowiki":
        return literal(inside)
    if name.lower() == "pre":
        return "\n\n" + "".join(f"{VERBATIM}{literal(line)}\n" for line in inside.split("\n") if line.strip()) + "\n"
    return HOLE


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
