"""With five more pseudo-queries per document, which a plain query generator writes (as DSI-QG does).

gr2 run configs/robust04.py configs/variants/generated_queries.py
Hardware: that of the config. Time: that of the config and of the query generator. Not run here, and not in the paper.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import with_generated_queries


def overlay(experiment: Experiment) -> Experiment:
    return with_generated_queries(experiment, 5).renamed("generated-queries")
