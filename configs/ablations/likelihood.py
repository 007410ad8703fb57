"""The likelihood of docids, weighted by their grades, in the place of MGCC.

gr2 run configs/robust04.py configs/ablations/likelihood.py
Hardware and time: those of the config, for another row (two with self-negatives). Not run here at the paper's size; not
among the paper's variants.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import with_objective


def overlay(experiment: Settings) -> Settings:
    return with_objective(experiment, "likelihood", graded="likelihood")
