"""f_id from decoder states that attend to the query: the paper's letter, with which MGCC need not read the docid.

The leak figure `mgcc_permuted` in metrics.jsonl stays near `mgcc`, and the row ranks by likelihood alone.

gr2 run configs/robust04.py configs/ablations/query_reader.py
Hardware and time: those of the config, for another row (two with self-negatives). Not run here at the paper's size; on
the quickstart see tests/benchmarks/RESULTS.md.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import with_objective


def overlay(experiment: Settings) -> Settings:
    return with_objective(experiment, "query-reader", docid_reader="query")
