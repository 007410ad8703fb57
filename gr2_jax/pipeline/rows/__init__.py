"""The kinds of rows of a table. A new one is a class here, listed in `ROWS`."""

from gr2_jax.experiment.row import Row
from gr2_jax.pipeline.rows.baselines import BASELINES, BM25Row, LSARow, QueryLikelihoodRow
from gr2_jax.pipeline.rows.dense import DenseRow
from gr2_jax.pipeline.rows.encoder import EncoderRow
from gr2_jax.pipeline.rows.interpolated import InterpolatedRow
from gr2_jax.pipeline.rows.reranked import RerankedRow
from gr2_jax.pipeline.rows.system import SelfNegatives, System
from gr2_jax.pipeline.rows.views import ViewsRow

ROWS: tuple[type[Row], ...] = (
    System,
    ViewsRow,
    InterpolatedRow,
    RerankedRow,
    DenseRow,
    EncoderRow,
    BM25Row,
    QueryLikelihoodRow,
    LSARow,
)

__all__ = [
    "ROWS",
    "System",
    "SelfNegatives",
    "ViewsRow",
    "InterpolatedRow",
    "RerankedRow",
    "DenseRow",
    "EncoderRow",
    "BM25Row",
    "QueryLikelihoodRow",
    "LSARow",
    "BASELINES",
]
