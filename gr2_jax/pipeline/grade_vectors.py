"""Stage 4, beside the lists: how near documents of each grade are to their query, and the vectors of one query and its
list, which the report draws. To similarities/<row>/{test,validation}.{json,npz}."""

import statistics
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from gr2_jax.array_files import load_arrays
from gr2_jax.corpus import Qrels, read_run
from gr2_jax.errors import UserError
from gr2_jax.evaluation.somers_d import SOMERS_D, similarity_by_grade, somers_d
from gr2_jax.experiment import Row, VectorRow
from gr2_jax.files import read_json, write_json
from gr2_jax.hosts import is_first, of_first, on_all
from gr2_jax.pipeline.evaluate import why_left_out
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.run import PARTS, Run
from gr2_jax.pipeline.stage import STAGE_FILE, Stage, current_fingerprint, fingerprint_of, reading_stage
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say
from gr2_jax.search.dense import DenseIndex
from gr2_jax.search.retriever import Retriever

SHOWN = 100  # documents of the list that is drawn, as in the paper's Figure 4


class GradeVectors(NamedTuple):
    """What a row's vectors say of grades.

    orders          query -> `somers_d`, of the queries whose judged documents have two grades or more
    similarities    query -> judged grade -> the mean similarity of its documents
    """

    orders: dict[str, float]
    similarities: dict[str, dict[int, float]]

    @property
    def grades(self) -> list[int]:
        return sorted({grade for own in self.similarities.values() for grade in own})

    def of_grade(self, grade: int) -> list[float]:
        """The similarities of the queries that have documents of the grade."""
        return [own[grade] for own in self.similarities.values() if grade in own]

    @property
    def measures(self) -> dict[str, float]:
        """The means over the queries; nothing where no query has two grades."""
        if not self.orders:
            return {}
        by_grade = {f"similarity {grade}": statistics.mean(self.of_grade(grade)) for grade in self.grades[::-1]}
        return {SOMERS_D: statistics.mean(self.orders.values()), **by_grade}


class ShownList(NamedTuple):
    """A query and the first documents of a row's list, as the report draws them. `cosine`: whether their similarity is
    the cosine, else the dot product."""

    query: str
    doc_ids: list[str]
    vector: Float[np.ndarray, " F"]
    documents: Float[np.ndarray, "n F"]
    cosine: bool


def shown_query(qrels: Qrels) -> str | None:
    """The query whose judged documents have the most different grades, then the one with the most of them, then the one
    with the least id. None where there is none."""
    return min(qrels, key=lambda query: (-len({*qrels[query].values()}), -len(qrels[query]), query), default=None)


def compare_vectors(run: Run, row: Row) -> None:
    """Compares the vectors of a row that was searched; nothing for one without. All processes open the row, the first
    compares."""
    if not _has_vectors(run, row) or of_first(is_first() and why_left_out(run.paths.runs / row.name) is not None):
        return
    stage = Stage(run.paths.similarities(row.name), _fingerprint(run.paths, row.fingerprint(run)))
    if stage.take_over():
        return
    try:
        opened = on_all(lambda: row.open_to_compare(run) if isinstance(row, System) else row.open(run))
    except UserError as error:
        say(f"  the vectors of {row.name} are not compared: {error}")
        return
    stage.build(partial(_write, run, row, opened))


def _fingerprint(paths: Workdir, row: str) -> str:
    """`row` is the fingerprint of the row's lists, which runs/<row>/ notes."""
    return fingerprint_of([row, current_fingerprint(paths.corpus), SOMERS_D])


def grade_vectors(run: Run, row: str, part: str = "test") -> GradeVectors | None:
    """Of all folds, where the run has them; None where a row has no vectors, or they were not compared yet."""
    folds = [run.paths.fold(fold) for fold in range(run.experiment.corpus.folds)] or [run.paths]
    found = [_read(paths, row, part) for paths in folds]
    if not all(found):
        return None
    queries = {query: own for one in found for query, own in one["queries"].items()}
    return GradeVectors(
        {query: float(own["d"]) for query, own in queries.items() if own["d"] is not None},
        {query: {int(grade): float(value) for grade, value in own["similarity"]} for query, own in queries.items()},
    )


def shown_list(run: Run, row: str, part: str = "test") -> ShownList | None:
    """Of a run without folds; None where a row has no vectors, they were not compared yet, or nothing is judged."""
    found = _read(run.paths, row, part)
    if not found or found["shown"] is None:
        return None
    with reading_stage(run.paths.similarities(row), f"{part}.npz") as path:
        arrays = load_arrays(path, {"query": 1, "documents": 2})
    return ShownList(found["shown"], found["list"], arrays["query"], arrays["documents"], bool(found["cosine"]))


def _read(paths: Workdir, row: str, part: str) -> dict[str, Any] | None:
    """None also where they are of other lists than those that the row has now."""
    there = all((directory / STAGE_FILE).is_file() for directory in (paths.similarities(row), paths.runs / row))
    if not there or why_left_out(paths.runs / row) is not None:
        return None
    if current_fingerprint(paths.similarities(row)) != _fingerprint(paths, current_fingerprint(paths.runs / row)):
        return None
    with reading_stage(paths.similarities(row), f"{part}.json") as path:
        return read_json(path)


def _has_vectors(run: Run, row: Row) -> bool:
    if isinstance(row, System):
        return row.objective_in(run).docid_reader != "query"  # such vectors have read the query
    return isinstance(row, VectorRow)


def _write(run: Run, row: Row, opened: Retriever | DenseIndex, out: Path) -> None:
    cosine = not isinstance(opened, Retriever) or opened.compares.similarity == "cosine"
    for part in PARTS:
        qrels = {query: _inside(run, grades) for query, grades in run.qrels(part).items()}
        qrels = {query: grades for query, grades in qrels.items() if grades}
        shown, listed, compared = shown_query(qrels), [], {}
        if shown is not None:
            listed = _listed(run, row, part, shown)
            read = dict.fromkeys(doc_id for doc_ids in (listed, *qrels.values()) for doc_id in doc_ids)
            places = {doc_id: place for place, doc_id in enumerate(read)}
            documents = opened.document_vectors(np.array([run.row_of[doc_id] for doc_id in places]))
            texts = run.queries(part)
            queries = dict(zip(qrels, _query_vectors(opened, [texts[query] for query in qrels]), strict=True))
            for query, grades in qrels.items():
                similarities = documents[[places[doc_id] for doc_id in grades]] @ queries[query]
                compared[query] = _compared([*grades.values()], similarities)
            drawn = documents[np.array([places[doc_id] for doc_id in listed], np.int64)]
            np.savez(out / f"{part}.npz", query=queries[shown], documents=drawn)
        write_json(out / f"{part}.json", {"queries": compared, "shown": shown, "list": listed, "cosine": cosine})


def _inside(run: Run, grades: dict[str, int]) -> dict[str, int]:
    return {doc_id: grade for doc_id, grade in grades.items() if doc_id in run.row_of}


def _listed(run: Run, row: Row, part: str, query: str) -> list[str]:
    with reading_stage(run.paths.runs / row.name, f"{part}.trec") as path:
        return [doc_id for doc_id, _ in read_run(path).get(query, [])[:SHOWN]]


def _compared(grades: list[int], similarities: Float[np.ndarray, " n"]) -> dict[str, Any]:
    by_grade = similarity_by_grade(grades, similarities)
    return {"d": somers_d(grades, similarities), "similarity": list(by_grade.items())}


def _query_vectors(opened: Retriever | DenseIndex, texts: list[str]) -> Float[np.ndarray, "Q F"]:
    """In batches of one size, so that one program serves all."""
    size = opened.options.batch
    filled = [*texts, *texts[:1] * (-len(texts) % size)]
    parts = [opened.query_vectors(filled[start : start + size]) for start in range(0, len(filled), size)]
    return np.concatenate(parts)[: len(texts)]
