"""NQ 320K: Natural Questions, a Wikipedia article as each question's answer; docids are the articles' titles.

gr2 convert google-t5/t5-base t5-base
gr2 run configs/nq320k.py
gr2 run configs/nq320k.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
gr2 run configs/nq320k.py configs/ablations/*.py       every ablation as a row of the table
No package holds this set: data/nq320k must be a folder of documents.jsonl (title and text of the articles, without
repeats), queries.tsv and qrels.txt, made from the questions' training and development files, both sets of questions
together. A split by hash holds out as many test queries as the official development set has, 7,830; that set itself
cannot be asked for. With one grade MGCC is the supervised contrastive loss, and the ablations no_lambda and no_max are
the method itself. The ablation no_fusion needs doc2query-t5-base as well (`gr2 convert
macavaney/doc2query-t5-base-msmarco doc2query-t5-base`).
Hardware: 8 GPUs with 80 GB (the paper's were A100s; configs/pods/a100_8.py), or a pod of configs/pods/; one accelerator
with 80 GB should be enough for the base size. Not run here, so no time of ours and no score. The paper's, MRR@20 /
Hits@10: GR2S .4299 / .8713, GR2P .4418 / .8825, BM25 .1875 / .6016.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.pipeline.schemes import Titles
from gr2_jax.recipes.paper import paper_experiment

experiment = paper_experiment(
    "nq320k",
    CorpusConfig(
        source="data/nq320k",
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=1_000,
        test_queries=7_830,
    ),
    docids=Titles(),
    positives=1,
)
