"""How good a run's docids are before training on them: quality.json per scheme, one table and one picture of all."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.evaluation.docid_plot import plot_docids
from gr2_jax.evaluation.docid_quality import docid_quality, quality_table
from gr2_jax.experiment import Scheme
from gr2_jax.experiment.scheme import OpenScheme
from gr2_jax.files import read_json, reading, write_json, write_text
from gr2_jax.pipeline.initial_weights import docid_token_vectors
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage
from gr2_jax.search.bm25 import BM25, bm25_where_possible

COMPARED = 500_000  # documents; larger collections are not indexed, nor their docids' meanings kept in memory
_NOTHING = 1e-6  # the vectors' numbers are about .1; the decomposition leaves less than this to tokens it never saw


class Quality:
    """Measures one scheme after another; the BM25 index that their docids are asked of is made once.

    compared    whether docids are compared with their documents by BM25 and LSA; by default where there are at most
                `COMPARED` documents
    """

    def __init__(self, run: Run, compared: bool | None = None):
        self._run = run
        self._compared = len(run.doc_ids) <= COMPARED if compared is None else compared

    def write(self, scheme: Scheme, opened: OpenScheme, out: Path) -> None:
        run, docids_dir = self._run, self._run.paths.docids(scheme.name)
        documents, decode = run.corpus.documents, run.tokenizer.decode
        docids = run.docids(scheme.name).trie.docids()
        with reading_stage(docids_dir, "figures.json") as path:
            assignment = read_json(path)
        quality = docid_quality(
            docids,
            doc_ids=run.doc_ids,
            documents=_Lazily(lambda row: documents[row].contents, len(documents)),
            docid_texts=_Lazily(lambda row: decode(docids[row][docids[row] != 0]), len(documents)),
            assignment=assignment,
            index=self._index if opened.reads_as_text and self._compared else None,
            positions=not opened.reads_as_text,
            vectors=self._meanings(docids, docids_dir) if self._compared else None,
            held_out=opened.held_out(),
            seed=run.experiment.seed,
        )
        write_json(out / "quality.json", quality)

    @cached_property
    def _index(self) -> BM25 | None:
        return bm25_where_possible(self._run.doc_ids, (document.contents for document in self._run.corpus.documents))

    def _meanings(self, docids: Int[np.ndarray, "N T"], docids_dir: Path) -> Float[np.ndarray, "N F"] | None:
        """The idf-weighted sum of each docid's token vectors, in the documents' LSA space; None where all are zero."""
        semantics = self._run.semantics
        vectors = docid_token_vectors(semantics, docids_dir)
        weighted = vectors * np.exp(semantics.log_idf)[:, None]
        meanings = np.zeros((len(docids), vectors.shape[1]), np.float32)
        for column in docids.T:
            meanings += weighted[column]
        return meanings if np.abs(meanings).max() > _NOTHING else None


class _Lazily(Sequence):
    """`get(row)` for each row, when it is asked for."""

    def __init__(self, get: Callable[[int], str], length: int):
        self._get, self._length = get, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, row: int) -> str:
        return self._get(row)


def report_docids(run: Run) -> str:
    """Writes report/docids.md and docids.png; returns the table."""
    names = [scheme.name for scheme in run.experiment.docids.schemes]
    qualities, picture = {}, run.paths.report / "docids.png"
    for name in names:
        with reading_stage(run.paths.quality(name), "quality.json") as path:
            qualities[name] = read_json(path)
            quality_table({name: qualities[name]})  # what it cannot show is no quality
    table = quality_table(qualities)
    write_text(run.paths.report / "docids.md", [table, "\n"])
    with reading(", ".join(str(run.paths.quality(name) / "quality.json") for name in names)):
        plot_docids(qualities, picture)
    return table
