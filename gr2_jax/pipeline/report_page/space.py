"""The model's space, as in the paper's Figure 4: how near documents of each grade are to their query; a query and its
list; the docids."""

import statistics

import numpy as np
from jaxtyping import Float

from gr2_jax.errors import UserError
from gr2_jax.evaluation.report_page.figures import first_tokens, listed
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
from gr2_jax.evaluation.report_page.projection import neighbour_plane, principal_plane
from gr2_jax.evaluation.report_page.style import SERIES
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.somers_d import SOMERS_D
from gr2_jax.evaluation.table import format_cell
from gr2_jax.pipeline.grade_vectors import SHOWN, ShownList, grade_vectors, shown_list
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.report_page.measures import MOST_GRADES, mean_with_interval
from gr2_jax.pipeline.report_page.queries import document_name
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import STAGE_FILE, reading_stage
from gr2_jax.search.docid_vectors import DocidVectors

KEY, TITLE = "vectors", "Vectors"
_JUDGED, _SAMPLE = 10, 800  # documents in the table of a query, and in the picture of docids
_BLOCK = 65_536  # documents compared with the query at a time
_MARKS = "●■◆▲▼✚✖★"  # as the figure's markers


def body(found: Findings) -> Html:
    shown = [*_by_grade(found), *pictures(found), *_first_tokens(found)]
    if not shown:
        raise UserError("no row of the run has vectors: none was trained to compare them, or none is searched yet")
    return together(*shown)


def _table(found: Findings) -> tuple[System, DocidVectors] | None:
    """The first row that keeps a table of docid vectors, and the table."""
    run = found.detail
    for row in run.rows:
        if isinstance(row, System) and (run.paths.vectors(row.name) / STAGE_FILE).is_file():
            with reading_stage(run.paths.vectors(row.name), "") as path:
                vectors, documents = DocidVectors.load(path), len(run.doc_ids)
                if len(vectors.values) != documents:
                    raise UserError(
                        f"{path} is damaged: it has {len(vectors.values)} vectors for {documents} documents"
                    )
                return row, vectors
    return None


# grades


def _by_grade(found: Findings) -> list[Html]:
    """How near documents of each grade are, in numbers."""
    rows = {row.name: grade_vectors(found.lists, row.name, found.part) for row in found.lists.rows}
    rows = {name: own for name, own in rows.items() if own is not None}
    if not rows:
        return []
    grades = sorted({grade for own in rows.values() for grade in own.grades}, reverse=True)
    grades = grades if len(grades) <= MOST_GRADES else []
    lines = [
        [
            name,
            f"{len(own.orders):,}",
            mean_with_interval(own.orders.values()),
            *(_mean(own.of_grade(grade)) for grade in grades),
        ]
        for name, own in rows.items()
    ]
    headings = ["row", "n", SOMERS_D, *(f"similarity, grade {grade}" for grade in grades)]
    untrained = [
        row.name
        for row in found.lists.rows
        if row.name in rows and isinstance(row, System) and not row.objective_in(found.lists).trains_vectors
    ]
    return [
        tag("h3", "Are documents of a higher grade nearer to the query?"),
        table(headings, lines),
        note(
            f"{SOMERS_D}{found.whose_lists}: of the pairs of a query's judged documents that differ in grade, the "
            "share in which the higher grade is nearer to the query, less the share in which it is farther; the mean "
            f"over the n {found.part} queries with two grades or more, with its 95% t interval over them. It is 1 "
            "where every document of a higher grade is nearer, 0 where grades say nothing, below 0 where lower grades "
            "are nearer."
        ),
        *([note(_SIMILARITY)] if grades else []),
        *([note(f"Not trained to be compared: the vectors of {', '.join(untrained)}.")] if untrained else []),
    ]


_SIMILARITY = (
    "Similarity: of a query and its documents of a grade, the mean over the queries that have such. Rows have scales "
    "of their own: compare the grades of a row, not rows."
)


def _mean(values: list[float]) -> str | None:
    return format_cell(statistics.mean(values), True) if values else None


# a query


def pictures(found: Findings) -> list[Html]:
    """One query and the list of each row with vectors; its judged documents, and how near they are."""
    lists = {row.name: shown_list(found.detail, row.name, found.part) for row in found.detail.rows}
    lists = {name: own for name, own in lists.items() if own is not None}
    if not lists:
        return []
    query = next(iter(lists.values())).query
    grades = {doc_id: grade for doc_id, grade in found.qrels[query].items() if doc_id in found.detail.row_of}
    judged = sorted(grades, key=lambda doc_id: -grades[doc_id])[:_JUDGED]
    numbers = {doc_id: str(number) for number, doc_id in enumerate(judged, start=1)}
    drawn = [_drawn(name, own, grades, numbers) for name, own in lists.items()] if can_draw() else []
    return [
        tag("h3", "A query and its list, by grade"),
        sentence("“", foreign(found.detail.corpus.queries[query]), f"”, {_WHICH}:"),
        figures(drawn),
        *([note(_MEANING)] if drawn else []),
        *_judged_table(found, numbers, grades, lists),
    ]


_WHICH = "the query whose judged documents have the most different grades and, of such, the one with most of them"
_MEANING = (
    f"Each picture has the query and the first documents of a row's list, at most {SHOWN}, by t-SNE of their vectors: "
    "what is close together is alike. Directions and distances have no unit, and how far apart two groups are says "
    "little. Numbers are those of the table."
)


def _drawn(name: str, own: ShownList, grades: dict[str, int], numbers: dict[str, str]) -> Html:
    found = sorted(set(grades.values()))
    svg = listed(
        f"list-{name}",
        neighbour_plane(np.concatenate([own.vector[None], own.documents]), cosine=own.cosine),
        levels=np.array([found.index(grades[doc_id]) if doc_id in grades else -1 for doc_id in own.doc_ids], np.int64),
        labels=[numbers.get(doc_id, "") for doc_id in own.doc_ids],
        names=[f"grade {grade}" for grade in found],
    )
    inside = sum(doc_id in grades for doc_id in own.doc_ids)
    return figure(svg, f"{name}: {len(own.doc_ids)} documents, {inside} of the {len(grades)} judged ones.")


def _judged_table(
    found: Findings, numbers: dict[str, str], grades: dict[str, int], lists: dict[str, ShownList]
) -> list[Html]:
    """The judged documents and, by the first row that has a table of vectors, how near they are among all."""
    with_table = _table(found)
    near = {}
    if with_table is not None and (own := lists.get(with_table[0].name)) is not None:
        similarities = _similarities(with_table[1], own.vector)
        for doc_id in numbers:
            value = similarities[found.detail.row_of[doc_id]]
            near[doc_id] = [f"{value:.3f}", f"{int(np.sum(similarities > value)) + 1:,}"]
    lines = [
        [number, foreign(document_name(found, doc_id), 80), str(grades[doc_id]), *near.get(doc_id, ())]
        for doc_id, number in numbers.items()
    ]
    headings = ["", "document", "grade", *(["similarity", "nearest"] if near else [])]
    shown = [table(headings, lines, words=(0, 1))]
    if near:
        shown.append(
            note(f"Nearest: the place among all documents by similarity; both are those of {with_table[0].name}.")
        )
    return shown


def _similarities(vectors: DocidVectors, centre: Float[np.ndarray, " F"]) -> Float[np.ndarray, " N"]:
    starts = range(0, len(vectors.values), _BLOCK)
    return np.concatenate([vectors.of(slice(start, start + _BLOCK)) @ centre for start in starts])


# the docids


def _first_tokens(found: Findings) -> list[Html]:
    """The docids by their first tokens; nothing where no row has a table of vectors, or nothing can be drawn."""
    if (with_table := _table(found)) is None or not can_draw():
        return []
    row, vectors = with_table
    run, random = found.detail, np.random.default_rng(0)
    firsts = run.docids(row.docids).trie.docids()[:, 0]
    sample = np.sort(random.choice(len(firsts), min(_SAMPLE, len(firsts)), replace=False))
    tokens, counts = np.unique(firsts, return_counts=True)
    frequent = tokens[np.argsort(-counts, kind="stable")[:SERIES]]
    groups = np.full(len(sample), -1)
    for group, token in enumerate(frequent):
        groups[firsts[sample] == token] = group
    svg = first_tokens("first-tokens", principal_plane(vectors.of(sample)), groups)
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
