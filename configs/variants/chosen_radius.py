"""|r| of the fusion docids chosen by validation among five, instead of the paper's.

gr2 run configs/robust04.py configs/variants/chosen_radius.py
Hardware and time: those of the config. Not run here.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import with_fusion


def overlay(experiment: Experiment) -> Experiment:
    return with_fusion(experiment, radii=(0.5, 1.0, 1.5, 2.0, 4.0)).renamed("chosen-radius")
