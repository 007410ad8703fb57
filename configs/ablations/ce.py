"""Cross-entropy with grades as labels in the place of MGCC: the paper's variant CE.

gr2 run configs/robust04.py configs/ablations/ce.py
Hardware and time: those of the config, for another row (two with self-negatives). Not run here at the paper's size; the
paper's bars are in its figures of ablations.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import with_objective


def overlay(experiment: Settings) -> Settings:
    return with_objective(experiment, "CE", graded="cross_entropy")
