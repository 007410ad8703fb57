"""Everything that GR2 stands beside, on the quickstart's collection: other docids, other losses, a dense bi-encoder.

GR2S, MLE     the method, and its likelihoods alone, on titles
no-lambda .. LR    GR2S with another graded loss: equal penalties, no constraint, cross-entropy (CE), LambdaRank (LR)
DSI-Num .. Ultron-PQ    likelihoods alone on the docids of DSI (random numbers; places in hierarchical k-means) and of
              Ultron (product-quantisation codes)
Dense         a bi-encoder of the same T5, start, batches and steps; without encoder layers, as here, a bag of words
BM25, LSA     nothing is trained

gr2 run configs/baselines.py
Hardware: two CPU cores. Memory, time and scores of every row: tests/benchmarks/RESULTS.md.
"""

import dataclasses

from gr2_jax.config import DenseRow, System
from gr2_jax.quickstart import DEFAULT

_LIKELIHOODS = {"gamma": 0.0}

experiment = dataclasses.replace(
    DEFAULT,
    name="baselines",
    workdir="runs/baselines",
    docids=dataclasses.replace(DEFAULT.docids, schemes=("title", "number", "hierarchical", "pq")),
    retrieval=dataclasses.replace(
        DEFAULT.retrieval,
        systems=(
            System("GR2S", "title"),
            System("MLE", "title", _LIKELIHOODS),
            System("no-lambda", "title", {"penalty": "equal"}),
            System("no-max", "title", {"constraint": "off"}),
            System("CE", "title", {"graded": "cross_entropy"}),
            System("LR", "title", {"graded": "lambdarank"}),
            System("DSI-Num", "number", _LIKELIHOODS),
            System("DSI-Sem", "hierarchical", _LIKELIHOODS),
            System("Ultron-PQ", "pq", _LIKELIHOODS),
        ),
        dense=(DenseRow(),),
    ),
)
