"""Graded pairs of an article: the choice of its query and of the graded documents (the paper's section 4.3).

Grade 4 is the article itself, 3 the articles of its "See also" section (if that has no link: of its references),
2 a sample of the links in its lead section, 1 a sample of the links in its other sections. A document that is linked
at two grades gets the higher one. Every choice takes the smallest keyed hash, so it depends only on the seed and the
titles, not on the order, the parts or the workers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from gr2_jax.corpus.wikipedia.article import Article
from gr2_jax.errors import UserError

ITSELF, SEE_ALSO, LEAD, ELSEWHERE = 4, 3, 2, 1
# Candidates per link that an article may keep, since some links lead to no article. With 8, an article keeps fewer
# links than it could only if more than 7/8 of a sample of 8 times the limit are dead.
OVERSAMPLE = 8


@dataclass(frozen=True)
class WikipediaOptions:
    """The options that, with the dumps, determine the bytes of a build. All limits are per article with a query."""

    seed: int = field(default=0, metadata={"help": "seed of every sample"})
    shards: int = field(default=16, metadata={"help": "files of documents, and of pairs; each is sorted in memory"})
    query_share: float = field(
        default=1.0,
        metadata={"help": "share of articles with a query; 0.02 of the English ones give about the paper's 1.2M pairs"},
    )
    see_also_links: int = field(default=10, metadata={"help": "maximum number of pairs of grade 3"})
    lead_links: int = field(default=4, metadata={"help": "maximum number of pairs of grade 2"})
    other_links: int = field(default=4, metadata={"help": "maximum number of pairs of grade 1"})
    text_characters: int = field(default=4000, metadata={"help": "characters of an article's text to keep"})
    part_megabytes: int = field(default=32, metadata={"help": "compressed size of a part, the unit of parallel work"})

    def __post_init__(self):
        for name in ("shards", "text_characters", "part_megabytes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("see_also_links", "lead_links", "other_links"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name)}; it must not be negative")
        if not 0 < self.query_share <= 1:
            raise UserError(f"query_share is {self.query_share}; it must be above 0 and at most 1")

    @property
    def limits(self) -> dict[int, int]:
        """The maximum number of documents of each grade below the article's own."""
        return {SEE_ALSO: self.see_also_links, LEAD: self.lead_links, ELSEWHERE: self.other_links}


@dataclass(frozen=True, order=True)
class Target:
    """A linked article, with the grade of the section that holds the link."""

    grade: int
    page_id: int
    title: str


def query_of(article: Article, options: WikipediaOptions) -> str | None:
    """Returns the article's query, a sentence of its abstract; None if it has none or is outside `query_share`."""
    order = Order(options.seed, "query", article.title)
    if not article.abstract or order("") >= options.query_share * 2**64:
        return None
    return article.abstract[min(range(len(article.abstract)), key=lambda i: order(str(i)))]


def candidates(article: Article, options: WikipediaOptions) -> list[tuple[str, int]]:
    """Returns the (title, grade) of candidate links: more than are kept, since a title may lead to no article."""
    order = Order(options.seed, "link", article.title)
    seen, chosen = {article.title}, []
    places = ((SEE_ALSO, article.see_also or article.references), (LEAD, article.lead_links))
    for grade, links in (*places, (ELSEWHERE, article.other_links)):
        fresh = [title for title in dict.fromkeys(links) if title not in seen]
        seen.update(fresh)
        most = OVERSAMPLE * options.limits[grade]
        chosen += [(title, grade) for title in (sorted(fresh, key=order)[:most] if len(fresh) > most else fresh)]
    return chosen


def choose(page_id: int, title: str, targets: Iterable[Target], options: WikipediaOptions) -> list[Target]:
    """Returns the article itself, then the targets that are kept, highest grade first."""
    order = Order(options.seed, "link", title)
    best = {target.page_id: target for target in sorted(targets)}
    best.pop(page_id, None)
    chosen = [Target(ITSELF, page_id, title)]
    for grade, limit in options.limits.items():
        chosen += sorted((t for t in best.values() if t.grade == grade), key=lambda t: (order(t.title), t.page_id))[
            :limit
        ]
    return chosen


class Order:
    """Maps a text to a pseudo-random number in [0, 2^64), which depends only on the seed, two names and the text."""

    def __init__(self, seed: int, purpose: str, name: str):
        self._hash = blake2b(f"{seed}\0{purpose}\0{name}\0".encode(), digest_size=8)

    def __call__(self, text: str) -> int:
        copy = self._hash.copy()
        copy.update(text.encode())
        return int.from_bytes(copy.digest(), "big")
