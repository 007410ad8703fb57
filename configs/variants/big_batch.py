"""1,024 queries and 1,024 documents in a batch, in four parts that the loss sees together (GradCache).

gr2 run configs/robust04.py configs/variants/big_batch.py
For pods: MGCC compares a query with the docids of 1,024. Another run than the config's, whose learning rate it keeps.
Hardware: a pod. Not run here, and not in the paper.
"""

from gr2_jax.experiment import Settings
from gr2_jax.recipes.overlays import with_batch


def overlay(experiment: Settings) -> Settings:
    return with_batch(experiment, queries=1024, indexing_texts=1024, microbatches=4).renamed("big-batch")
