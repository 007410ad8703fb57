"""The quality of a scheme's docids, measured before training: relevant to the document, distinct, unique early."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids.structure import structure
from gr2_jax.evaluation.table import Cell, format_table
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.searcher import Hit

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DEPTH = 100
"""The ranks of BM25's list in which a document is looked for."""

NEARLY_THE_SAME = 0.95
"""A cosine above this counts as nearly the same docid."""

_BLOCK = 8192  # documents compared with the sample at a time


def docid_quality(
    docids: Int[np.ndarray, "N T"],
    *,
    doc_ids: Sequence[str],
    documents: Sequence[str],
    docid_texts: Sequence[str],
    assignment: Mapping[str, float],
    index: BM25 | None,
    positions: bool,
    vectors: Float[np.ndarray, "N F"] | None = None,
    held_out: Mapping[str, float] | None = None,
    sample: int = 1000,
    seed: int,
) -> dict[str, Any]:
    """Everything that the report shows about one scheme's docids, as a dictionary that JSON can hold.

    Args:
        docids: The assigned docids without EOS, 0-padded.
        doc_ids: The N document ids.
        documents: A title or text of each document, for the examples.
        docid_texts: The docids as text.
        assignment: The assignment's figures, passed through.
        index: BM25 over the whole collection's texts under `doc_ids`; None if docids or documents have no words.
        positions: Whether a token's meaning depends on its position, as in codes.
        vectors: A model's representations of the docids, if there are any.
        held_out: Likelihood of held-out queries, computed elsewhere: nll_per_token, perplexity.
        sample: How many documents to look up and compare; the same ones for all schemes of a collection and seed.
        seed: Draws the sample and the examples.

    Returns:
        assignment, structure (see `structure`), own_rank, neighbour_similarity (of docids), vector_similarity,
        held_out, examples; None for a part that does not apply.
    """
    drawn = {"sample": sample, "seed": seed}
    similarities = {
        "neighbour_similarity": nearest_cosine(docid_vectors(docids, positions=positions), **drawn),
        "vector_similarity": None if vectors is None else nearest_cosine(vectors, **drawn),
    }
    return {
        "assignment": dict(assignment),
        "structure": structure(docids),
        "own_rank": None if index is None else rank_summary(own_rank(index, doc_ids, docid_texts, **drawn)),
        **{name: None if cosines is None else similarity_summary(cosines) for name, cosines in similarities.items()},
        "held_out": None if held_out is None else dict(held_out),
        "examples": examples(doc_ids, documents, docid_texts, count=10, seed=seed),
    }


def quality_table(schemes: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the table that compares schemes (name -> what `docid_quality` returns), one row per scheme."""
    rows = {name: _row(quality) for name, quality in schemes.items()}
    return format_table(rows, list(_row({})), heading="scheme")


def _row(quality: Mapping[str, Any]) -> dict[str, Cell]:
    parts = ("assignment", "own_rank", "neighbour_similarity", "vector_similarity", "held_out")
    assignment, own, near, alike, held_out = (quality.get(part) or {} for part in parts)
    unique = (quality.get("structure") or {}).get("unique_by_depth")
    return {
        "documents": assignment.get("documents"),
        "unique": assignment.get("unique_share_before"),
        "later": assignment.get("needed_later_candidate"),
        "sample": assignment.get("needed_another_sample"),
        "suffix": assignment.get("needed_suffix"),
        "length": assignment.get("length_mean"),
        "p95": assignment.get("length_p95"),
        **{f"at {t}": unique and unique[min(t, len(unique) - 1)] for t in (1, 2, 3)},
        "rank 1": own.get("rank_1_share"),
        "MRR": own.get("mrr"),
        "nearest": near.get("mean"),
        "alike": alike.get("mean"),
        "nll": held_out.get("nll_per_token"),
    }


def own_rank(
    index: BM25, doc_ids: Sequence[str], docid_texts: Sequence[str], *, sample: int, seed: int
) -> Int[np.ndarray, " S"]:
    """Where BM25 ranks each sampled document when its own docid is the query; 1 is best, 0 not within `DEPTH`.

    Equal scores rank in document order. Building `index` once serves all schemes.
    """
    rows = _sampled(len(docid_texts), sample, seed)
    found = index.search([docid_texts[row] for row in rows], DEPTH)
    return np.array([_place(doc_ids[row], hits) for row, hits in zip(rows, found, strict=True)])


def _place(doc_id: str, hits: Sequence[Hit]) -> int:
    return next((rank for rank, hit in enumerate(hits, start=1) if hit.doc_id == doc_id), 0)


def rank_summary(ranks: Int[np.ndarray, " S"]) -> dict[str, Any]:
    """Shares of the sample; `mrr` is the mean of 1/rank, 0 if not found; `histogram` counts ranks 1 to depth."""
    histogram = np.bincount(ranks, minlength=DEPTH + 1)[1:]
    return {
        "sample": len(ranks),
        "depth": DEPTH,
        "rank_1_share": float(histogram[0] / len(ranks)),
        "top_10_share": float(histogram[:10].sum() / len(ranks)),
        "mrr": float((histogram / np.arange(1, DEPTH + 1)).sum() / len(ranks)),
        "not_found_share": float(np.mean(ranks == 0)),
        "histogram": histogram.tolist(),
    }


def docid_vectors(docids: Int[np.ndarray, "N T"], *, positions: bool) -> "csr_array":
    """The docids' tf-idf vectors over their tokens, [N, F] of length 1: tf (1 + ln((1 + N) / (1 + df))).

    With `positions`, a token at another position is another feature. Takes 8 bytes per token of all docids, and twice
    that while building.
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfTransformer

    used = docids != 0
    columns = docids[used].astype(np.int32)
    if positions:
        places = np.arange(docids.shape[1], dtype=np.int32)
        columns = columns * docids.shape[1] + np.broadcast_to(places, docids.shape)[used]
    ends = np.concatenate([[0], used.sum(axis=1).cumsum()])
    shape = (len(docids), int(columns.max()) + 1)
    # 32-bit ends keep the columns in 32 bits; they suffice for 2 billion tokens.
    counts = csr_array((np.ones(len(columns), np.float32), columns, ends.astype(np.int32)), shape)
    counts.sum_duplicates()
    return TfidfTransformer().fit(counts).transform(counts, copy=False)


def nearest_cosine(
    vectors: "Float[np.ndarray, 'N F'] | csr_array", *, sample: int, seed: int
) -> Float[np.ndarray, " S"]:
    """The largest cosine of each sampled document's vector with any other document's, and at least 0.

    Besides `vectors`, this takes at most 16 bytes * `_BLOCK` per sampled document (130 MB for 1,000), for any N.
    """
    from scipy.sparse import issparse
    from sklearn.preprocessing import normalize

    rows = _sampled(vectors.shape[0], sample, seed)
    drawn = normalize(vectors[rows])
    best = np.zeros(len(rows))
    for start in range(0, vectors.shape[0], _BLOCK):
        cosines = drawn @ normalize(vectors[start : start + _BLOCK]).T
        here = np.flatnonzero((rows >= start) & (rows < start + _BLOCK))
        cosines[here, rows[here] - start] = -1  # itself
        highest = cosines.max(axis=1)
        best = np.maximum(best, highest.toarray().ravel() if issparse(highest) else highest)
    return np.minimum(best, 1)  # rounding


def similarity_summary(cosines: Float[np.ndarray, " S"]) -> dict[str, float]:
    """Mean, median, 95th percentile, and the share of the sample with a neighbour that is `NEARLY_THE_SAME`."""
    p50, p95 = np.percentile(cosines, [50, 95])
    return {
        "sample": len(cosines),
        "mean": float(cosines.mean()),
        "p50": float(p50),
        "p95": float(p95),
        "nearly_same_share": float(np.mean(cosines > NEARLY_THE_SAME)),
    }


def examples(
    doc_ids: Sequence[str], documents: Sequence[str], docid_texts: Sequence[str], *, count: int, seed: int
) -> list[dict[str, str]]:
    """Some documents, their first 100 characters, and their docids, in document order."""
    rows = _sampled(len(doc_ids), count, seed)
    starts = [textwrap.shorten(documents[row][:1000], 100, placeholder=" ...") for row in rows]
    return [
        {"doc_id": doc_ids[row], "document": start, "docid": docid_texts[row]}
        for row, start in zip(rows, starts, strict=True)
    ]


def _sampled(documents: int, sample: int, seed: int) -> Int[np.ndarray, " S"]:
    return np.sort(np.random.default_rng(seed).choice(documents, min(sample, documents), replace=False))
