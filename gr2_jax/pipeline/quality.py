"""What a run's docids are worth before training on them: quality.json per scheme, one table and one picture of all."""

from functools import cached_property
from typing import Any

from gr2_jax.docids import Assignment
from gr2_jax.evaluation.bm25 import BM25
from gr2_jax.evaluation.docid_plot import plot_docids
from gr2_jax.evaluation.docid_quality import docid_quality, quality_table
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.schemes import Scheme
from gr2_jax.workdir import Workdir, read_json

_REPRESENTED = 100_000  # documents; of larger collections no model's representations are kept in memory


class Quality:
    """Looks at one scheme after another; the index that all are asked with is made once."""

    def __init__(self, workdir: Workdir):
        self._workdir = workdir

    @cached_property
    def _index(self) -> BM25:
        documents = read_corpus(self._workdir)[0].documents
        return BM25([d.doc_id for d in documents], [d.contents for d in documents])

    def __call__(self, scheme: Scheme, assignment: Assignment) -> dict[str, Any]:
        documents = scheme.corpus[0].documents
        represented = len(documents) <= _REPRESENTED
        return docid_quality(
            assignment.docids,
            doc_ids=[document.doc_id for document in documents],
            documents=[document.contents for document in documents],
            docid_texts=[scheme.tokenizer.decode(docid[docid != 0]) for docid in assignment.docids],
            assignment=assignment.figures(),
            index=self._index if scheme.reads_as_text else None,
            positions=not scheme.reads_as_text,
            vectors=scheme.represent(assignment.docids) if represented else None,
            held_out=scheme.held_out(),
            seed=scheme.making.experiment.seed,
        )


def report_docids(workdir: Workdir, schemes: tuple[str, ...]) -> str:
    """Writes report/docids.md and docids.png; returns the table."""
    qualities = {scheme: read_json(workdir.docids(scheme) / "quality.json") for scheme in schemes}
    table = quality_table(qualities)
    workdir.report.mkdir(exist_ok=True)
    (workdir.report / "docids.md").write_text(table + "\n", encoding="utf-8")
    plot_docids(qualities, workdir.report / "docids.png")
    return table
