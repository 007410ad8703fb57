"""Supervised contrastive learning in the place of MGCC: every positive grade alike.

gr2 run configs/robust04.py configs/ablations/contrastive.py
Hardware and time: those of the config, for another row (two with self-negatives). Not run here at the paper's size; not
among the paper's variants.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import with_objective


def overlay(experiment: Settings) -> Settings:
    return with_objective(experiment, "contrastive", graded="contrastive")
