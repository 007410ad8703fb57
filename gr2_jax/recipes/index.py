"""An experiment for any collection, sized by what the collection holds: what `gr2 index` trains."""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gr2_jax.buckets import local_copy, push
from gr2_jax.compilation_cache import keep_compiled_programs
from gr2_jax.corpus import CollectionStream, Document, Survey, document_of, open_collection, write_documents
from gr2_jax.corpus.surveys import DocumentTally
from gr2_jax.errors import UserError
from gr2_jax.experiment import AugmentationConfig, BatchConfig, CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.experiment.loading import override
from gr2_jax.files import read_json
from gr2_jax.pipeline.open_run import RunRetriever, open_row
from gr2_jax.pipeline.rows import BASELINES, BM25Row, EncoderRow, InterpolatedRow, System
from gr2_jax.pipeline.schemes import Auto
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say
from gr2_jax.recipes.scratch import EVALUATION, LIKELIHOODS, retrieval

_FEWEST_STEPS, _MOST_STEPS, _DOCUMENTS_PER_STEP = 800, 2000, 16
_WITH_QUERIES = BatchConfig(pseudo_share=0.6)
# What is known of the documents is then their text alone, so most of a batch is that.
_WITHOUT_QUERIES = BatchConfig(queries=20, indexing_texts=240, pseudo_share=0.2)
_PASSAGES = 16  # of 512 tokens
_WEIGHTS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # docids of keywords want more of the similarity than titles do
_LENT_SHARE, _MOST_LENT = 0.2, 200  # documents that lend a sentence, where there are no queries
_KNOWN_ITEM_MEASURES = ("MRR@10", "Hits@1", "Hits@10")
_FEWEST_QUERIES = 2
_HELD_OUT_SHARE, _MOST_HELD_OUT = 0.2, 300  # of the judged queries, for tests; half as many for validation


def index(
    source: str | os.PathLike | Iterable[str | Mapping[str, Any] | Document],
    workdir: str | os.PathLike | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    known_items: int | None = None,
    strict: bool = False,
    encoder: str | os.PathLike | None = None,
) -> RunRetriever:
    """Trains a retriever over documents, in minutes, and returns it: `gr2_jax.index(texts).search("a query")`.

    The same call again trains nothing: it opens what it finds. See `gr2_jax.open_retriever` to open it elsewhere.

    Args:
        source: What `gr2_jax.corpus.open_collection` opens, such as a folder; or documents, each a text, a `Document`
            or a mapping with a text and perhaps an id, a title and a url, under any of their usual names.
        workdir: Of the run; by default runs/<name of the source>; of documents runs/index-<digest of them>.
        settings: Changes to the experiment, as on the command line: `{"retrieval.optimiser.steps": 1000}`.
        known_items: Documents that lend a sentence as a query to measure by, where there are no queries; by default a
            fifth of the documents, at most 200.
        strict: Refuse what is otherwise left out: empty documents, queries without a positive judgement, judgements of
            unknown documents and queries.
        encoder: A sentence encoder (a folder, or a model of the Hugging Face hub) for a row to compare with, see
            `gr2_jax.pipeline.rows.EncoderRow`.

    Raises:
        UserError: The source cannot be read, or has no document with text; or there is no such encoder.
    """
    keep_compiled_programs()
    if not isinstance(source, str | os.PathLike):
        documents = [document_of(record, f"document {i}", i) for i, record in enumerate(source, start=1)]
        workdir = f"runs/index-{_digest(documents)}" if workdir is None else workdir
        paths = Workdir(local_copy(workdir, workdir=True))
        paths.create()
        source = write_documents(paths.root / "source" / "documents.jsonl", documents)
        push(paths.root / "source")
    experiment = surveyed_experiment(os.fspath(source), known_items=known_items, strict=strict, encoder=encoder)
    workdir = os.fspath(experiment.workdir if workdir is None else workdir)
    refuse_other_source(workdir, experiment.corpus.source)
    changes = [word for name, value in (settings or {}).items() for word in (f"--{name}", _written(value))]
    experiment = override(experiment, changes)
    run_experiment(dataclasses.replace(experiment, workdir=workdir), workdir)
    return open_row(workdir)


def _digest(documents: Iterable[Document]) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for document in documents:
        digest.update(repr(document).encode())
    return digest.hexdigest()


def _written(value: Any) -> str:
    """A setting's value as the command line takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def index_experiment(
    source: str,
    name: str,
    *,
    documents: int,
    queries: int,
    known_items: int | None,
    encoder: str | os.PathLike | None = None,
) -> Experiment:
    """One trained row, GR2S, beside BM25 and, where there is one, a sentence encoder; with each of them, where
    validation queries can weigh them, both together.

    Args:
        source: As of `gr2_jax.corpus.open_collection`.
        name: Of the experiment; its run is runs/<name>.
        documents: Of the collection.
        queries: Those with a relevant document; a single one cannot be split and counts as none.
        known_items: Documents that lend a sentence as a query where there are no queries, half for validation and half
            for tests; by default a fifth of the documents, at most 200.
    """
    queries = queries if queries >= _FEWEST_QUERIES else 0
    lent = min(_MOST_LENT, round(_LENT_SHARE * documents)) if known_items is None else known_items
    test = min(_MOST_HELD_OUT, max(1, round(_HELD_OUT_SHARE * queries)))
    validation = min(test // 2, max(0, queries - test - 1))
    validates = bool(validation if queries else lent)
    rows = [System("GR2S", "auto"), BM25Row()]
    if encoder is not None:
        here = os.path.abspath(encoder) if os.path.isdir(encoder) else os.fspath(encoder)  # opened from anywhere
        rows.append(EncoderRow(encoder=here))
    if validates:
        rows += [InterpolatedRow(f"GR2S+{other.name}", ("GR2S", other.name)) for other in rows[1:]]
    return Experiment(
        name=name,
        corpus=CorpusConfig(
            source=source,
            empty_documents="drop",
            unjudged_queries="drop",
            unknown="drop",
            test_queries=test,
            validation_queries=validation,
            known_items=None if queries else lent,
        ),
        vocabulary=VocabularyConfig(size=8192 if documents <= 20_000 else 32_768),
        augmentation=AugmentationConfig(passages=_PASSAGES),
        docids=DocidConfig(schemes=(Auto(),), max_length=16),
        retrieval=retrieval(
            steps=min(_MOST_STEPS, _FEWEST_STEPS + documents // _DOCUMENTS_PER_STEP),
            batch=_WITH_QUERIES if queries else _WITHOUT_QUERIES,
        ),
        rows=tuple(rows),
        evaluation=dataclasses.replace(
            EVALUATION,
            weights=_WEIGHTS if validates else (),
            measures=() if queries else _KNOWN_ITEM_MEASURES,
        ),
    )


def compared(experiment: Experiment) -> Experiment:
    """With more rows that GR2S is compared with: MLE, which has no graded loss, and the untrained ones."""
    first, _, *last = experiment.rows
    return dataclasses.replace(experiment, rows=(first, System("MLE", "auto", LIKELIHOODS), *BASELINES, *last))


def surveyed_experiment(
    source: str,
    *,
    known_items: int | None = None,
    strict: bool = False,
    encoder: str | os.PathLike | None = None,
) -> Experiment:
    """`index_experiment` of a source that is read once to size it, named after it; what is odd about it is said.

    With `strict` empty documents, queries without a positive judgement and judgements of unknown documents and queries
    are refused; else they are left out. Raises UserError as `open_collection` does.
    """
    source = os.path.normpath(source) if Path(source).exists() else source  # one run for docs and docs/
    say(f"looking through {source}")
    stream = open_collection(source)
    found, queries = _surveyed(stream)
    for line in found.lines():
        say(f"  {line}")
    for why, files in stream.provenance.items():
        if why.startswith("left out"):
            say(f"  {why}: {files}")
    if stream.queries and queries < _FEWEST_QUERIES:
        say(f"  {queries} of the queries have a relevant document here: the index is made of the documents alone")
    if known_items is not None and queries >= _FEWEST_QUERIES:
        raise UserError(f"--known-items is for a collection without judged queries, and {source} has {queries:,}")
    experiment = index_experiment(
        source,
        _name_of(stream),
        documents=found.documents,
        queries=queries,
        known_items=known_items,
        encoder=encoder,
    )
    if strict:
        refusing = {"empty_documents": "error", "unjudged_queries": "error", "unknown": "error"}
        experiment = dataclasses.replace(experiment, corpus=dataclasses.replace(experiment.corpus, **refusing))
    return experiment


def _surveyed(stream: CollectionStream) -> tuple[Survey, int]:
    """The survey, and how many queries have a relevant document with text, in one pass."""
    relevant = {query: {doc for doc, grade in grades.items() if grade > 0} for query, grades in stream.qrels.items()}
    judged, tally = set().union(*relevant.values()), DocumentTally(stream)
    there = {document.doc_id for document in tally.watched() if document.contents and document.doc_id in judged}
    return tally.survey(), sum(not relevant.get(query, set()).isdisjoint(there) for query in stream.queries)


def refuse_other_source(workdir: str, source: str) -> None:
    """Raises UserError where the folder holds a run over another source, which this one would replace."""
    config = local_copy(workdir, workdir=True) / "config.json"
    if not config.is_file():
        return
    record = read_json(config)
    held = record.get("experiment", {}).get("corpus", {}).get("source") if isinstance(record, dict) else None
    if held is not None and held != source:
        raise UserError(f"{workdir} holds a run over {held}, not {source}: name another --workdir")


def _name_of(stream: CollectionStream) -> str:
    """The collection's name as that of a folder."""
    return re.sub(r"[^\w.+-]+", "-", stream.name).strip("-.") or "index"
