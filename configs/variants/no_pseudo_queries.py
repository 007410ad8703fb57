"""Without augmentation: the indexing likelihood reads spans of the documents' text alone.

gr2 run configs/robust04.py configs/variants/no_pseudo_queries.py
The docid model keeps its own pseudo-queries. Hardware and time: those of the config. Not run here.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import with_batch


def overlay(experiment: Experiment) -> Experiment:
    experiment.section("augmentation")
    return with_batch(experiment, pseudo_share=0.0).renamed("no-pseudo-queries")
