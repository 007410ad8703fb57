"""The docid schemes of the paper, its ablations and its baselines. Adding one is a class and a line in `SCHEMES`."""

from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS, Scheme, Sources
from gr2_jax.pipeline.schemes.codes import HierarchicalCodes, ProductCodes, RandomNumbers, ResidualCodes
from gr2_jax.pipeline.schemes.fusion_queries import FusionQueries
from gr2_jax.pipeline.schemes.plain_queries import PlainQueries
from gr2_jax.pipeline.schemes.text import Titles, Urls

SCHEMES: dict[str, type[Scheme]] = {
    "title": Titles,
    "url": Urls,
    "number": RandomNumbers,
    "hierarchical": HierarchicalCodes,
    "pq": ProductCodes,
    "rq": ResidualCodes,
    "qg": PlainQueries,
    "fusion": FusionQueries,
}

__all__ = ["SCHEMES", "SUFFIX_DIGITS", "Scheme", "Sources"]
