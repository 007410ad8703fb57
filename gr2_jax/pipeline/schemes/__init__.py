"""The docid schemes of the paper, its ablations and its baselines. A new one is a class here, listed in `SCHEMES`."""

from gr2_jax.experiment.scheme import Scheme
from gr2_jax.pipeline.schemes.auto import Auto
from gr2_jax.pipeline.schemes.codes import HierarchicalCodes, ProductCodes, RandomNumbers, ResidualCodes
from gr2_jax.pipeline.schemes.fusion_queries import FusionQueries
from gr2_jax.pipeline.schemes.keywords import Keywords
from gr2_jax.pipeline.schemes.plain_queries import PlainQueries
from gr2_jax.pipeline.schemes.row_codes import RowCodes
from gr2_jax.pipeline.schemes.text import Titles, Urls

SCHEMES: tuple[type[Scheme], ...] = (
    Auto,
    Titles,
    Keywords,
    Urls,
    RandomNumbers,
    HierarchicalCodes,
    ProductCodes,
    ResidualCodes,
    RowCodes,
    PlainQueries,
    FusionQueries,
)

__all__ = [
    "SCHEMES",
    "Auto",
    "Titles",
    "Keywords",
    "Urls",
    "RandomNumbers",
    "HierarchicalCodes",
    "ProductCodes",
    "ResidualCodes",
    "RowCodes",
    "PlainQueries",
    "FusionQueries",
]
