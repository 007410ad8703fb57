"""Everything that GR2 is compared with, on the quickstart's collection: other docids, other losses, a dense bi-encoder.

GR2S, MLE     the method, and its likelihoods alone, on titles
no-lambda .. LR    GR2S with another graded loss: equal penalties, no constraint, cross-entropy (CE), LambdaRank (LR)
DSI-Num .. Ultron-PQ    likelihoods alone on the docids of DSI (random numbers; places in hierarchical k-means) and of
              Ultron (product-quantisation codes)
Dense         a bi-encoder of the same T5, start, batches and steps; without encoder layers, as here, a bag of words
BM25, LSA     without training

gr2 run configs/baselines.py
Hardware: two CPU cores. Memory, time and scores of every row: tests/benchmarks/RESULTS.md.
"""

from gr2_jax.experiment import BatchConfig, DocidConfig, Experiment, RetrievalObjective
from gr2_jax.pipeline.rows import BASELINES, DenseRow, System
from gr2_jax.pipeline.schemes import HierarchicalCodes, ProductCodes, RandomNumbers, Titles
from gr2_jax.recipes.scratch import LIKELIHOODS, retrieval

experiment = Experiment(
    name="baselines",
    docids=DocidConfig(schemes=(Titles(), RandomNumbers(), HierarchicalCodes(), ProductCodes()), max_length=6),
    retrieval=retrieval(steps=800, batch=BatchConfig(pseudo_share=0.6)),
    rows=(
        System("GR2S", "title"),
        System("MLE", "title", LIKELIHOODS),
        System("no-lambda", "title", RetrievalObjective(penalty="equal")),
        System("no-max", "title", RetrievalObjective(constraint="off")),
        System("CE", "title", RetrievalObjective(graded="cross_entropy")),
        System("LR", "title", RetrievalObjective(graded="lambdarank")),
        System("DSI-Num", "number", LIKELIHOODS),
        System("DSI-Sem", "hierarchical", LIKELIHOODS),
        System("Ultron-PQ", "pq", LIKELIHOODS),
        DenseRow(),
        *BASELINES,
    ),
)
