"""Documents, queries and graded judgements in one shape, and where they come from."""

from gr2_jax.corpus._records import document_of
from gr2_jax.corpus.apidocs import read_apidocs
from gr2_jax.corpus.around import surrounded
from gr2_jax.corpus.augment import pseudo_queries
from gr2_jax.corpus.checks import Checks, validate
from gr2_jax.corpus.collection import Collection, CollectionStream, Document
from gr2_jax.corpus.document_store import DocumentsById, DocumentStore, read_rows, read_stored, write_store
from gr2_jax.corpus.folder import (
    read_collection,
    read_documents,
    write_collection,
    write_documents,
    write_without_documents,
)
from gr2_jax.corpus.known_items import lend_sentences
from gr2_jax.corpus.qrels import Qrels, check_grades, grade_places, read_qrels, write_qrels
from gr2_jax.corpus.runs import Run, read_run, write_run
from gr2_jax.corpus.sources import load_collection, names_a_collection, open_collection, source_fingerprint
from gr2_jax.corpus.splits import Split, fold_split, halves, sample_queries, split_queries
from gr2_jax.corpus.subsets import subset
from gr2_jax.corpus.surveys import Survey, survey
from gr2_jax.corpus.topics import read_topics

__all__ = [
    "open_collection",
    "names_a_collection",
    "load_collection",
    "source_fingerprint",
    "Collection",
    "CollectionStream",
    "Document",
    "read_collection",
    "write_collection",
    "read_documents",
    "write_documents",
    "write_without_documents",
    "DocumentStore",
    "DocumentsById",
    "read_stored",
    "read_rows",
    "write_store",
    "document_of",
    "validate",
    "Checks",
    "survey",
    "Survey",
    "subset",
    "surrounded",
    "read_topics",
    "Qrels",
    "read_qrels",
    "write_qrels",
    "check_grades",
    "grade_places",
    "Run",
    "read_run",
    "write_run",
    "read_apidocs",
    "Split",
    "split_queries",
    "fold_split",
    "sample_queries",
    "halves",
    "lend_sentences",
    "pseudo_queries",
]
