"""Docids of a fusion model without Eq. 1 (alpha = 0), which pulls a document and its query together.

gr2 run configs/robust04.py configs/variants/no_relevance.py
Hardware and time: those of the config. Not run here.
"""

import dataclasses

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import fine_tuning, renamed


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    fusion = fine_tuning(experiment, "which writes titles").fusion
    fusion = dataclasses.replace(fusion, objective=dataclasses.replace(fusion.objective, alpha=0.0))
    return renamed(dataclasses.replace(experiment, fusion=fusion), "no-relevance")
