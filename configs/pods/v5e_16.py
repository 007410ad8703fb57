"""TPU v5e-16: 16 chips of 16 GB.

gr2 run configs/robust04.py configs/pods/v5e_16.py
Hosts: 4, a process on each (see launch/README.md). The batch of 64 is split 16 ways (3b
and 11b: 4), so that the run is the config's own on any pod. Parameters and optimiser state are split over all chips.
Not run here: shapes, the mesh and the batch are checked, time is not known. Sizes and GR2P come before the pod.
"""

from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.recipes.overlays import on_mesh


def overlay(experiment: Settings) -> Settings:
    return on_mesh(experiment, MeshConfig(data=1, fsdp=16), wide=MeshConfig(data=1, fsdp=4, tensor=4))
