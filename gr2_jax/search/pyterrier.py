"""A trained model as a step of a PyTerrier pipeline: `transformer(retriever) % 20 >> reranker`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    import pyterrier

    from gr2_jax.search.retriever import Retriever


def transformer(retriever: "Retriever", k: int = 20) -> "pyterrier.Transformer":
    """Returns a retriever in PyTerrier's sense: topics in, the best `k` documents of each out. See `retrieve`."""
    import pyterrier

    return pyterrier.apply.generic(lambda topics: retrieve(retriever, topics, k))


def retrieve(retriever: "Retriever", topics: "pandas.DataFrame", k: int = 20) -> "pandas.DataFrame":
    """Returns a row per query and document: the columns of `topics`, then docno, score and rank, from 0, best first.

    Args:
        retriever: Anything that has `Retriever.search`.
        topics: A row per query, with columns qid and query at least.
        k: Documents per query at most.
    """
    found = retriever.search(list(topics["query"]), k)
    places = [place for place, hits in enumerate(found) for _ in hits]
    hits = [(hit.doc_id, hit.score, rank) for hits in found for rank, hit in enumerate(hits)]
    docno, score, rank = zip(*hits, strict=True) if hits else ((), (), ())
    rows = topics.iloc[places].reset_index(drop=True)
    return rows.assign(docno=list(docno), score=list(score), rank=list(rank))
