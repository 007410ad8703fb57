"""Everything that GR2 is compared with, on the quickstart's collection: other docids, other losses, a dense bi-encoder.

GR2S, MLE     the method, and its likelihoods alone, on titles
MLE-time      MLE for more steps, about as long as GR2S trains
MLE-binary    MLE without grades: relevant documents are drawn uniformly and averaged alike
lambda .. LR  GR2S with another graded loss: the paper's penalty 1/l^2, no constraint, supervised contrastive (SupCon),
              cross-entropy (CE), LambdaRank (LR)
listwise, LTRGR    MLE, then fine-tuned on its own negatives by a graded loss on likelihoods: list-wise, or LTRGR's
              margin
RIPOR         the same on residual codes, by the margin
DSI-Num .. Ultron-PQ    likelihoods alone on the docids of DSI (random numbers; places in hierarchical k-means) and of
              Ultron (product-quantisation codes)
Dense         a bi-encoder of the same T5, start, batches and steps; without encoder layers, as here, a bag of words
BM25 .. LSA   without training; QL is query likelihood with Dirichlet smoothing
GR2S+BM25     the mean of both rows' scores, weighted on the validation queries

With configs/variants/generated_queries.py, DSI-Num is DSI-QG, DSI-Sem is NCI without its own decoder, and BM25 can read
the generated queries too (`BM25Row("BM25+T5", generated_queries=True)`, docT5query).

gr2 run configs/baselines.py
Hardware: two CPU cores. Memory, time and scores of the rows that were run: tests/benchmarks/RESULTS.md.
"""

import dataclasses

from gr2_jax.experiment import BatchConfig, DocidConfig, Experiment, RetrievalObjective
from gr2_jax.pipeline.rows import BASELINES, DenseRow, InterpolatedRow, QueryLikelihoodRow, SelfNegatives, System
from gr2_jax.pipeline.schemes import HierarchicalCodes, ProductCodes, RandomNumbers, ResidualCodes, Titles
from gr2_jax.recipes.scratch import EVALUATION, LIKELIHOODS, OBJECTIVE, retrieval


def _with(**changes) -> RetrievalObjective:
    return dataclasses.replace(OBJECTIVE, **changes)


experiment = Experiment(
    name="baselines",
    docids=DocidConfig(
        schemes=(Titles(), RandomNumbers(), HierarchicalCodes(), ProductCodes(), ResidualCodes(levels=3, codes=64)),
        max_length=6,
    ),
    retrieval=retrieval(steps=800, batch=BatchConfig(pseudo_share=0.6)),
    rows=(
        System("GR2S", "title"),
        System("MLE", "title", LIKELIHOODS),
        System("MLE-time", "title", LIKELIHOODS, steps_factor=1.35),
        System("MLE-binary", "title", LIKELIHOODS, binary=True),
        System("lambda", "title", _with(penalty="rank")),
        System("no-max", "title", _with(constraint="off")),
        System("SupCon", "title", _with(graded="contrastive")),
        System("CE", "title", _with(graded="cross_entropy")),
        System("LR", "title", _with(graded="lambdarank")),
        System("listwise", "title", _with(graded="listwise"), self_negatives=SelfNegatives("MLE", weight=0.0)),
        System("LTRGR", "title", _with(graded="margin"), self_negatives=SelfNegatives("MLE", weight=0.0)),
        System("DSI-Num", "number", LIKELIHOODS),
        System("DSI-Sem", "hierarchical", LIKELIHOODS),
        System("Ultron-PQ", "pq", LIKELIHOODS),
        System("RQ", "rq", LIKELIHOODS),
        System("RIPOR", "rq", _with(graded="margin"), self_negatives=SelfNegatives("RQ", weight=0.0)),
        DenseRow(),
        *BASELINES,
        QueryLikelihoodRow(),
        InterpolatedRow("GR2S+BM25", ("GR2S", "BM25")),
    ),
    evaluation=EVALUATION,
)
