"""Choosing |r| by validation: how far from a document's representation its docid is written.

Near it the docid says what the document says, and so do the docids of the documents beside it; far from it docids
differ from each other and from their documents. The trade-off is the harmonic mean of
  relevance      the mean reciprocal rank, among documents, of the document when BM25 is asked its docid
  distinctness   the share of documents whose docid none of the others has
over the validation queries' best documents, with others drawn by seed up to `_DOCUMENTS`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.corpus import Collection, Split
from gr2_jax.evaluation.bm25 import BM25
from gr2_jax.progress import say
from gr2_jax.workdir import write_json

_DOCUMENTS = 500
_DEPTH = 100


def choose_radius(
    radii: Sequence[float],
    write: Callable[[Int[np.ndarray, "n"], float], list[str]],
    corpus: tuple[Collection, Split],
    *,
    seed: int,
    record: Path,
) -> float:
    """The radius with the best trade-off (the smallest of equals); `write` gives the docids of documents at a radius.

    Every radius's figures are left in the JSON file `record`.
    """
    rows = _validation_rows(*corpus, seed)
    documents = [corpus[0].documents[row] for row in rows]
    index = BM25([d.doc_id for d in documents], [d.contents for d in documents])
    figures = {}
    for radius in sorted(radii):
        docids = write(rows, radius)
        relevance = _reciprocal_rank(index, {d.doc_id: docid for d, docid in zip(documents, docids, strict=True)})
        distinctness = sum(count == 1 for count in Counter(docids).values()) / len(docids)
        figures[radius] = {"relevance": relevance, "distinctness": distinctness, "mean": _mean(relevance, distinctness)}
    best = max(figures, key=lambda radius: figures[radius]["mean"])
    write_json(record, {"radius": best, "documents": len(rows), "figures": figures})
    say(
        f"  |r| {best:g}: BM25 ranks a document for its docid at {figures[best]['relevance']:.3f} (MRR), "
        f"{figures[best]['distinctness']:.1%} of the docids differ, over {len(rows)} documents"
    )
    return best


def _mean(relevance: float, distinctness: float) -> float:
    return 2 * relevance * distinctness / max(relevance + distinctness, 1e-9)


def _reciprocal_rank(index: BM25, docids: dict[str, str]) -> float:
    found = index.search(docids, k=_DEPTH)
    ranks = ([doc_id for doc_id, _ in found[own]].index(own) + 1 for own in docids if own in dict(found[own]))
    return sum(1 / rank for rank in ranks) / len(docids)


def _validation_rows(collection: Collection, split: Split, seed: int) -> Int[np.ndarray, "n"]:
    row = {document.doc_id: i for i, document in enumerate(collection.documents)}
    best = {row[max(collection.qrels[q].items(), key=lambda judged: judged[1])[0]]: None for q in split.validation}
    others = np.random.default_rng(seed).permutation(len(row))[:_DOCUMENTS]
    return np.array(list(dict.fromkeys([*best, *others.tolist()]))[:_DOCUMENTS], np.int64)
