"""Eq. 10 alone, without the rows that are fine-tuned against self-negatives.

gr2 run configs/robust04.py configs/variants/no_self_negatives.py
Rows that remain are the config's own, in its workdir. Hardware: that of the config. Time: somewhat less. Not run here.
"""

import dataclasses

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import fine_tuning


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    retrieval = fine_tuning(experiment, "which has no self-negatives").retrieval
    systems = tuple(system for system in retrieval.systems if system.self_negatives_of is None)
    return dataclasses.replace(experiment, retrieval=dataclasses.replace(retrieval, systems=systems))
