"""A trained row over a collection that changed: documents that came after the training, and without some of its own.

Nothing is trained again. A further document gets a docid by the row's scheme, of those that no other document has, and
a vector by the row's model; the others keep theirs.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from gr2_jax import corpus
from gr2_jax.corpus import Document, validate
from gr2_jax.corpus.known_items import query_of, without_sentence
from gr2_jax.data.lsa import TokenSemantics
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.docids import Assignment, DocidTrie, assign_unique
from gr2_jax.errors import UserError
from gr2_jax.experiment import Scheme
from gr2_jax.experiment.scheme import Candidates
from gr2_jax.pipeline.generative import model_over
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS
from gr2_jax.pipeline.texts import DOCUMENT_LENGTH
from gr2_jax.search.docid_vectors import DocidVectors
from gr2_jax.search.retriever import DocidTexts, Retriever

_SLICE = 4096  # documents whose candidates are in memory at a time
_SMOOTHING = 1.0
"""`SearchOptions.smoothing` where documents were added: the model takes their docids for impossible, and with it they
count as likely as one of N at random."""


class ChangedRun(Run):
    """A run over other documents than its own. What was learnt, vocabulary, semantics and models, is the run's."""

    def __init__(self, run: Run, documents: Sequence[Document]):
        super().__init__(run.experiment, run.paths.root, fold=run.fold, trainings=run.trainings)
        self.examples, self.tokenizer = run.examples, run.tokenizer
        self.corpus = dataclasses.replace(run.corpus, documents=tuple(documents))
        own = {document.doc_id: document for document in run.corpus.documents}
        known = ((i, run.row_of[d.doc_id]) for i, d in enumerate(documents) if own.get(d.doc_id) == d)
        self._run, self._known = run, np.array(list(known), np.int64).reshape(-1, 2).T
        self._unknown = np.setdiff1d(np.arange(len(documents)), self._known[0])

    @cached_property
    def document_tokens(self) -> Int[np.ndarray, "N T"]:
        own, (places, rows) = self._run.document_tokens, self._known
        texts = self.tokenizer.encode_batch([self.corpus.documents[i].contents for i in self._unknown])
        longest = min(DOCUMENT_LENGTH, max(map(len, texts), default=0))
        tokens = np.zeros((len(self.corpus.documents), max(longest, own.shape[1])), own.dtype)
        tokens[places, : own.shape[1]] = own[rows]
        tokens[self._unknown, :longest] = pad_rows(texts, longest)
        return tokens

    @cached_property
    def semantics(self) -> TokenSemantics:
        own, (places, rows) = self._run.semantics, self._known
        vectors = np.zeros((len(self.corpus.documents), own.document_vectors.shape[1]), np.float32)
        vectors[places] = own.document_vectors[rows]
        if len(self._unknown):
            vectors[self._unknown] = own.vectors_of([row[row != 0] for row in self.document_tokens[self._unknown]])
        return own._replace(document_vectors=vectors)


class Changed(NamedTuple):
    """The retriever over the changed collection, and its documents in the order of its rows; how many documents stayed
    as they are, are new, took the place of one with their id, and were removed; and the figures of the docids that were
    assigned (None: none was)."""

    retriever: Retriever
    documents: dict[str, Document]
    stayed: int
    new: int
    replaced: int
    removed: int
    figures: dict[str, float] | None


def with_changes(
    run: Run,
    row: str,
    retriever: Retriever,
    documents: dict[str, Document],
    *,
    added: Sequence[Document],
    removed: Collection[str],
) -> Changed:
    """The row's retriever, which searches `documents`, over others: without `removed`, and with `added`, each in the
    place of a document with its id, if there is one. Documents that do not change keep their docids. With documents
    added, likelihoods are smoothed.

    Raises:
        UserError: The row writes no docids, or its scheme has none for further documents; or nothing is left.
    """
    system = run.row(row)
    if not isinstance(system, System):
        raise UserError(f"row {row} writes no docids: only a row that does can search a collection that changed")
    if empty := next((document.doc_id for document in added if not document.contents), None):
        raise UserError(f"document {empty!r}, which is to be added, has no text")
    if added:
        added = validate(corpus.Collection("what is added", tuple(added), {}, {}, {}), needs_queries=False).documents
    # what is removed and given again stays, or takes the place of what it was
    removed = set(removed) - {document.doc_id for document in added}
    added = [document for document in added if not _is_same(run, document, documents.get(document.doc_id))]
    gone = removed | {document.doc_id for document in added}
    stay = [i for i, doc_id in enumerate(retriever.doc_ids) if doc_id in documents and doc_id not in gone]
    if not stay and not added:
        raise UserError(f"all {len(documents):,} documents are removed and none is added")
    whole = {retriever.doc_ids[i]: documents[retriever.doc_ids[i]] for i in stay}
    whole |= {document.doc_id: document for document in added}
    docids, assignment = retriever.trie.docids()[stay], None
    if added:
        changed = ChangedRun(run, list(whole.values()))
        assignment = _docids_of(changed, run.scheme(system.docids), np.arange(len(stay), len(whole)), docids)
        docids = _stacked(docids, assignment.docids)
    over = _over(retriever, run, docids, list(whole))
    if added and not over.options.smoothing:
        over = over.with_options(smoothing=_SMOOTHING)
    if retriever.compares is not None:
        further = [] if assignment is None else [_over(retriever, run, assignment.docids, ()).docid_vectors]
        over = dataclasses.replace(over, vectors=_joined(retriever.docid_vectors, stay, further))
    return Changed(
        over,
        whole,
        stayed=len(stay),
        new=len(whole.keys() - documents.keys()),
        replaced=len(added) - len(whole.keys() - documents.keys()),
        removed=len(documents.keys() - whole.keys()),
        figures=None if assignment is None else assignment.figures(),
    )


def _is_same(run: Run, document: Document, known: Document | None) -> bool:
    """Whether the document is the known one, but for a sentence that it lent to the run as a query."""
    if known is None or document == known:
        return known is not None
    lent = run.corpus.queries.get(query_of(document.doc_id)) if run.experiment.corpus.known_items is not None else None
    return lent is not None and known == dataclasses.replace(document, text=without_sentence(document.text, lent))


def _docids_of(run: ChangedRun, scheme: Scheme, rows: Int[np.ndarray, "n"], held: Int[np.ndarray, "M T"]) -> Assignment:
    """Docids of the documents `rows`, which are none of those that others hold."""
    scheme.check_corpus(run)
    opened = scheme.open_further(run, run.paths.docids(scheme.name))

    def lists(of: Int[np.ndarray, "n"], sample: int = 0) -> Iterator[Candidates]:
        for start in range(0, len(of), _SLICE):
            yield opened.candidates(of[start : start + _SLICE], sample)

    return assign_unique(
        lists(rows),
        suffix_tokens=list(run.tokenizer.sentinels)[-SUFFIX_DIGITS:],
        max_length=run.experiment.docids.max_length,
        resample=lambda left, sample: lists(rows[left], sample),
        resamples=opened.resamples,
        held=held,
    )


def _over(retriever: Retriever, run: Run, docids: Int[np.ndarray, "N T"], doc_ids: Sequence[str]) -> Retriever:
    """The same model over other docids; its vectors are not made yet."""
    trie = DocidTrie.from_sequences(docids, vocabulary=run.tokenizer.fingerprint)
    return dataclasses.replace(
        retriever,
        model=model_over(retriever.model.config, trie),
        trie=trie,
        columns=trie.columns(run.tokenizer.size),
        doc_ids=doc_ids,
        docid_texts=DocidTexts(trie, run.tokenizer.decode),
        vectors=None,
        allowed=None,
    )


def _joined(own: DocidVectors, stay: Sequence[int], further: Sequence[DocidVectors]) -> DocidVectors:
    values = np.concatenate([own.values[stay], *(vectors.values for vectors in further)])
    if own.scales is None:
        return DocidVectors(values)
    return DocidVectors(values, np.concatenate([own.scales[stay], *(vectors.scales for vectors in further)]))


def _stacked(first: Int[np.ndarray, "N T"], then: Int[np.ndarray, "M t"]) -> Int[np.ndarray, "N+M T"]:
    """Both, 0-padded to the longer one's width."""
    width = max(first.shape[1], then.shape[1])
    return np.concatenate([np.pad(part, [(0, 0), (0, width - part.shape[1])]) for part in (first, then)])
