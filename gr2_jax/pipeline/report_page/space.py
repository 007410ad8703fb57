"""The model's space in two dimensions, as in the paper's Figure 4: a query among its judged documents; the docids."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.array_files import map_array
from gr2_jax.errors import UserError
from gr2_jax.evaluation.report_page.figures import first_tokens, neighbours
from gr2_jax.evaluation.report_page.markup import (
    Html,
    figure,
    figures,
    foreign,
    note,
    sentence,
    swatch,
    table,
    tag,
    together,
)
from gr2_jax.evaluation.report_page.projection import principal_plane
from gr2_jax.evaluation.report_page.style import SERIES
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.hosts import process_count
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.report_page.queries import document_name
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import STAGE_FILE, Stage, current_fingerprint, fingerprint_of, reading_stage
from gr2_jax.search.docid_vectors import DocidVectors

KEY, TITLE = "vectors", "Vectors"
_JUDGED, _NEAREST, _SAMPLE = 10, 40, 800  # documents in the pictures
_MOST_MB = 4000  # of a model that is loaded for one query's vector
_BLOCK = 65_536  # documents compared with the query at a time
_MARKS = "●■◆▲▼✚✖★"  # as the figure's markers


def body(found: Findings) -> Html:
    row = _row(found)
    vectors = _vectors(found.detail, row)
    return together(*_query(found, row, vectors), *_first_tokens(found, row, vectors))


def _row(found: Findings) -> System:
    """The first row that keeps a table of docid vectors."""
    for row in found.detail.rows:
        if isinstance(row, System) and (found.detail.paths.vectors(row.name) / STAGE_FILE).is_file():
            return row
    raise UserError("no row of the run has docid vectors: none was trained to compare them, or none is trained yet")


def _vectors(run: Run, row: System) -> DocidVectors:
    with reading_stage(run.paths.vectors(row.name), "") as path:
        vectors = DocidVectors.load(path)
        if len(vectors.values) != len(run.doc_ids):
            raise UserError(f"{path} is damaged: it has {len(vectors.values)} vectors for {len(run.doc_ids)} documents")
        return vectors


def _of_rows(vectors: DocidVectors, rows: Int[np.ndarray, " n"] | slice) -> Float[np.ndarray, "n F"]:
    values = np.asarray(vectors.values[rows], np.float32)
    return values if vectors.scales is None else values * vectors.scales[rows][:, None]


# a query


class _Surroundings(NamedTuple):
    """A query and the documents that are shown around it.

    vector          f_q; None where it is not known
    judged          rows of judged documents, the best grade first
    grades          of these
    others          rows of the nearest others
    similarities    [N], of all documents, with the query or, where f_q is not known, with the first judged document
    """

    vector: Float[np.ndarray, " F"] | None
    judged: Int[np.ndarray, " J"]
    grades: list[int]
    others: Int[np.ndarray, " n"]
    similarities: Float[np.ndarray, " N"]


def _query(found: Findings, row: System, vectors: DocidVectors) -> list[Html | None]:
    heading, query = tag("h3", "A query among its judged documents"), _chosen(found)
    if query is None:
        return [heading, sentence(f"No {found.part} query has judged documents.")]
    text = found.detail.corpus.queries[query]
    try:
        vector, why = _query_vector(found, row, text), None
    except (UserError, ModuleNotFoundError) as error:
        vector, why = None, note(f"The query's own vector is left out: {error}.")
    around = _surroundings(found, vectors, query, vector)
    introduction = sentence(f"{row.name}{found.whose}, for the query “", foreign(text), "”:")
    drawn = _drawn(vectors, around) if can_draw() else None
    return [heading, introduction, why, figures(filter(None, [drawn, _judged_table(found, around)]))]


def _surroundings(
    found: Findings, vectors: DocidVectors, query: str, vector: Float[np.ndarray, " F"] | None
) -> _Surroundings:
    grades = found.qrels[query]
    places = {doc_id: place for place, doc_id in enumerate(found.detail.doc_ids)}
    judged = sorted((doc_id for doc_id in grades if doc_id in places), key=lambda doc_id: -grades[doc_id])[:_JUDGED]
    rows = np.array([places[doc_id] for doc_id in judged], np.int64)
    similarities = _similarities(vectors, _of_rows(vectors, rows[:1])[0] if vector is None else vector)
    nearest = np.argsort(-similarities, kind="stable")[: _NEAREST + len(rows)]
    others = nearest[~np.isin(nearest, rows)][:_NEAREST]
    return _Surroundings(vector, rows, [grades[doc_id] for doc_id in judged], others, similarities)


def _judged_table(found: Findings, around: _Surroundings) -> Html:
    known = around.vector is not None
    lines = []
    for number, (row, grade) in enumerate(zip(around.judged, around.grades, strict=True), start=1):
        own = around.similarities[row]
        place = int(np.sum(around.similarities > own)) + 1
        name = foreign(document_name(found, found.detail.doc_ids[row]), 80)
        lines.append([str(number), name, str(grade), *([f"{own:.3f}", f"{place:,}"] if known else [])])
    return table(["", "document", "grade", *(["similarity", "nearest"] if known else [])], lines, words=(0, 1))


def _chosen(found: Findings) -> str | None:
    """The query with the most different grades, then with the most judged documents up to as many as are shown."""
    known = found.detail.documents.keys()
    inside = {
        query: [grade for doc_id, grade in grades.items() if doc_id in known] for query, grades in found.qrels.items()
    }
    inside = {query: grades for query, grades in inside.items() if grades and query in found.detail.corpus.queries}
    return max(inside, key=lambda query: (len(set(inside[query])), min(len(inside[query]), _JUDGED)), default=None)


def _query_vector(found: Findings, row: System, text: str) -> Float[np.ndarray, " F"]:
    """f_q, kept in report/query-vector/, so that the model is loaded once."""
    run = found.detail
    made_of = [row.name, current_fingerprint(run.paths.vectors(row.name)), text]
    stage = Stage(found.run.paths.report / "query-vector", fingerprint_of(made_of))
    if not stage.done:
        size = found.row(row.name).get("model MB", 0.0)
        if process_count() > 1:
            raise UserError("several processes hold the model; `gr2 report` on one machine adds it")
        if size > _MOST_MB:
            raise UserError(f"the model has {size:,.0f} MB")
        vector = row.open(run).query_vectors([text])[0]
        stage.build(lambda out: np.save(out / "vector.npy", vector))
    with reading_stage(stage.directory, "vector.npy") as path:
        return np.array(map_array(path, ndim=1))


def _similarities(vectors: DocidVectors, centre: Float[np.ndarray, " F"]) -> Float[np.ndarray, " N"]:
    starts = range(0, len(vectors.values), _BLOCK)
    return np.concatenate([_of_rows(vectors, slice(start, start + _BLOCK)) @ centre for start in starts])


def _drawn(vectors: DocidVectors, around: _Surroundings) -> Html:
    documents = _of_rows(vectors, np.concatenate([around.judged, around.others]))
    known = around.vector is not None
    plane = principal_plane(np.concatenate([around.vector[None], documents]) if known else documents)
    grades = sorted(set(around.grades))
    svg = neighbours(
        "neighbours",
        plane,
        query=known,
        levels=np.array([*map(grades.index, around.grades), *[-1] * len(around.others)], np.int64),
        labels=[*map(str, range(1, len(around.judged) + 1)), *[""] * len(around.others)],
        names=[f"grade {grade}" for grade in grades],
    )
    centre = "the documents nearest to the query" if known else "those nearest to document 1"
    return figure(svg, f"Its judged documents by grade, with their numbers in the table, and {centre} (PCA of these).")


# the docids


def _first_tokens(found: Findings, row: System, vectors: DocidVectors) -> list[Html | None]:
    """The docids by their first tokens; nothing where it cannot be drawn."""
    if not can_draw():
        return []
    run, random = found.detail, np.random.default_rng(0)
    firsts = run.docids(row.docids).trie.docids()[:, 0]
    sample = np.sort(random.choice(len(firsts), min(_SAMPLE, len(firsts)), replace=False))
    tokens, counts = np.unique(firsts, return_counts=True)
    frequent = tokens[np.argsort(-counts, kind="stable")[:SERIES]]
    groups = np.full(len(sample), -1)
    for group, token in enumerate(frequent):
        groups[firsts[sample] == token] = group
    svg = first_tokens("first-tokens", principal_plane(_of_rows(vectors, sample)), groups)
    shares = dict(zip(tokens.tolist(), counts.tolist(), strict=True))
    key = [
        tag(
            "li",
            tag("span", _MARKS[group], style=f"color:var(--s{group})"),
            " ",
            _token(run, token),
            f" {shares[token]:,}",
        )
        for group, token in enumerate(frequent.tolist())
    ]
    caption = (
        f"{len(sample):,} of {len(firsts):,} documents by the first token of their docid, the most frequent in colour."
    )
    return [
        tag("h3", "Docids by their first token"),
        tag("ul", *key, tag("li", swatch("line"), "other tokens"), class_="key"),
        figure(svg, caption),
    ]


def _token(run: Run, token: int) -> Html:
    text = run.tokenizer.decode([token]).strip()
    return foreign(text, 30) if text else tag("i", "a word's beginning")
