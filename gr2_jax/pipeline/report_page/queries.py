"""Where two rows differ: all queries at once, and those with the largest gains and losses."""

from collections.abc import Mapping, Sequence

import numpy as np

from gr2_jax.corpus import Run as Lists
from gr2_jax.evaluation.report_page.figures import differences
from gr2_jax.evaluation.report_page.markup import Html, figure, foreign, note, sentence, table, tag, together
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.table import format_cell
from gr2_jax.pipeline.report_page.findings import Findings

KEY, TITLE = "queries", "Query by query"
_MOST = 5


def body(found: Findings) -> Html:
    first, second = found.compared
    a, b = (found.scores[row][found.key] for row in (first, second))
    gains = {query: a[query] - b[query] for query in a if query in b}
    ordered = sorted(gains, key=lambda query: (-gains[query], query))
    won = [query for query in ordered if gains[query] > 0]
    lost = [query for query in reversed(ordered) if gains[query] < 0]
    level = len(gains) - len(won) - len(lost)
    lists = {row: found.ranked(row) for row in (first, second)}
    picture = None
    if can_draw() and gains:
        svg = differences("differences", f"{found.key}, {first} minus {second}", np.array(list(gains.values())))
        picture = figure(svg, "One bar per query: how far the first row is above or below the second.")
    return together(
        sentence(
            f"{first} against {second}, by {found.key}: {first} is better on {len(won):,} queries, worse on "
            f"{len(lost):,} and level on {level:,}."
        ),
        picture,
        *_shown(found, lists, "Largest gains", won[:_MOST], gains),
        *_shown(found, lists, "Largest losses", lost[:_MOST], gains),
        note(
            f"Ranks{found.whose_lists} are those of a document with the query's best grade, the first judged of "
            "several; - where the list does not hold it."
        ),
    )


def _shown(
    found: Findings, lists: Mapping[str, Lists], title: str, queries: Sequence[str], gains: Mapping[str, float]
) -> list[Html]:
    """A table of some queries; `lists` are those of the two rows."""
    if not queries:
        return [tag("h3", title), sentence("There are none.")]
    rows = []
    for query in queries:
        grades = found.qrels[query]
        best = max(grades, key=grades.__getitem__)
        text, name = found.detail.corpus.queries.get(query, query), document_name(found, best)
        scores = [format_cell(found.scores[row][found.key][query], True) for row in lists]
        ranks = [_rank(own.get(query, ()), best) for own in lists.values()]
        gain = f"{gains[query]:+.4f}".replace("0.", ".", 1)
        rows.append([foreign(text), gain, *scores, foreign(name, 80), str(grades[best]), *ranks])
    headings = ["query", "difference", *lists, "best judged document", "grade", *(f"rank, {row}" for row in lists)]
    return [tag("h3", title), table(headings, rows, words=(0, 4))]


def document_name(found: Findings, doc_id: str) -> str:
    """A document's title, or the beginning of its text, or its id."""
    document = found.detail.documents.get(doc_id)
    return doc_id if document is None else document.title or document.text[:200] or doc_id


def _rank(hits: Sequence[tuple[str, float]], doc_id: str) -> str | None:
    return next((f"{rank:,}" for rank, (found, _) in enumerate(hits, start=1) if found == doc_id), None)
