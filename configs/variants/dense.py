"""With a dense row: a bi-encoder of the same T5's encoder, start, batches and steps, for time and memory beside GR2S.

gr2 run configs/robust04.py configs/variants/dense.py
Hardware and time: those of the config, for another row. Not run here; the paper's ANCE takes 16.7 times GR2's memory
and 1.59 times its time on Gov 500K.
"""

import dataclasses

from gr2_jax.experiment import Experiment
from gr2_jax.pipeline.rows import DenseRow


def overlay(experiment: Experiment) -> Experiment:
    return dataclasses.replace(experiment, rows=(*experiment.section("rows"), DenseRow(document_length=512)))
