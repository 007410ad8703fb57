"""Docids that plain query generation writes, without fusion: the paper's variant -RF.

gr2 run configs/robust04.py configs/ablations/no_fusion.py
Hardware and time: those of the config, for another docid model and another row (two with self-negatives). Not run here
at the paper's size; the paper's bars are in its figures of ablations.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import query_generator, with_docids


def overlay(experiment: Experiment) -> Experiment:
    return with_docids(experiment, "no-fusion", query_generator(experiment))
