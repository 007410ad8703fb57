"""1,024 queries and 1,024 documents in a batch, in four parts that the loss sees together (GradCache).

gr2 run configs/robust04.py configs/variants/big_batch.py
For pods: MGCC compares a query with the docids of 1,024. Another run than the config's, whose learning rate it keeps.
Hardware: a pod. Not run here, and not in the paper.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import renamed, with_batch


def overlay(experiment: Experiment | Pretraining) -> Experiment | Pretraining:
    return renamed(with_batch(experiment, queries=1024, documents=1024, microbatches=4), "big-batch")
