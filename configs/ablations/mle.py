"""Likelihoods alone, without MGCC: the paper's variant MLE.

gr2 run configs/robust04.py configs/ablations/mle.py
Hardware and time: those of the config, for another row (two with self-negatives). Not run here at the paper's size; the
paper's bars are in its figures of ablations.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import with_objective


def overlay(experiment: Experiment | Pretraining) -> Experiment | Pretraining:
    return with_objective(experiment, "MLE", {"gamma": 0.0})
