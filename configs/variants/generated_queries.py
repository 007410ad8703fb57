"""With five more pseudo-queries per document, which a plain query generator writes (as DSI-QG does).

gr2 run configs/robust04.py configs/variants/generated_queries.py
Hardware: that of the config. Time: that of the config and of the query generator. Not run here, and not in the paper.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import fine_tuning, renamed, with_batch


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    experiment = fine_tuning(experiment, "which has no augmentation")
    return renamed(with_batch(experiment, generated=5), "generated-queries")
