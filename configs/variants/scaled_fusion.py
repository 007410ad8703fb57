"""Docids of a fusion model in SpaceFusion's units, ranked by how much likelier their document makes them.

gr2 run configs/robust04.py configs/variants/scaled_fusion.py
Likelihoods per token, tau .1 in Eq. 1, a cap on Eq. 2, beta 1, noise in training, |r| as a share of a representation's
length, and mu .25: what served collections without titles best here (tests/benchmarks/RESULTS.md).
Hardware and time: those of the config. Not run here at the paper's size.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import with_fusion
from gr2_jax.recipes.scratch import FUSION_OBJECTIVE


def overlay(experiment: Experiment) -> Experiment:
    changes = {"objective": FUSION_OBJECTIVE, "radius": 0.2, "radii": (), "relative": True, "mu": 0.25}
    return with_fusion(experiment, **changes).renamed("scaled-fusion")
