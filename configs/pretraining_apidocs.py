"""Pre-training on the documentation of installed libraries, for GR2P on the quickstart, which is tested on others.

gr2 pairs apidocs:sklearn,matplotlib,tensorflow,flax,optax --output data/api-pairs
gr2 train configs/pretraining_apidocs.py
gr2 run configs/quickstart.py configs/variants/gr2p_apidocs.py
The model has the quickstart's shape and a vocabulary of its size, which fine-tuning takes over with the weights.
Hardware: two CPU cores, under 3 GB, minutes. Shows the machinery; no score is claimed.
"""

import dataclasses

from gr2_jax.experiment import BatchConfig, DocidConfig, GradedPairs, PairsConfig, Pretraining
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.scratch import MODEL, retrieval

experiment = Pretraining(
    name="pretraining-apidocs",
    pairs=PairsConfig(sources=(GradedPairs("data/api-pairs"),), document_length=128),
    vocabulary=DEFAULT.vocabulary,
    docids=DocidConfig(max_length=DEFAULT.docids.max_length),
    retrieval=dataclasses.replace(
        retrieval(steps=800, learning_rate=3e-3, batch=BatchConfig(pseudo_share=0.0)),
        model=dataclasses.replace(MODEL, lsa_start=False),
    ),
)
