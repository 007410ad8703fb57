"""Low resource: 45 training queries (sets with grades); a smaller number's are among them.

gr2 run configs/robust04.py configs/low_resource/45.py
gr2 run configs/robust04.py configs/variants/gr2p.py configs/low_resource/45.py
Hardware and time: those of the config. Not run here; the paper's curves are in its figures.
"""

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.overlays import few_queries


def overlay(experiment: Experiment | Pretraining) -> Experiment:
    return few_queries(experiment, 45)
