"""Graded pairs of an article: what it asks, for which documents, and how the choice is made (the paper's section 4.3).

Grade 4 is the article itself, 3 the articles of its "See also" section (where that has no link: of its references),
2 a sample of the links in its lead section, 1 a sample of the links in its other sections. A document that is linked
at two grades has the higher one. Every choice is that of the smallest keyed hash, so that it depends on the seed and
the titles alone: not on the order, the parts or the workers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from gr2_jax.corpus.wikipedia.article import Article
from gr2_jax.errors import UserError

ITSELF, SEE_ALSO, LEAD, ELSEWHERE = 4, 3, 2, 1
# Candidates taken from an article for each link that it may keep, since some lead to no article. At 8, only an article
# with more than seven eighths of dead links in a sample of 8 times the limit keeps fewer than it could.
OVERSAMPLE = 8


@dataclass(frozen=True)
class WikipediaOptions:
    """What decides the bytes of a build, besides the dumps. All limits are per article that asks."""

    seed: int = field(default=0, metadata={"help": "of every sample"})
    shards: int = field(default=16, metadata={"help": "files of documents, and of pairs; one is sorted in memory"})
    query_share: float = field(
        default=1.0,
        metadata={"help": "share of the articles that ask; 0.02 of English is about the paper's 1.2M pairs"},
    )
    see_also_links: int = field(default=10, metadata={"help": "at most so many pairs of grade 3"})
    lead_links: int = field(default=4, metadata={"help": "at most so many pairs of grade 2"})
    other_links: int = field(default=4, metadata={"help": "at most so many pairs of grade 1"})
    text_characters: int = field(default=4000, metadata={"help": "of an article's text that its document keeps"})
    part_megabytes: int = field(default=32, metadata={"help": "of a compressed dump that one worker takes at a time"})

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
        """The most documents of each grade below the article's own."""
        return {SEE_ALSO: self.see_also_links, LEAD: self.lead_links, ELSEWHERE: self.other_links}


@dataclass(frozen=True, order=True)
class Target:
    """An article that a link leads to, and the grade that the link's place gives it."""

    grade: int
    page_id: int
    title: str


def query_of(article: Article, options: WikipediaOptions) -> str | None:
    """Returns the sentence that the article asks; None where it has none, or is not among the share that asks."""
    order = Order(options.seed, "query", article.title)
    if not article.abstract or order("") >= options.query_share * 2**64:
        return None
    return article.abstract[min(range(len(article.abstract)), key=lambda i: order(str(i)))]


def candidates(article: Article, options: WikipediaOptions) -> list[tuple[str, int]]:
    """Returns the (title, grade) of links to try: more than are kept, since a title may lead to no article."""
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
    """Returns the article itself, then what it keeps of the articles that its candidates led to, best grade first."""
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
    """A pseudo-random place in [0, 2^64) for every text, which depends on the seed and two names alone."""

    def __init__(self, seed: int, purpose: str, name: str):
        self._hash = blake2b(f"{seed}\0{purpose}\0{name}\0".encode(), digest_size=8)

    def __call__(self, text: str) -> int:
        copy = self._hash.copy()
        copy.update(text.encode())
        return int.from_bytes(copy.digest(), "big")
