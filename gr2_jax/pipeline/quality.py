"""What a run's docids are worth before training on them: quality.json per scheme, one table and one picture of all."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids import DocidTrie
from gr2_jax.evaluation.bm25 import BM25
from gr2_jax.evaluation.docid_plot import plot_docids
from gr2_jax.evaluation.docid_quality import docid_quality, quality_table
from gr2_jax.pipeline.schemes import Scheme, Sources
from gr2_jax.pipeline.semantics import docid_token_vectors
from gr2_jax.workdir import Workdir, read_json, write_json

_COMPARED = 1_000_000  # documents; larger collections are not indexed, nor their docids' meanings kept in memory
_NOTHING = 1e-6  # of the vectors' numbers, about .1: what the decomposition leaves to tokens that it never saw


class Quality:
    """Looks at one scheme after another; the index that all are asked with is made once."""

    def __init__(self, sources: Sources):
        self._sources = sources

    def write(self, scheme: Scheme, out: Path) -> None:
        documents, docids_dir = self._sources.corpus[0].documents, self._sources.workdir.docids(scheme.name)
        docids, decode = DocidTrie.load(docids_dir / "trie").docids(), self._sources.tokenizer.decode
        compared = len(documents) <= _COMPARED
        quality = docid_quality(
            docids,
            doc_ids=[document.doc_id for document in documents],
            documents=_Lazily(lambda row: documents[row].contents, len(documents)),
            docid_texts=_Lazily(lambda row: decode(docids[row][docids[row] != 0]), len(documents)),
            assignment=read_json(docids_dir / "figures.json"),
            index=self._index if scheme.reads_as_text and compared else None,
            positions=not scheme.reads_as_text,
            vectors=self._meanings(docids, docids_dir) if compared else None,
            held_out=scheme.held_out(),
            seed=scheme.experiment.seed,
        )
        write_json(out / "quality.json", quality)

    @cached_property
    def _index(self) -> BM25:
        documents = self._sources.corpus[0].documents
        return BM25([d.doc_id for d in documents], [d.contents for d in documents])

    def _meanings(self, docids: Int[np.ndarray, "N T"], docids_dir: Path) -> Float[np.ndarray, "N F"] | None:
        """The idf-weighted sum of each docid's token vectors, in the documents' LSA space; None where none has one."""
        vectors = docid_token_vectors(self._sources.semantics, docids_dir)
        weighted = vectors * np.exp(self._sources.semantics.log_idf)[:, None]
        meanings = np.zeros((len(docids), vectors.shape[1]), np.float32)
        for column in docids.T:
            meanings += weighted[column]
        return meanings if np.abs(meanings).max() > _NOTHING else None


class _Lazily(Sequence):
    """What `get` gives for each row, when it is asked for."""

    def __init__(self, get: Callable[[int], str], length: int):
        self._get, self._length = get, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, row: int) -> str:
        return self._get(row)


def report_docids(workdir: Workdir, schemes: tuple[str, ...]) -> str:
    """Writes report/docids.md and docids.png; returns the table."""
    qualities = {scheme: read_json(workdir.quality(scheme) / "quality.json") for scheme in schemes}
    table = quality_table(qualities)
    workdir.report.mkdir(exist_ok=True)
    (workdir.report / "docids.md").write_text(table + "\n", encoding="utf-8")
    plot_docids(qualities, workdir.report / "docids.png")
    return table
