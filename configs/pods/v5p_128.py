"""TPU v5p-128: 64 chips of 95 GB (the name counts cores).

gr2 run configs/robust04.py configs/pods/v5p_128.py
Hosts: 16, a process on each (see launch/README.md). The batch of 64 is split 64 ways (3b
and 11b: 16), so that the run is the config's own on any pod. Not run here: shapes, the mesh and the batch are checked,
time is not known. Sizes and GR2P come before the pod.
"""

from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.recipes.overlays import on_mesh


def overlay(experiment: Settings) -> Settings:
    return on_mesh(experiment, MeshConfig(data=4, fsdp=16), wide=MeshConfig(data=1, fsdp=16, tensor=4))
