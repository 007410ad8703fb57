"""ClueWeb 500K: 150 queries of TREC Web 2009 to 2011, half a million pages of ClueWeb09-B, in 5 folds.

gr2 convert google-t5/t5-base t5-base
gr2 convert macavaney/doc2query-t5-base-msmarco doc2query-t5-base
gr2 run configs/clueweb500k.py
gr2 run configs/clueweb500k.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
gr2 run configs/clueweb500k.py configs/ablations/*.py       every ablation as a row of the table
ClueWeb09 needs a licence of Carnegie Mellon University: ir_datasets, which downloads the queries and judgements, says
where its files must lie. All judged documents are kept, with a sample of the others; queries without a relevant
document are dropped, and labels below 0 (spam) count as not relevant. The judgements have 3 positive grades; the paper
counts 2.
Hardware: 8 GPUs with 80 GB (the paper's were A100s; configs/pods/a100_8.py), or a pod of configs/pods/; one accelerator
with 80 GB should be enough for the base size. Not run here, so no time of ours and no score. The paper's are in its
tables.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.recipes.paper import fusion, paper_experiment

experiment = paper_experiment(
    "clueweb500k",
    CorpusConfig(
        source="irds:clueweb09/catb/trec-web-2009+clueweb09/catb/trec-web-2010+clueweb09/catb/trec-web-2011",
        documents=500_000,
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=15,
        folds=5,
    ),
    docids=fusion(radius=2.0),
)
