"""Two slices of a TPU v5e-128, joined by the data-centre network: 256 chips of 16 GB.

gr2 run configs/robust04.py configs/pods/v5e_128_x2.py
Hosts: 64, a process on each (see launch/README.md). The batch of 64 is split 64 ways, over
four chips each, so that the run is the config's own on any pod. Parameters are split within a slice and copied to the
other. configs/variants/big_batch.py, which is another run, gives a chip more to do. Not run here: shapes, the mesh and
the batch are checked, time is not known. Sizes and GR2P come before the pod.
"""

from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.recipes.overlays import on_mesh


def overlay(experiment: Settings) -> Settings:
    return on_mesh(
        experiment,
        MeshConfig(replica=2, data=2, fsdp=16, tensor=4),
        wide=MeshConfig(replica=2, data=1, fsdp=32, tensor=4),
    )
