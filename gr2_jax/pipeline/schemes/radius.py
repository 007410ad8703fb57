"""Choosing |r| by validation: how far from a document's representation its docid is written.

Near it the docid says what the document says, and so do the docids of the documents beside it; far from it docids
differ from each other and from their documents. The trade-off is the harmonic mean of
  relevance      the mean reciprocal rank of the document when BM25 is asked its docid
  distinctness   the share of documents whose docid none of the others has
among `DOCUMENTS` documents: the best of each validation query, then others drawn by seed.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from gr2_jax.corpus.collection import Document
from gr2_jax.progress import say
from gr2_jax.search.bm25 import BM25, bm25_where_possible

DOCUMENTS = 500
_DEPTH = 100


@dataclasses.dataclass(frozen=True)
class Choice:
    """The radius, among how many documents it was chosen, and every radius's relevance, distinctness and mean."""

    radius: float
    documents: int
    figures: dict[float, dict[str, float]]


def choose_radius(
    radii: Sequence[float],
    write: Callable[[Int[np.ndarray, "n"], float], list[str]],
    documents: Sequence[Document],
    first: Int[np.ndarray, "v"],
    *,
    seed: int,
) -> Choice:
    """The radius with the best trade-off (the smallest of equals); `write` gives the docids of rows at a radius.

    `first` are the rows of validation queries' documents.
    """
    others = np.random.default_rng(seed).permutation(len(documents))[:DOCUMENTS]
    rows = np.array(list(dict.fromkeys([*first.tolist(), *others.tolist()]))[:DOCUMENTS], np.int64)
    asked = [documents[row] for row in rows]
    index = bm25_where_possible([d.doc_id for d in asked], [d.contents for d in asked])
    figures = {}
    for radius in sorted(set(radii)):
        docids = write(rows, radius)
        relevance = _reciprocal_rank(index, {d.doc_id: docid for d, docid in zip(asked, docids, strict=True)})
        distinctness = sum(count == 1 for count in Counter(docids).values()) / len(docids)
        mean = 2 * relevance * distinctness / max(relevance + distinctness, 1e-9)
        figures[radius] = {"relevance": relevance, "distinctness": distinctness, "mean": mean}
    best = max(figures, key=lambda radius: figures[radius]["mean"])
    say(
        f"  |r| {best:g}: BM25 ranks a document for its docid at {figures[best]['relevance']:.3f} (MRR), "
        f"{figures[best]['distinctness']:.1%} of the docids differ, over {len(rows)} documents"
    )
    return Choice(best, len(rows), figures)


def _reciprocal_rank(index: BM25 | None, docids: dict[str, str]) -> float:
    if index is None:  # no document holds a word, so that no radius is better than another
        return 0.0
    found = index.search(list(docids.values()), k=_DEPTH)
    places = {own: [hit.doc_id for hit in hits] for own, hits in zip(docids, found, strict=True)}
    return sum(1 / (places[own].index(own) + 1) for own in docids if own in places[own]) / len(docids)
