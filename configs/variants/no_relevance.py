"""Docids of a fusion model without Eq. 1 (alpha = 0), which pulls a document and its query together.

gr2 run configs/robust04.py configs/variants/no_relevance.py
Hardware and time: those of the config. Not run here.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import with_fusion_objective


def overlay(experiment: Experiment) -> Experiment:
    return with_fusion_objective(experiment, alpha=0.0).renamed("no-relevance")
