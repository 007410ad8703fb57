"""A T5-3b (3 billion parameters) as the retrieval model; the docid model stays a T5-base.

Layers are computed again in the backward pass.
gr2 convert google-t5/t5-3b t5-3b
gr2 run configs/robust04.py configs/sizes/3b.py
Sizes come before GR2P and pods. GR2P at this size: `gr2 train configs/wikipedia.py configs/sizes/3b.py` first.
Hardware: 8 GPUs with 80 GB or a pod, by the size of parameters and optimiser state. Not run here, and not in the paper:
no score is known.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import sized


def overlay(experiment: Settings) -> Settings:
    return sized(experiment, "3b")
