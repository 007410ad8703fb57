"""MGCC by the letter of the paper: penalty 1/l² with l the grade, the literal constraint, dot products.

The default follows the paper's intent, see the table of options in gr2_jax/losses/README.md.

gr2 run configs/robust04.py configs/ablations/literal.py
Hardware and time: those of the config, for another row (two with self-negatives). Not run here at the paper's size; not
among the paper's variants.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import with_objective


def overlay(experiment: Settings) -> Settings:
    return with_objective(experiment, "literal", penalty="grade", constraint="literal", similarity="dot")
