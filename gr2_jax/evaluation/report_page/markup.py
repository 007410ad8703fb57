"""HTML in which all text is escaped: a string is text, and only what these functions return is markup."""

import html
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from gr2_jax.evaluation.report_page.style import STYLE

_NOT_SHOWN = {"Cc", "Cs", "Cn"}  # control characters, half characters, and code points without a character
_LONGEST, _LONG = 300, 30  # characters of a text that somebody else wrote: as many are shown; as many are a long one

# Nothing may be loaded, whatever a title holds: the browser refuses it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Html(str):
    """Markup. Any other string is text."""

    __slots__ = ()


def together(*content: str | None) -> Html:
    """The parts one after the other: markup as it is, text escaped, None left out."""
    return Html(
        "".join(
            part if isinstance(part, Html) else html.escape(printable(part)) for part in content if part is not None
        )
    )


def tag(name: str, *content: str | None, **attributes: str | int | None) -> Html:
    """An element; the attribute `class_` is written class, one of None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(printable(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{together(*content)}</{name}>")


def foreign(text: str, most: int = _LONGEST) -> Html:
    """A title, query or docid, cut after `most` characters: text in any language and direction, which does not turn
    around what stands beside it."""
    text = " ".join(text.split())
    shown = text if len(text) <= most else f"{text[:most]}…"
    return tag("bdi", shown, class_="long" if len(shown) > _LONG else None)  # which a narrow column must not squeeze


def printable(text: str) -> str:
    """White space as spaces; what cannot be shown or written as UTF-8 as a replacement character."""
    return "".join(
        char if char == " " or (char.isprintable() and unicodedata.category(char) not in _NOT_SHOWN) else _instead(char)
        for char in text
    )


def _instead(char: str) -> str:
    if char.isspace():
        return " "
    return char if unicodedata.category(char) in ("Cf", "Co", "Zs") else "\ufffd"  # joiners belong to words


def table(headings: Sequence[str], rows: Iterable[Sequence[str | None]], *, words: Collection[int] = (0,)) -> Html:
    """A table that scrolls by itself where the screen is narrow. The columns `words` are set left, the others, numbers,
    right; a cell of None is a dash."""

    def cells(kind: str, row: Sequence[str | None]) -> Html:
        found = ("-" if cell is None else cell for cell in row)
        return together(*(tag(kind, cell, class_=None if i in words else "n") for i, cell in enumerate(found)))

    head = tag("thead", tag("tr", cells("th", headings)))
    body = tag("tbody", *(tag("tr", cells("td", row)) for row in rows))
    return tag("div", tag("table", head, body), class_="wide")


def section(key: str, title: str, *content: str | None) -> Html:
    """A part of the page, to which #key leads."""
    return tag("section", tag("h2", title), *content, id=key)


def sentence(*content: str) -> Html:
    return tag("p", *content)


def note(*content: str) -> Html:
    return tag("p", *content, class_="note")


def figure(picture: Html, caption: str) -> Html:
    return tag("figure", picture, tag("figcaption", caption))


def figures(pictures: Iterable[Html]) -> Html | None:
    """Beside each other where there is room; None where there are none."""
    pictures = list(pictures)
    return tag("div", *pictures, class_="figures") if pictures else None


def swatch(kind: str) -> Html:
    """A dot in one of the palette's colours, for keys beside figures."""
    return tag("span", "", class_="swatch", style=f"background:var(--{kind})")


def page(title: str, introduction: Iterable[str], sections: Sequence[tuple[str, str, Html]]) -> str:
    """A whole file; `sections` are key, title and markup of each part."""
    contents = tag("nav", *(tag("a", name, href=f"#{key}") for key, name, _ in sections))
    body = together(tag("header", tag("h1", title), *introduction, contents), *(part for _, _, part in sections))
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">'
    )
    lines = ["<!DOCTYPE html>", '<html lang="en">', "<head>", head, tag("title", title), f"<style>{STYLE}</style>"]
    return "\n".join([*lines, "</head>", tag("body", tag("main", body)), "</html>", ""])
