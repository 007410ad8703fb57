"""Everything that answers a query: generative retrievers, combinations of them, dense vectors, BM25 and LSA."""

from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import Hit, Searcher, SearchOptions

__all__ = ["Retriever", "Hit", "Searcher", "SearchOptions"]
