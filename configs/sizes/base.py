"""A T5-base (220 million parameters) as the retrieval model; the docid model stays a T5-base.

The size that the paper's configs have: changes nothing in them.
gr2 convert google-t5/t5-base t5-base
gr2 run configs/robust04.py configs/sizes/base.py
Sizes come before GR2P and pods. GR2P at this size: `gr2 train configs/wikipedia.py configs/sizes/base.py` first.
Hardware: one GPU with 40 GB, by the size of parameters and optimiser state. Not run here, and not in the paper but as
its own size: no score is known.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import sized


def overlay(experiment: Settings) -> Settings:
    return sized(experiment, "base")
