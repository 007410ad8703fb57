"""A host of 8 A100 GPUs with 80 GB; the paper had eight of these.

gr2 run configs/robust04.py configs/pods/a100_8.py
One process. Parameters are copied to each GPU; those of a 3b or 11b are split. Not run here: shapes, the mesh and the
batch are checked, time is not known. Sizes and GR2P come before the pod.
"""

from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.recipes.overlays import on_mesh


def overlay(experiment: Settings) -> Settings:
    return on_mesh(experiment, MeshConfig(data=8), wide=MeshConfig(data=1, fsdp=8))
