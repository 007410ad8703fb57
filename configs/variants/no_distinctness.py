"""Docids of a fusion model without Eq. 2 (beta = 0), which keeps documents apart.

gr2 run configs/robust04.py configs/variants/no_distinctness.py
Hardware and time: those of the config. Not run here.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import with_fusion_objective


def overlay(experiment: Experiment) -> Experiment:
    return with_fusion_objective(experiment, beta=0.0).renamed("no-distinctness")
