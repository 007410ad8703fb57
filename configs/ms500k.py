"""MS 500K: MS MARCO documents, 0.37 million queries with one relevant document each, half a million documents.

gr2 convert google-t5/t5-base t5-base
gr2 convert macavaney/doc2query-t5-base-msmarco doc2query-t5-base
gr2 run configs/ms500k.py
gr2 run configs/ms500k.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
gr2 run configs/ms500k.py configs/ablations/*.py       every ablation as a row of the table
ir_datasets downloads the collection, which asks to accept Microsoft's terms. A split by hash holds out as many test
queries as the official development set has, 5,193, of the queries of both sets; that set itself cannot be asked for.
With one grade MGCC is the supervised contrastive loss, and the ablations no_lambda and no_max are the method itself.
Hardware: 8 GPUs with 80 GB (the paper's were A100s; configs/pods/a100_8.py), or a pod of configs/pods/; one accelerator
with 80 GB should be enough for the base size. Not run here, so no time of ours and no score. The paper's, MRR@20 /
Hits@1: GR2S .3714 / .3515, GR2P .3835 / .3821, BM25 .2532 / .2385.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.recipes.paper import fusion, paper_experiment

experiment = paper_experiment(
    "ms500k",
    CorpusConfig(
        source="irds:msmarco-document/train+msmarco-document/dev",
        documents=500_000,
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=1_000,
        test_queries=5_193,
    ),
    docids=fusion(radius=1.5),
    positives=1,
)
