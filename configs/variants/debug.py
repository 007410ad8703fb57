"""The same rows, docids and objectives as a small run: a tiny model from scratch, few steps, numpy's documentation.

gr2 run configs/robust04.py configs/variants/debug.py
Comes last. Pre-training keeps its sources.
Hardware: two CPU cores, under 6 GB. Time: 2 to 3 minutes on two cores busy with other work too, and half a minute or so
for each further row. Shows that a config's stages work, not quality.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import debug


def overlay(experiment: Settings) -> Settings:
    return debug(experiment)
