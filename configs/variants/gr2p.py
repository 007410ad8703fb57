"""GR2P: fine-tuning starts from the weights that pre-training on Wikipedia left, with its vocabulary.

gr2 run configs/robust04.py configs/variants/gr2p.py
After `gr2 train configs/wikipedia.py`, with the same overlay of configs/sizes/ before this one where there is one. Rows
named GR2S are named GR2P. Hardware and time: those of the config. Not run here; the paper's scores are in the configs.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import from_pretraining


def overlay(experiment: Experiment) -> Experiment:
    return from_pretraining(experiment)
