"""How fast a Wikipedia dump is parsed on one core, and whether its links are those that mwparserfromhell finds.

    python tests/benchmarks/wikipedia_parsing.py DUMP.xml.bz2 [--repeats 3] [--text-characters 4000]

Three ways over the same file in one run, in CPU seconds of the process: the limit (decompress, slice the pages, one
regular expression for links, nothing else), ours (`read_pages` and `parse_article` on every article), and
mwparserfromhell on the same pages (`pip install mwparserfromhell`; left out where it is missing). MB are those of the
XML. Recall and precision count every occurrence of a link to the main namespace in the articles, after normalisation.
"""

import argparse
import bz2
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gr2_jax.corpus.wikipedia.article import parse_article
from gr2_jax.corpus.wikipedia.dump import Part
from gr2_jax.corpus.wikipedia.links import link_targets, without_hidden
from gr2_jax.corpus.wikipedia.site import ARTICLE, Site
from gr2_jax.corpus.wikipedia.siteinfo import read_site
from gr2_jax.corpus.wikipedia.xml_pages import Page, read_pages

try:
    import mwparserfromhell
except ImportError:
    mwparserfromhell = None


def timed(ways: dict[str, Callable[[], int]], repeats: int) -> dict[str, tuple[float, int]]:
    """Returns each way's best CPU time in seconds and what it counted; the ways take turns, for the machine's moods."""
    best: dict[str, tuple[float, int]] = {}
    for _ in range(repeats):
        for name, work in ways.items():
            start = time.process_time()
            count = work()
            seconds = time.process_time() - start
            best[name] = min((seconds, count), best.get(name, (seconds, count)))
    return best


def limit(path: str) -> int:
    data = Path(path).read_bytes()
    xml = bz2.decompress(data) if data[:3] == b"BZh" else data
    text = re.compile(rb"<page>.*?<text[^>]*>([^<]*)", re.DOTALL)
    link = re.compile(r"\[\[([^\[\]|]+)")
    pages = [link.findall(page.decode()) for page in text.findall(xml)]
    return len(pages)


def ours(path: str, site: Site, text_characters: int) -> int:
    pages = 0
    for page in read_pages(Part(path), on_warning=lambda sentence: None):
        pages += 1
        if page.is_article:
            parse_article(page, site, text_characters=text_characters)
    return pages


def peer_targets(page: Page) -> list[str]:
    return [str(link.title) for link in mwparserfromhell.parse(page.text).filter_wikilinks()]


def counted(targets: list[str], site: Site) -> Counter:
    """Returns how often each article is linked."""
    found = Counter(site.normalise(target) for target in targets)
    return Counter({title: n for (namespace, title), n in found.items() if namespace == ARTICLE and title})


def agreement(pages: list[Page], peers: list[list[str]], site: Site) -> tuple[int, int, int]:
    """Returns the links that both find, that we find and that the peer finds, over the articles."""
    both = mine = theirs = 0
    for page, peer in zip(pages, peers, strict=True):
        if page.is_article:
            a, b = counted(link_targets(without_hidden(page.text)), site), counted(peer, site)
            both, mine, theirs = both + (a & b).total(), mine + a.total(), theirs + b.total()
    return both, mine, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--text-characters", type=int, default=4000)
    options = parser.parse_args()

    site = read_site(options.dump)
    data = Path(options.dump).read_bytes()
    size = len(bz2.decompress(data) if data[:3] == b"BZh" else data) / 1e6
    pages = list(read_pages(Part(options.dump), on_warning=print))
    articles = sum(page.is_article for page in pages)
    print(f"{site.dbname}: {size:.1f} MB of XML, {len(pages)} pages, {articles} articles")

    ways = {"limit": lambda: limit(options.dump), "ours": lambda: ours(options.dump, site, options.text_characters)}
    for name, (seconds, count) in timed(ways, options.repeats).items():
        report(name, size, seconds, count)
    if mwparserfromhell is None:
        return
    peers: list[list[str]] = []
    way = {"mwparserfromhell": lambda: len(peers.extend(map(peer_targets, pages)) or peers)}
    for name, (seconds, count) in timed(way, 1).items():
        report(name, size, seconds, count)
    both, mine, theirs = agreement(pages, peers, site)
    print(f"links: ours {mine}, mwparserfromhell {theirs}; recall {both / theirs:.2%}, precision {both / mine:.2%}")


def report(name: str, megabytes: float, seconds: float, pages: int) -> None:
    print(f"{name:18} {megabytes / seconds:7.1f} MB/s {pages / seconds:8.0f} pages/s per core")


if __name__ == "__main__":
    main()
