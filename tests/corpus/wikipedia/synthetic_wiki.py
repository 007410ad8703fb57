"""A small handwritten wiki as dump text, imported by the tests of the pipeline."""

import bz2
from pathlib import Path

HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">
  <siteinfo>
    <sitename>Small</sitename>
    <dbname>smallwiki</dbname>
    <base>https://small.example.org/wiki/Main_Page</base>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="4" case="first-letter">Project</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
"""

# Title -> wikitext. The pairs of "Harbour" are checked by hand; the other pages are the targets of its links.
PAGES = {
    "Harbour": """A '''harbour''' is a sheltered place where [[ship]]s may stay for the night and load their [[cargo]].
The first harbours were built by people who fished near the coast and traded [[salt]] with their neighbours.

== Building ==
Walls of [[stone]] keep out the [[wave]]s; see [[Nowhere at all]], [[Mercury]], [[List of harbours]], [[Ship]],
[[Haven]], [[Loop one]], [[Chain one]] and [[Project page]].

== See also ==
* [[Lighthouse]]
* [[Pharos tower]]
* [[Stone]]
""",
    "Ship": "A '''ship''' is a large vessel that carries people and goods across the open sea for trade.",
    "Cargo": "'''Cargo''' is what a ship or a waggon carries from one place to another for payment or for barter.",
    "Stone": "'''Stone''' is a hard material that people have cut and carried since the earliest known times.",
    "Wave": "A '''wave''' is a moving ridge on the surface of the water, raised by the wind or by a passing boat.",
    "Lighthouse": """A '''lighthouse''' is a tower with a lamp that shows sailors where the coast and its rocks are.

== References ==
* A book about the [[harbour]] and its [[wave]]s
""",
    "Salt": "#REDIRECT [[Table salt]]",
    "Table salt": "'''Table salt''' is a white mineral that is taken from the sea and used to keep fish and meat.",
    "Haven": "#REDIRECT [[Harbour]]",
    "Pharos tower": "#REDIRECT [[Lighthouse#Pharos]]",
    "Loop one": "#REDIRECT [[Loop two]]",
    "Loop two": "#REDIRECT [[Loop one]]",
    "Chain one": "#REDIRECT [[Chain two]]",
    "Chain two": "#REDIRECT [[Chain three]]",
    "Chain three": "#REDIRECT [[Cargo]]",
    "Project page": "#REDIRECT [[Project:About]]",
    "Mercury": "'''Mercury''' may refer to:\n* [[Ship]]\n* [[Stone]]\n{{disambiguation}}",
    "List of harbours": "This is a list of harbours.\n* [[Harbour]]",
    "Project:About": "About this wiki and the people who write it.",
}


def pages(copies: int = 1) -> list[str]:
    """Returns the pages as XML; each further copy has its number in every title and every link."""
    out = []
    for copy in range(copies):
        for number, (title, text) in enumerate(PAGES.items(), start=1):
            ending = f" {copy}" if copy else ""
            redirect = f'<redirect title="{text[12:-2]}" />' if text.startswith("#REDIRECT") else ""
            namespace = 4 if title.startswith("Project:") else 0
            body = text.replace("]]", f"{ending}]]").replace("#Pharos " + ending.strip(), f"{ending}") if copy else text
            redirect = redirect.replace('" />', f'{ending}" />')
            out.append(
                f"  <page>\n    <title>{title}{ending}</title>\n    <ns>{namespace}</ns>\n"
                f"    <id>{100 * copy + number}</id>\n    {redirect}\n    <revision>\n      <id>{number}</id>\n"
                f"      <model>wikitext</model>\n      <format>text/x-wiki</format>\n"
                f'      <text xml:space="preserve">{body}</text>\n    </revision>\n  </page>\n'
            )
    return out


def write_dump(path: Path, *, copies: int = 1, streams: int = 1) -> Path:
    """Writes a multistream .xml.bz2: the header, the pages in `streams` streams, and the closing tag."""
    each = pages(copies)
    size = -(-len(each) // streams)
    groups = ["".join(each[start : start + size]) for start in range(0, len(each), size)]
    path.write_bytes(b"".join(bz2.compress(text.encode()) for text in (HEADER, *groups, "</mediawiki>\n")))
    return path
