"""Any source with graded queries as documents and graded pairs to pre-train on, in the layout of `gr2 wikipedia`.

Pre-training writes titles, so that a document is what its title names: one without a title or a text is left out and
counted, as a page that is no article is. Of documents with the same title, in any case, the first is kept, and the
judgements of the others are its own, as links are that lead to an article through a redirect. Texts are not held in
memory; titles, queries and judgements are.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from gr2_jax.buckets import is_in_bucket
from gr2_jax.corpus.collection import CollectionStream
from gr2_jax.corpus.export import counted
from gr2_jax.corpus.linked_pages import ask_linked_pages
from gr2_jax.corpus.pair_files import PairFiles
from gr2_jax.corpus.qrels import check_grades, grade_places
from gr2_jax.corpus.sources import is_text_folder, open_collection, source_fingerprint
from gr2_jax.corpus.wikipedia.pairs import ITSELF, Order
from gr2_jax.corpus.wikipedia.reader import wikipedia_grades
from gr2_jax.errors import UserError
from gr2_jax.files import new_directory, read_json, refuse_occupied, write_json
from gr2_jax.lock import LOCK_FILE, holding

MANIFEST = "manifest.json"
_WITH_WIKIPEDIAS_GRADES = ("apidocs", "wikipedia")  # they stay: 4 is the document itself, whichever others there are
_FORMAT = 1  # raise it when the same source and options give other bytes
_MOST_SHARDS = 500  # all are open at once
_NUMBERED = 1 << 27  # documents that pre-training can number in one source


@dataclass(frozen=True)
class PairsOptions:
    """The options that, with the source, determine the bytes of a build."""

    seed: int = field(default=0, metadata={"help": "seed of every sample, and of the order of the records"})
    shards: int = field(default=16, metadata={"help": "files of documents, and of pairs; each is sorted in memory"})
    documents_per_grade: int = field(
        default=6,
        metadata={"help": "maximum number of a query's documents of one grade; 6 of 4 grades are what training reads"},
    )
    text_characters: int = field(default=4000, metadata={"help": "characters of a document's text to keep"})

    def __post_init__(self):
        for name in ("shards", "documents_per_grade", "text_characters"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.shards > _MOST_SHARDS:
            raise UserError(f"shards is {self.shards}; there are at most {_MOST_SHARDS}")


def build_pairs(source: str, output: str | Path, options: PairsOptions | None = None) -> dict:
    """Writes the folder `output` from a source (see `open_collection`) and returns its manifest.

    The different grades above 0 are numbered from 1 to L; the manifest has L. Those of `apidocs:` and of a folder of
    linked pages (see `gr2_jax.corpus.linked_pages`) mean what Wikipedia's mean, and stay. A finished build of the same
    source and options is left unchanged. Long passes report their progress on stderr.

    Raises UserError for a source that cannot be read, that has no graded queries or no titles, and for an output that
    holds anything else.
    """
    options = options or PairsOptions()
    if is_in_bucket(str(output)):
        raise UserError(f"{output} is in a bucket: name a folder of this machine")
    output = Path(output)
    with holding(output, Path(f"{output}{LOCK_FILE}")):
        identity = {"format": _FORMAT, "fingerprint": source_fingerprint(source), "options": asdict(options)}
        if (finished := _finished(output, identity)) is not None:
            return finished
        stream, grades = _open(source, options.seed)
        with new_directory(output) as partial:
            manifest = {"source": source, **identity, "grades": grades, **_write(stream, partial, options)}
            write_json(partial / MANIFEST, manifest)
    return manifest


def _finished(output: Path, identity: Mapping) -> dict | None:
    path = output / MANIFEST
    if not path.is_file():
        refuse_occupied(output)
        return None
    held = read_json(path)
    if not isinstance(held, dict) or {name: held.get(name) for name in identity} != identity:
        raise UserError(f"{output} holds pairs of another source, or made with other options: give another --output")
    return held


def _open(source: str, seed: int) -> tuple[CollectionStream, int]:
    """Returns the source with the grades above 0 of its queries alone, numbered from 1 to L, and L."""
    stream = open_collection(source)
    pages = not stream.queries and is_text_folder(source)
    if pages:
        stream = ask_linked_pages(stream, Path(source), seed=seed)
    check_grades(stream.qrels, f"the judgements of {stream.name}")
    qrels = {query: stream.qrels.get(query, {}) for query in stream.queries}
    places = grade_places(qrels)
    if not places:
        missing = "no query with a grade above 0" if stream.queries else "documents and no queries"
        raise UserError(f"{source} has {missing}: pairs are made of queries and their graded documents")
    kind, _, rest = source.partition(":")
    if pages or kind in _WITH_WIKIPEDIAS_GRADES:
        best = wikipedia_grades(rest) if kind == "wikipedia" else ITSELF
        places = {grade: grade for grade in range(1, max(best, *places) + 1)}
    numbered = {query: {doc: places[grade] for doc, grade in own.items() if grade > 0} for query, own in qrels.items()}
    return replace(stream, qrels=numbered), len(places)


def _write(stream: CollectionStream, folder: Path, options: PairsOptions) -> dict:
    """Writes both data sets; returns the manifest's fields about them."""
    left_out: Counter[str] = Counter()
    documents = PairFiles(folder, "documents", options.shards, options.seed)
    titles = _write_documents(stream, documents, left_out, options.text_characters)
    notes = {"documents": documents.finish()}
    if not sum(note["records"] for note in notes["documents"]):
        raise UserError(f"no document of {stream.name} has a title and a text: pre-training writes titles")
    pairs = PairFiles(folder, "pairs", options.shards, options.seed)
    grades = _write_pairs(stream, pairs, titles, left_out, options)
    notes["pairs"] = pairs.finish()
    if not grades:
        raise UserError(f"no graded document of {stream.name} has a title and a text: pre-training writes titles")
    records = {name: sum(note["records"] for note in notes[name]) for name in notes}
    return {
        "name": stream.name,
        "about": stream.provenance,
        "counts": {"documents": records["documents"], "queries": records["pairs"], "pairs": grades.total()},
        "pairs_by_grade": {str(grade): grades[grade] for grade in sorted(grades, reverse=True)},
        "left_out": dict(left_out),
        "shards": notes,
    }


def _write_documents(
    stream: CollectionStream, files: PairFiles, left_out: Counter[str], characters: int
) -> dict[str, tuple[int, str]]:
    """Returns the number and the title of each document with a grade, by its id."""
    judged = {doc for own in stream.qrels.values() for doc in own}
    kept: dict[str, tuple[int, str]] = {}
    found: dict[str, tuple[int, str]] = {}
    for document in counted(stream, "reading").documents():
        title, text = _one_line(document.title), _leading(document.text, characters)
        if not title or not text:
            left_out[f"documents without a {'text' if title else 'title'}"] += 1
            continue
        key = title.casefold()
        if key in kept:
            left_out["documents with the title of another"] += 1
        else:
            number = len(kept) + 1
            if number >= _NUMBERED:
                raise UserError(f"{stream.name} has more than {_NUMBERED - 1:,} titles: take a part of it")
            kept[key] = number, title
            record = {"doc_id": number, "title": title, "text": text, "url": document.url}
            files.add(number, title, record)
        if document.doc_id in judged:
            found[document.doc_id] = kept[key]
    return found


def _write_pairs(
    stream: CollectionStream,
    files: PairFiles,
    titles: Mapping[str, tuple[int, str]],
    left_out: Counter[str],
    options: PairsOptions,
) -> Counter[int]:
    """Returns how many pairs of each grade there are."""
    grades: Counter[int] = Counter()
    for number, (query, text) in enumerate(stream.queries.items(), start=1):
        own = stream.qrels[query]
        judged = [(grade, *titles[doc]) for doc, grade in own.items() if doc in titles]
        chosen = _choose(judged, Order(options.seed, "judged", query), options.documents_per_grade)
        for reason, count in (
            ("queries without a graded document", not chosen),
            ("pairs of documents that are left out or not there", len(own) - len(judged)),
            ("pairs of one query with one title", len(judged) - len({page for _, page, _ in judged})),
            ("pairs not in the sample", len({page for _, page, _ in judged}) - len(chosen)),
        ):
            if count:
                left_out[reason] += count
        if chosen:
            kept, numbers, names = map(list, zip(*chosen, strict=True))
            record = {"query_id": number, "query": _one_line(text), "doc_ids": numbers, "titles": names, "grades": kept}
            files.add(number, query, record)
            grades.update(kept)
    return grades


def _choose(judged: list[tuple[int, int, str]], order: Order, most: int) -> list[tuple[int, int, str]]:
    """The (grade, number, title) that are kept, highest grade first: of each grade `most`, by the smallest hash of the
    title. A document that is judged twice has the higher grade."""
    best = {number: (grade, number, title) for grade, number, title in sorted(judged)}
    chosen: list[tuple[int, int, str]] = []
    for grade in sorted({row[0] for row in best.values()}, reverse=True):
        own = [row for row in best.values() if row[0] == grade]
        chosen += sorted(own, key=lambda row: (order(row[2]), row[1]))[:most]
    return chosen


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _leading(text: str, characters: int) -> str:
    """The text, cut before the word that would not fit."""
    text = text.strip()
    if len(text) <= characters:
        return text
    head = text[: characters + 1]
    words = head[: max(head.rfind(" "), head.rfind("\n"))] if any(blank in head for blank in " \n") else head[:-1]
    return words.rstrip()
