"""How much time, memory and disk each stage takes of a large collection: seconds, MiB, and bytes a document.

python tests/benchmarks/streaming.py 1000000 FOLDER --schemes title keywords url number

Writes so many made-up documents (titles of 3 to 6 words, 60 words of text, URLs; words follow Zipf's law) with 200
queries to FOLDER/collection, then makes the stages of a run in FOLDER/run one after the other, and the batches of a few
steps. A line a stage: processor seconds, the most memory of its own beyond what the process held before (files mapped
into memory are not counted: the system takes those pages back), and the bytes that it left on the disk, a document.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from gr2_jax.corpus import Document, write_documents
from gr2_jax.experiment import BatchConfig, CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.pipeline import docids, prepare
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.rows.training import graded_batches
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import SCHEMES
from gr2_jax.recipes.scratch import retrieval

WORDS, BLOCK, QUERIES = 50_000, 1000, 200
STEPS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--schemes", nargs="+", default=["title"])
    options = parser.parse_args()
    source = options.folder / "collection"
    if not (source / "qrels.txt").is_file():
        write(source, options.documents)
    known = {scheme.name: scheme for scheme in (kind() for kind in SCHEMES)}
    experiment = Experiment(
        name="streaming",
        corpus=CorpusConfig(source=str(source), validation_queries=20, test_queries=40),
        vocabulary=VocabularyConfig(size=8192, extra_ids=512),
        docids=DocidConfig(schemes=tuple(known[name] for name in options.schemes), max_length=24),
        retrieval=retrieval(steps=STEPS, batch=BatchConfig(queries=8, indexing_texts=64, pseudo_share=0.75)),
        rows=(System("GR2S", options.schemes[0]),),
    )
    run = Run(experiment, options.folder / "run")
    run.paths.create()
    watched = partial(report, options.documents, options.folder / "run")
    for name in ("_build_corpus", "build_vocabulary", "_write_queries", "_write_texts", "_write_semantics"):
        setattr(prepare, name, watched(name.lstrip("_"), getattr(prepare, name)))
    for name in ("assign_unique", "_write_table"):
        setattr(docids, name, watched(name.lstrip("_"), getattr(docids, name)))
    docids.Quality.write = watched("quality", docids.Quality.write)
    prepare.prepare(run)
    again = Run(experiment, options.folder / "run")
    watched("opened", lambda: (again.corpus, again.doc_ids, again.examples, again.semantics))()
    docids.make_docids(again)
    batches = graded_batches(again)
    watched(f"{STEPS} batches", lambda: [batches(step) for step in range(STEPS)])()


def report(documents: int, folder: Path, name: str, function: Callable) -> Callable:
    def called(*args, **kwargs):
        memory, disk, seconds = Memory(), size_of(folder), time.process_time()
        with memory:
            found = function(*args, **kwargs)
        what = " ".join([name, *(arg for arg in args if isinstance(arg, str))])
        seconds, left = time.process_time() - seconds, size_of(folder) - disk
        print(f"{what:24} {seconds:8.1f} s {memory.most:8.0f} MiB {left / documents:8.1f} bytes a document", flush=True)
        return found

    return called


class Memory:
    """The most memory that the process took beyond what it had before, in MiB, looked at ten times a second."""

    def __enter__(self) -> "Memory":
        self._before, self.most, self._over = _own_memory(), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, _own_memory() - self._before)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.most = max(self.most, _own_memory() - self._before)


def _own_memory() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write(folder: Path, count: int) -> None:
    """Document i is the same in collections of every size."""
    write_documents(folder / "documents.jsonl", made_up(count))
    queries, judgements, every = [], [], max(1, count // QUERIES)
    for number, document in enumerate(made_up(count)):
        if number % every == 0 and len(queries) < QUERIES:
            words = [*document.title.split()[:2], *document.text.split()[20:23]]
            queries.append(f"q{len(queries)}\t{' '.join(words)}\n")
            near = ((3, number), (2, (number + 1) % count), (1, (number + 2) % count))
            judgements += [f"q{len(queries) - 1} 0 {doc_id(other)} {grade}\n" for grade, other in near]
    (folder / "queries.tsv").write_text("".join(queries))
    (folder / "qrels.txt").write_text("".join(judgements))
    (folder / "provenance.json").write_text(json.dumps({"name": "made up", "provenance": {"source": __file__}}))


def made_up(count: int) -> Iterator[Document]:
    words, odds = vocabulary(), np.arange(1, WORDS + 1) ** -1.1
    steps = np.cumsum(odds / odds.sum())
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng([11, start])
        drawn = words[np.searchsorted(steps, rng.random((BLOCK, 80))).clip(max=WORDS - 1)]
        titles, lengths = rng.integers(3, 7, BLOCK), rng.integers(46, 75, BLOCK)
        for row, title, length, number in zip(drawn, titles, lengths, range(start, count), strict=False):
            sentences = [" ".join(row[i : i + 10]) + "." for i in range(6, 6 + length, 10)]
            text = f"{' '.join(sentences[:3])}\n\n{' '.join(sentences[3:])}"
            url = f"https://{row[6]}.org/{row[0]}/{'-'.join(row[:title])}-{number}.html"
            yield Document(doc_id(number), " ".join(row[:title]), text, url)


def doc_id(number: int) -> str:
    return f"doc-{number:08d}"


def vocabulary() -> np.ndarray:
    rng = np.random.default_rng(7)
    syllables = np.array([consonant + vowel for consonant in "bcdfghklmnprstvz" for vowel in "aeiou"])
    words: dict[str, None] = {}
    while len(words) < WORDS:
        words["".join(rng.choice(syllables, rng.integers(2, 5)))] = None
    return np.array(list(words), object)


if __name__ == "__main__":
    main()
