"""Low resource: 2,000 training queries (binary sets); a smaller number's are among them.

gr2 run configs/ms500k.py configs/low_resource/2000.py
gr2 run configs/ms500k.py configs/variants/gr2p.py configs/low_resource/2000.py
Hardware and time: those of the config. Not run here; the paper's curves are in its figures.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import few_queries


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    return few_queries(experiment, 2000)
