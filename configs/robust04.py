"""Robust04: 250 queries of the TREC 2004 Robust track, TREC disks 4 and 5 without CR, in 5 folds.

gr2 convert google-t5/t5-base t5-base
gr2 convert macavaney/doc2query-t5-base-msmarco doc2query-t5-base
gr2 run configs/robust04.py
gr2 run configs/robust04.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
gr2 run configs/robust04.py configs/ablations/*.py       every ablation as a row of the table
The disks need a licence of NIST: ir_datasets, which downloads the queries and judgements, says where its files must
lie. The paper's half a million documents are taken to be the whole collection, which has 528,155 (--corpus.documents
500000 for all judged ones and a sample). Queries without a relevant document are dropped.
Hardware: 8 GPUs with 80 GB (the paper's were A100s; configs/pods/a100_8.py), or a pod of configs/pods/; one accelerator
with 80 GB should be enough for the base size. Not run here, so no time of ours and no score. The paper's, nDCG@5 /
nDCG@20 / P@20 / ERR@20: GR2S .4197 / .3983 / .3471 / .1097, GR2P .4301 / .4205 / .3568 / .1196; BM25's nDCG@20 / P@20 /
ERR@20: .4193 / .3657 / .1140.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.recipes.paper import fusion, paper_experiment

experiment = paper_experiment(
    "robust04",
    CorpusConfig(
        source="irds:disks45/nocr/trec-robust-2004",
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=25,
        folds=5,
    ),
    docids=fusion(radius=2.0),
)
