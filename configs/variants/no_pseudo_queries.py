"""Without augmentation: the indexing likelihood reads spans of the documents' text alone.

gr2 run configs/robust04.py configs/variants/no_pseudo_queries.py
The docid model keeps its own pseudo-queries. Hardware and time: those of the config. Not run here.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import fine_tuning, renamed, with_batch


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    experiment = fine_tuning(experiment, "which has no augmentation")
    return renamed(with_batch(experiment, pseudo_share=0.0), "no-pseudo-queries")
