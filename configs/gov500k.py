"""Gov 500K: 150 queries of TREC Terabyte 2004 to 2006, half a million pages of .GOV2, in 5 folds.

gr2 convert google-t5/t5-base t5-base
gr2 convert macavaney/doc2query-t5-base-msmarco doc2query-t5-base
gr2 run configs/gov500k.py
gr2 run configs/gov500k.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
gr2 run configs/gov500k.py configs/ablations/*.py       every ablation as a row of the table
.GOV2 needs a licence of the University of Glasgow: ir_datasets, which downloads the queries and judgements, says where
its files must lie. All judged documents are kept, with a sample of the others; queries without a relevant document are
dropped. The judgements have 2 positive grades; the paper counts 3.
Hardware: 8 GPUs with 80 GB (the paper's were A100s; configs/pods/a100_8.py), or a pod of configs/pods/; one accelerator
with 80 GB should be enough for the base size. Not run here, so no time of ours and no score. The paper's, nDCG@5 /
nDCG@20 / P@20 / ERR@20: GR2S .4869 / .4784 / .5364 / .2125, GR2P .5095 / .4912 / .5506 / .2167, BM25 .4984 / .4819 /
.5374 / .1848.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.recipes.paper import fusion, paper_experiment

experiment = paper_experiment(
    "gov500k",
    CorpusConfig(
        source="irds:gov2/trec-tb-2004+gov2/trec-tb-2005+gov2/trec-tb-2006",
        documents=500_000,
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=15,
        folds=5,
    ),
    docids=fusion(radius=2.0),
)
