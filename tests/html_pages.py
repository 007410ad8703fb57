"""What tests of the report see of a page: its elements, its text, and everything that it refers to."""

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADS = ("src", "srcset", "data", "poster", "action", "formaction", "background", "ping")


class Outline(HTMLParser):
    """Raises `AssertionError` where an element is not closed by its own end tag."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts, self.ids, self.references = [], [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self._meet(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._meet(tag, attributes)

    def _meet(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        for name, value in attributes:
            assert name not in LOADS, f"{tag} loads {value}"
            assert not name.startswith("on"), f"{tag} has a script"
            if name == "id":
                self.ids.append(value)
            if name.endswith("href"):
                self.references.append(value)
            self.references += re.findall(r"url\((.*?)\)", value or "")

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes nothing"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.elements)


def read_page(path: Path) -> Outline:
    """The page, which is well-formed and needs no other file, no network and no script."""
    page = path.read_bytes().decode()
    outline = Outline(page)
    assert outline.count("script") == outline.count("link") == outline.count("iframe") == outline.count("img") == 0
    assert len(set(outline.ids)) == len(outline.ids)
    assert {reference[0] for reference in outline.references} == {"#"}
    assert {reference[1:] for reference in outline.references} <= set(outline.ids)
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert set(re.findall(r"var\(--(\w+)\)", page)) <= set(re.findall(r"--(\w+):", style))
    return outline
