"""A T5-large (770 million parameters) as the retrieval model; the docid model stays a T5-base.

gr2 convert google-t5/t5-large t5-large
gr2 run configs/robust04.py configs/sizes/large.py
Sizes come before GR2P and pods. GR2P at this size: `gr2 train configs/wikipedia.py configs/sizes/large.py` first.
Hardware: one GPU with 80 GB, by the size of parameters and optimiser state. Not run here, and not in the paper: no
score is known.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import sized


def overlay(experiment: Settings) -> Settings:
    return sized(experiment, "large")
