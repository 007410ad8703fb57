"""A T5-11b (11 billion parameters) as the retrieval model; the docid model stays a T5-base.

Layers are computed again in the backward pass; Adafactor at T5's rate, 1e-3, in the place of Adam.
gr2 convert google-t5/t5-11b t5-11b
gr2 run configs/robust04.py configs/sizes/11b.py
Sizes come before GR2P and pods. GR2P at this size: `gr2 train configs/wikipedia.py configs/sizes/11b.py` first.
Hardware: 8 GPUs with 80 GB or a pod, by the size of parameters and optimiser state. Not run here, and not in the paper:
no score is known.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import sized


def overlay(experiment: Settings) -> Settings:
    return sized(experiment, "11b")
