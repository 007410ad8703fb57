"""A made-up collection with the statistics of a real one: what a run over the real one costs can then be measured
before anybody has its licence."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from gr2_jax.buckets import local_copy
from gr2_jax.corpus import CollectionStream, Document, Qrels
from gr2_jax.errors import SettingError, UserError, check_above_zero, check_least, check_share
from gr2_jax.experiment.loading import run_file
from gr2_jax.progress import track

_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"]
_SENTENCE, _PARAGRAPH = 15, 5  # words, and sentences
_CONTENT, _COPY, _URL, _QUERY = range(4)  # what a random draw is for


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What is known of a collection's documents, queries and judgements.

    documents        of the whole collection
    words            of a document's text, the mean
    median_words     and their median: lengths are lognormal
    title_words      of a title, the mean
    untitled         share of the documents without a title
    duplicates       share of the documents whose title and text are those of another
    url_depth        segments of the path of a URL, the mean
    queries          that are judged
    query_words      of a query, the mean
    judged           (grade, documents of a query that have it, the mean) for each grade; at least one is above 0
    different_words  words that there are
    zipf             the word of rank r is drawn in proportion to r^-zipf
    """

    documents: int
    words: float
    median_words: float
    title_words: float
    untitled: float
    duplicates: float
    url_depth: float
    queries: int
    query_words: float
    judged: tuple[tuple[int, float], ...]
    different_words: int = 1_000_000
    zipf: float = 1.0

    def __post_init__(self):
        check_least(self, 1, "documents", "median_words", "title_words", "url_depth", "queries", "query_words")
        check_least(self, 1, "different_words")
        check_share(self, "untitled", "duplicates")
        check_above_zero(self, "zipf")
        if not self.median_words <= self.words < math.inf:
            raise SettingError(self, "words", f"is {self.words}: the mean is at least the median, {self.median_words}")
        if not isinstance(self.judged, (tuple, list)) or not all(map(_is_judged, self.judged)):
            needed = "it must be pairs of a whole number, the grade, and a finite mean of at least 0"
            raise SettingError(self, "judged", f"is {self.judged}: {needed}")
        if not any(grade > 0 and count > 0 for grade, count in self.judged):
            raise SettingError(self, "judged", f"is {self.judged}: documents of a grade above 0 are missing")


def _is_judged(pair: object) -> bool:
    match pair:
        case (int(), int() | float() as mean):
            return 0 <= mean < math.inf
    return False


def load_statistics(path: str) -> Statistics:
    """Runs a config file and returns its `statistics`; `UserError` for a file that is missing, does not load or defines
    none."""
    statistics = getattr(run_file(local_copy(path)), "statistics", None)
    if not isinstance(statistics, Statistics):
        raise UserError(
            f"{path} defines no `statistics = Statistics(...)`, of which a collection could be generated: "
            "configs/clueweb09b.py does"
        )
    return statistics


def generated_collection(statistics: Statistics, documents: int, *, seed: int = 0) -> CollectionStream:
    """A collection of so many documents. Document i is a function of statistics, seed and i alone: it is the same in
    collections of every size, and no document is kept in memory. Passes over the documents show their progress."""
    generator = _Generator(statistics, seed)
    queries, qrels = generator.queries(documents)

    def passing() -> Iterator[Document]:
        return track(map(generator.document, range(documents)), documents, "generating documents")

    provenance = {"source": f"generated, seed {seed}"}
    return CollectionStream("generated", passing, queries, qrels, provenance)


class _Generator:
    def __init__(self, statistics: Statistics, seed: int):
        self._statistics, self._seed = statistics, seed
        self._sigma = math.sqrt(2 * math.log(statistics.words / statistics.median_words))
        self._steps = zipf_steps(statistics.different_words, statistics.zipf)
        self._words = np.array(list(itertools.islice(made_up_words(), statistics.different_words)), object)

    def document(self, number: int) -> Document:
        title, text = self._content(self._original(number))
        rng = self._rng(_URL, number)
        host, *path = self._drawn(rng, _about(rng, self._statistics.url_depth))
        url = f"https://www.{host}.org/{'/'.join([*path, f'page-{number}'])}.html"
        return Document(f"generated-{number:09d}", title, text, url)

    def queries(self, documents: int) -> tuple[dict[str, str], Qrels]:
        """Words of one of the best documents each, and judged documents, the best grades first where there are fewer
        documents than judgements."""
        queries, qrels = {}, {}
        for number in range(self._statistics.queries):
            rng = self._rng(_QUERY, number)
            grades = self._grades(rng)[:documents]
            rows = rng.choice(documents, len(grades), replace=False, shuffle=False).tolist()
            words = " ".join(self._content(self._original(rows[0]))).lower().replace(".", "").split()
            queries[f"q{number}"] = " ".join(rng.choice(words, _about(rng, self._statistics.query_words)))
            qrels[f"q{number}"] = {f"generated-{row:09d}": g for row, g in zip(rows, grades, strict=True)}
        return queries, qrels

    def _grades(self, rng: np.random.Generator) -> list[int]:
        """Of a query's documents, the best first; at least one is above 0."""
        counts = {grade: int(rng.poisson(mean)) for grade, mean in self._statistics.judged}
        if not any(count for grade, count in counts.items() if grade > 0):
            usual = max((mean, grade) for grade, mean in self._statistics.judged if grade > 0)[1]
            counts[usual] = 1
        return [grade for grade in sorted(counts, reverse=True) for _ in range(counts[grade])]

    def _original(self, number: int) -> int:
        """The document whose title and text this one has: itself, or one before it."""
        while number and (rng := self._rng(_COPY, number)).random() < self._statistics.duplicates:
            number = int(rng.integers(number))
        return number

    def _content(self, number: int) -> tuple[str, str]:
        rng = self._rng(_CONTENT, number)
        length = max(1, round(rng.lognormal(math.log(self._statistics.median_words), self._sigma)))
        titled, title = rng.random() >= self._statistics.untitled, _about(rng, self._statistics.title_words)
        words = self._drawn(rng, title + length)
        return " ".join(words[:title]).title() if titled else "", _prose(words[title:])

    def _drawn(self, rng: np.random.Generator, count: int) -> list[str]:
        return self._words[np.searchsorted(self._steps, rng.random(count), side="right")].tolist()

    def _rng(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, purpose, number])


def zipf_steps(words: int, zipf: float) -> Float[np.ndarray, "words"]:
    """The shares of the first word, of the first two and so on; the last is exactly 1, so that a draw below 1 has a
    word."""
    cumulated = np.cumsum(np.arange(1, words + 1) ** -float(zipf))
    return cumulated / cumulated[-1]


def made_up_words() -> Iterator[str]:
    """Different words without end, short ones first, as frequent words are."""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(_SYLLABLES, repeat=length))


def _about(rng: np.random.Generator, mean: float) -> int:
    return 1 + int(rng.poisson(mean - 1))


def _prose(words: list[str]) -> str:
    """Sentences that begin with a name of two words, in paragraphs: what pseudo-queries are made of."""
    sentences = [_sentence(words[start : start + _SENTENCE]) for start in range(0, len(words), _SENTENCE)]
    starts = range(0, len(sentences), _PARAGRAPH)
    return "\n\n".join(" ".join(sentences[start : start + _PARAGRAPH]) for start in starts)


def _sentence(words: list[str]) -> str:
    return " ".join([*map(str.capitalize, words[:2]), *words[2:]]) + "."
