"""GR2P from scratch: fine-tuning starts from what configs/pretraining_apidocs.py left, with its vocabulary.

gr2 run configs/quickstart.py configs/variants/gr2p_apidocs.py --rows GR2P,BM25
After `gr2 train configs/pretraining_apidocs.py`; for configs that learn from scratch. Rows named GR2S are named GR2P.
Hardware and time: those of the config. Shows that a config's stages work; no score is claimed.
"""

from gr2_jax.experiment import Experiment
from gr2_jax.recipes.overlays import from_scratch_pretraining


def overlay(experiment: Experiment) -> Experiment:
    return from_scratch_pretraining(experiment)
