"""Docids that plain query generation writes, without fusion: the paper's variant -RF.

gr2 run configs/robust04.py configs/ablations/no_fusion.py
Hardware and time: those of the config, for another docid model and another row (two with self-negatives). Not run here
at the paper's size; the paper's bars are in its figures of ablations.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import with_docids


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    return with_docids(experiment, "no-fusion", "qg")
