"""Opens a bundle, which may be a stranger's: it is read as data, and what does not fit together is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gr2_jax.corpus import Document, read_documents
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.files import read_text, reading
from gr2_jax.models import EOS_ID
from gr2_jax.models.parameter_file import read_parameters
from gr2_jax.pipeline.bundle.contents import (
    DOC_IDS,
    DOCUMENTS,
    RECORD,
    TRIE,
    VECTORS,
    VOCABULARY,
    Contents,
    check_listed,
    read_record,
)
from gr2_jax.pipeline.generative import generative_retriever, model_over
from gr2_jax.search.docid_vectors import DocidVectors
from gr2_jax.search.opened import OpenRetriever, check_changes

_LONGEST_DOCID = 1024  # tokens; a search keeps a table of all docids, each as long as the longest


def open_bundle(directory: Path, row: str | None = None, options: Mapping[str, Any] | None = None) -> OpenRetriever:
    """A bundle's row, with changes to the `SearchOptions` that the run had.

    Raises:
        UserError: It has another row, or no such option; or a file is missing, changed, or does not fit the others.
    """
    contents, files = read_record(directory)
    if row not in (None, contents.row):
        raise UserError(f"{directory} has no row '{row}': a bundle has one, here {contents.row}")
    check_changes(contents.search, options or {})
    check_listed(directory, files)
    params = read_parameters(directory, contents.model)
    tokenizer = _tokenizer(directory, contents)
    trie = _trie(directory, tokenizer, contents)
    documents = _documents(directory, contents)
    retriever = generative_retriever(
        model_over(contents.model, trie),
        params,
        trie,
        tokenizer,
        list(documents),
        query_length=contents.query_length,
        query_end=contents.query_end,
        options=contents.search,
        compares=contents.compares,
        vectors=None if contents.compares is None else _vectors(directory, contents),
    )
    return OpenRetriever(retriever.with_options(**options or {}), contents.row, documents, directory)


def _tokenizer(directory: Path, contents: Contents) -> Tokenizer:
    place = directory / VOCABULARY
    with reading(place):
        tokenizer = Tokenizer(place, extra_ids=contents.extra_ids)
    if tokenizer.size > contents.model.vocab_size:
        raise UserError(f"{place} has {tokenizer.size} ids, and the model knows {contents.model.vocab_size}")
    if contents.query_end is not None and contents.query_end >= tokenizer.size:
        raise UserError(
            f"{directory / RECORD} has the query_end {contents.query_end}, which is no id of the vocabulary"
        )
    return tokenizer


def _trie(directory: Path, tokenizer: Tokenizer, contents: Contents) -> DocidTrie:
    place = directory / TRIE
    with reading(place):
        trie = DocidTrie.load(place, vocabulary=tokenizer.fingerprint)
        if trie.tokens[-1] >= tokenizer.size:
            raise UserError(f"{place} is damaged: it holds the token {trie.tokens[-1]}, which has no meaning")
        if trie.eos_id != EOS_ID or trie.max_depth > _LONGEST_DOCID + 1:
            raise UserError(f"{place} is damaged: its docids do not end with {EOS_ID}, or only after {_LONGEST_DOCID}")
        if trie.num_docids != contents.documents:
            raise UserError(f"{place} is damaged: it has {trie.num_docids} docids for {contents.documents} documents")
    return trie


def _documents(directory: Path, contents: Contents) -> dict[str, Document]:
    """Document id -> document, in the order of the trie's rows."""
    place = directory / (DOCUMENTS if contents.texts else DOC_IDS)
    if contents.texts:
        with reading(place):
            read = {document.doc_id: document for document in read_documents(place)}
    else:
        read = {doc_id: Document(doc_id, "", "") for doc_id in read_text(place).removesuffix("\n").split("\n")}
    if len(read) != contents.documents:  # an id that is there twice counts once
        raise UserError(f"{place} is damaged: it has {len(read)} documents, and {RECORD} says {contents.documents}")
    return read


def _vectors(directory: Path, contents: Contents) -> DocidVectors:
    place, search = directory / VECTORS, contents.search
    vectors = DocidVectors.load(place)
    shape = contents.documents, contents.model.d_model
    scaled = vectors.scales is None or vectors.scales.dtype == np.float32
    if vectors.values.dtype.name != search.vectors or vectors.values.shape != shape or not scaled:
        found = f"{vectors.values.dtype.name} vectors {vectors.values.shape}"
        raise UserError(f"{place} is damaged: it has {found}, and {RECORD} says {search.vectors} {shape}")
    return vectors
