"""Eq. 10 alone, without the rows that are fine-tuned against self-negatives.

gr2 run configs/robust04.py configs/variants/no_self_negatives.py
Rows that remain are the config's own, in its workdir. Hardware: that of the config. Time: somewhat less. Not run here.
"""

import dataclasses

from gr2_jax.experiment import Experiment


def overlay(experiment: Experiment) -> Experiment:
    kept = [row for row in experiment.section("rows") if getattr(row, "self_negatives", None) is None]
    return dataclasses.replace(experiment, rows=tuple(kept))
