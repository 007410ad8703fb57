"""GR2P's pre-training on Wikipedia's graded pairs, from the weights of a T5.

gr2 wikipedia enwiki-*-pages-articles-multistream*.xml.bz2 --output data/wikipedia
gr2 convert google-t5/t5-base t5-base
gr2 train configs/wikipedia.py
Fine-tune with configs/variants/gr2p.py over a config, or with ModelConfig(weights="runs/wikipedia/model/t5") and
VocabularyConfig(extra_ids=100, model="runs/wikipedia/vocabulary/spiece.model").
Hardware: one accelerator with 80 GB, or more of them. Not run at this size: no time and no score are known.
"""

from gr2_jax.experiment import BatchConfig, GradedPairs, PairsConfig, Pretraining, RetrievalConfig
from gr2_jax.recipes.paper import OPTIMISER, T5_BASE, T5_VOCABULARY

experiment = Pretraining(
    name="wikipedia",
    pairs=PairsConfig(sources=(GradedPairs("data/wikipedia"),)),
    vocabulary=T5_VOCABULARY,
    retrieval=RetrievalConfig(
        model=T5_BASE,
        optimiser=OPTIMISER,
        batch=BatchConfig(
            queries=64, docids=8, indexing_texts=64, length=512, shortest_span=511, longest_span=511, pseudo_share=0.0
        ),
    ),
)
