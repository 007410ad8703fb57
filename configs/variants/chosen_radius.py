"""|r| of the fusion docids chosen by validation among five, instead of the paper's.

gr2 run configs/robust04.py configs/variants/chosen_radius.py
Hardware and time: those of the config. Not run here.
"""

import dataclasses

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import fine_tuning, renamed


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    fusion = fine_tuning(experiment, "which writes titles").fusion
    fusion = dataclasses.replace(fusion, radii=(0.5, 1.0, 1.5, 2.0, 4.0))
    return renamed(dataclasses.replace(experiment, fusion=fusion), "chosen-radius")
